"""The factors from which every fit of several budget paths can be summed, within a size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from lolora_core.approximate import Decomposition
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.nested import NestedTerms, nested_terms, window_grid
from lolora_core.explore.budget_path import BudgetPath

__all__ = ["PathFactors", "path_factors"]

_TERM_BYTES, _CODE_BYTES = 4, 2


@dataclass(frozen=True, eq=False)
class PathFactors:
    """Terms of every grid that the paths use, each grid and each term once.

    Attributes
    ----------
    windows : Grid
        The cells of the sums: cells of the target, or windows of several over which they are
        averaged.
    depths : dict of Grid to ndarray of int, shape (channels, K_r, K_c)
        How many terms each block has.
    terms : dict of Grid to tuple of NestedTerms
        One for each channel.
    """

    windows: Grid
    depths: dict[Grid, Int[np.ndarray, "channels K_r K_c"]]
    terms: dict[Grid, tuple[NestedTerms, ...]]

    @property
    def nbytes(self) -> int:
        """Memory of the terms, in bytes."""
        return sum(terms.nbytes for channels in self.terms.values() for terms in channels)


def path_factors(
    channels: Sequence[Decomposition],
    paths: Iterable[BudgetPath],
    *,
    most_cells: int,
    most_bytes: int,
) -> PathFactors:
    """Return the terms of all fits of the paths, on the finest windows that are allowed.

    Windows of 1, 2, 4… cells a side are tried until they are few enough and the terms are small
    enough; a window never crosses a block.

    Parameters
    ----------
    channels : sequence of Decomposition
        Of which the paths are.
    paths : iterable of BudgetPath
    most_cells : int
        Windows of one channel.
    most_bytes : int
        Of all terms.

    Raises
    ------
    ValueError
        Not even windows as large as the blocks are allowed.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> from lolora_core.explore.budget_path import budget_paths
    >>> channels = [decompose(np.eye(8), grid=2)]
    >>> paths = budget_paths(channels, 4).values()
    >>> path_factors(channels, paths, most_cells=16, most_bytes=10_000).windows.label
    '4×4'
    """
    grid = channels[0].grid
    depths: dict[Grid, np.ndarray] = {}
    for path in paths:
        depths[path.grid] = np.maximum(path.depths, depths.get(path.grid, 0))
    size = 1
    windows = window_grid(grid, size)
    while np.prod(windows.blocks) > most_cells or _nbytes(windows, depths) > most_bytes:
        if windows.blocks == grid.blocks:
            raise ValueError(
                f"most_cells is {most_cells:,} and most_bytes {most_bytes:,}; windows as large as "
                f"the {grid.label} blocks need {np.prod(grid.blocks):,} cells and "
                f"{_nbytes(windows, depths):,} bytes"
            )
        size *= 2
        windows = window_grid(grid, size)
    terms = {
        cut: tuple(
            nested_terms(channel.on(cut), depth, windows)
            for channel, depth in zip(channels, found, strict=True)
        )
        for cut, found in depths.items()
    }
    return PathFactors(windows, depths, terms)


def _nbytes(windows: Grid, depths: dict[Grid, np.ndarray]) -> int:
    """Return how much memory the terms on some windows take."""
    total = 0
    for cut, found in depths.items():
        down = np.diff(np.searchsorted(windows.row_edges, cut.row_edges))
        across = np.diff(np.searchsorted(windows.col_edges, cut.col_edges))
        each = _CODE_BYTES * (down[:, None] + across[None, :]) + _TERM_BYTES
        total += int((found * each).sum())
    return total
