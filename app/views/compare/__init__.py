"""Compare: one target, one budget, one grid; every family side by side."""
