"""Files that people upload: what their columns mean, what they would do, and doing it."""
