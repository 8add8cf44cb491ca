"""What every fit of several budget paths leaves in each block, without a dense residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from lolora_core.approximate import Decomposition
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.shares import residual_energies
from lolora_core.explore.path_factors import PathFactors

__all__ = ["PathBlocks", "path_blocks"]


@dataclass(frozen=True, eq=False)
class PathBlocks:
    """Shares of ‖W‖² that are left in the blocks of a grid, one array for each channel.

    Attributes
    ----------
    grid : Grid
        Whose blocks are shown.
    own : tuple of ndarray
        Of fits on this grid: block by block, after 0, 1, … terms of that block.
    whole : tuple of ndarray, shape (depth + 1, K_r, K_c)
        Of fits of the whole matrix, after 0, 1, … terms; empty where the sums of the terms show
        every cell, so that the residual itself is there, and where it would be too large.
    """

    grid: Grid
    own: tuple[Float32[np.ndarray, " q"], ...]
    whole: tuple[Float32[np.ndarray, "depth K_r K_c"], ...]


def path_blocks(
    channels: Sequence[Decomposition], factors: PathFactors, *, most_bytes: int
) -> PathBlocks:
    """Return what the paths of `factors` leave in the blocks of the grid of the channels.

    Parameters
    ----------
    channels : sequence of Decomposition
    factors : PathFactors
        Of paths over these channels.
    most_bytes : int
        Of ``whole``, at two bytes a number.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> from lolora_core.explore.budget_path import budget_paths
    >>> from lolora_core.explore.path_factors import path_factors
    >>> channels = [decompose(np.eye(4), grid=2)]
    >>> paths = budget_paths(channels, 2).values()
    >>> factors = path_factors(channels, paths, most_cells=16, most_bytes=1000)
    >>> path_blocks(channels, factors, most_bytes=1000).own[0][:2]
    array([0.5 , 0.25], dtype=float32)
    """
    grid = channels[0].grid
    total = sum(channel.on(grid).spectra.total for channel in channels) or 1.0
    own = []
    for channel, depths in zip(channels, factors.depths[grid], strict=True):
        tails = channel.on(grid).spectra.tails / total
        left = [tails[at][: depth + 1] for at, depth in np.ndenumerate(depths)]
        own.append(np.concatenate(left).astype(np.float32))
    single = grid.whole()
    whole: tuple[np.ndarray, ...] = ()
    if single != grid and single in factors.depths and factors.windows.blocks != grid.shape:
        depths = factors.depths[single].max(axis=(1, 2))
        if 2 * int((depths + 1).sum()) * int(np.prod(grid.blocks)) <= most_bytes:
            whole = tuple(
                (residual_energies(c.target, c.on(single), grid, int(depth)) / total).astype("f4")
                for c, depth in zip(channels, depths, strict=True)
            )
    return PathBlocks(grid, tuple(own), whole)
