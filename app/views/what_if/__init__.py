"""What if: every grid and every budget at once."""
