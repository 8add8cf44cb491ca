"""The linked pictures."""
