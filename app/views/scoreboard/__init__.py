"""The page Does it always win?: every target, every grid, every budget."""
