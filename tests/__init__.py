"""What the portal promises, as sentences."""
