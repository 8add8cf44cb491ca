"""Equal ranks on the diagonal blocks, nothing elsewhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.common.words import percent
from lolora_core.families.base import Win
from lolora_core.families.ranked import EqualRanks, equal_ranks

__all__ = ["Diagonal", "diagonal_ranks"]


def _diagonal(grid: Grid) -> Bool[np.ndarray, "K_r K_c"]:
    rows, cols = grid.blocks
    if rows != cols:
        raise ValueError(
            f"diagonal needs as many block rows as block columns; the grid is {grid.label} "
            f"on a {grid.shape[0]}×{grid.shape[1]} matrix"
        )
    return np.eye(rows, dtype=bool)


def diagonal_ranks(grid: Grid, budget: int) -> RankMap:
    """ρ = ⌊P/(m + n)⌋ on the diagonal blocks, 0 elsewhere, as MELoRA (arXiv 2402.17263).

    Raises
    ------
    ValueError
        A grid with different numbers of block rows and columns: it has no diagonal.

    Examples
    --------
    >>> diagonal_ranks(Grid.regular((8, 8), 2), 32)
    array([[2, 0],
           [0, 2]])
    """
    return equal_ranks(grid, budget, _diagonal(grid))


class Diagonal(EqualRanks):
    """MELoRA, arXiv 2402.17263."""

    name = "diagonal"
    letter = "D"
    summary = "equal ranks on the diagonal blocks, nothing elsewhere"
    formula = r"\hat W_{ii} = B_{ii} A_{ii}, \quad P = \rho\,(m + n)"
    source = "MELoRA, arXiv 2402.17263"
    needs_square_grid = True
    reaches_zero = False

    def wanted(self, grid: Grid) -> Bool[np.ndarray, "K_r K_c"]:
        """Return the diagonal."""
        return _diagonal(grid)

    def explain(self, win: Win) -> str:
        """Say how much of the energy lies in the diagonal blocks."""
        share = float(np.trace(win.block_energies) / win.block_energies.sum())
        return f"The {win.grid.blocks[0]} diagonal blocks hold {percent(share)} of the energy."
