"""What people did with content, and for how long: DESIGN section 6."""
