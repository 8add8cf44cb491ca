"""Blocks of a matrix: grids, decompositions, ranks, factors."""
