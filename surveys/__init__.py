"""Recurring surveys: asked the same way every time, each wave opened exactly once."""
