"""Possible customers: where they came from, how far they are, and who takes them up."""
