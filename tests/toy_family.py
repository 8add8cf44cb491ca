"""A family as a stranger would add it: this file, one line in the registry and one colour."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from lolora_core.blocks.grid import Grid
from lolora_core.families import EqualRanks


class Banded(EqualRanks):
    """Equal ranks on the first block row and the first block column."""

    name = "banded"
    letter = "B"
    summary = "equal ranks on the first block row and column, nothing elsewhere"
    formula = r"\hat W_{ij} = B_{ij} A_{ij} \text{ where } i = 0 \text{ or } j = 0"
    source = "a test"
    reaches_zero = False

    def wanted(self, grid: Grid) -> Bool[np.ndarray, "K_r K_c"]:
        """Return the first block row and column."""
        wanted = np.zeros(grid.blocks, dtype=bool)
        wanted[0] = wanted[:, 0] = True
        return wanted
