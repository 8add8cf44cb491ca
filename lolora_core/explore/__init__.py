"""What several families, grids and budgets say about one matrix."""
