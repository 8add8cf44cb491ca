"""Equal ranks on every block."""

from __future__ import annotations

import numpy as np

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.families.ranked import EqualRanks, equal_ranks

__all__ = ["Localized", "localized_ranks"]


def localized_ranks(grid: Grid, budget: int) -> RankMap:
    """ρ = ⌊P/(K_c·m + K_r·n)⌋ on every block, as Localized LoRA (arXiv 2506.00236).

    Examples
    --------
    >>> localized_ranks(Grid.regular((8, 8), 2), 32)
    array([[1, 1],
           [1, 1]])
    """
    return equal_ranks(grid, budget, np.ones(grid.blocks, dtype=bool))


class Localized(EqualRanks):
    """Localized LoRA, arXiv 2506.00236; the structure of GraLoRA, arXiv 2505.20355."""

    name = "localized"
    letter = "L"
    summary = "equal ranks on every block"
    formula = r"\hat W_{ij} = B_{ij} A_{ij}, \quad P = \rho\,(K_c m + K_r n)"
    source = "Localized LoRA, arXiv 2506.00236"

    def peft_settings(self, grid: Grid, num_parameters: int) -> dict[str, int]:
        """``r`` and ``k`` of PEFT's GraLoRA, where K×K blocks of equal size allow it."""
        rows, cols = grid.blocks
        if rows == 1 or rows != cols or any(side % rows for side in grid.shape):
            return {}
        # r/K of every block of GraLoRA is the rank of a block here, ρ = P/(K·(m + n)).
        rank = num_parameters // (rows * sum(grid.shape))
        return {"gralora_r": rank * rows, "gralora_k": rows} if rank else {}
