"""A family at every equivalent rank: its rank maps, errors and parameters, from spectra alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from lolora_core.approximate import Decomposition
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.explore.compare import TIE, pooled_errors
from lolora_core.families import RankedFamily, ranked_families

__all__ = ["BudgetPath", "budget_paths", "path_winners"]


@dataclass(frozen=True, eq=False)
class BudgetPath:
    """One family at the equivalent ranks r = 0…R, over all channels of a target.

    Attributes
    ----------
    family : RankedFamily
    grid : Grid
        That the family uses.
    rank_maps : ndarray of int, shape (channels, R + 1, K_r, K_c)
    errors : ndarray, shape (R + 1,)
        ‖W − Ŵ‖_F/‖W‖_F over all channels together.
    num_parameters : ndarray of int, shape (R + 1,)
        All channels together.
    """

    family: RankedFamily
    grid: Grid
    rank_maps: Int[np.ndarray, "channels q K_r K_c"]
    errors: Float64[np.ndarray, " q"]
    num_parameters: Int[np.ndarray, " q"]

    @property
    def depths(self) -> Int[np.ndarray, "channels K_r K_c"]:
        """The largest rank that each block ever gets."""
        return self.rank_maps.max(axis=1)


def budget_paths(channels: Sequence[Decomposition], highest: int) -> dict[str, BudgetPath]:
    """Return the path of every family that has nested spectra and fits the grid.

    The paths end at `highest`, or before, at the last equivalent rank that changes a rank map: a
    larger budget is not used by any of them.

    Raises
    ------
    ValueError
        `highest` below 1.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> paths = budget_paths([decompose(np.eye(4), grid=2)], 9)
    >>> paths["global"].errors.round(3), paths["localized"].rank_maps[0, :, 0, 0]
    (array([1.   , 0.866, 0.707, 0.5  , 0.   ]), array([0, 0, 1, 1, 2]))
    """
    if highest < 1:
        raise ValueError(f"highest must be 1 or more; it is {highest}")
    grid = channels[0].grid
    budgets = [budget_for_rank(grid.shape, rank) for rank in range(highest + 1)]
    found = {}
    for name, family in ranked_families().items():
        if family.fits(grid):
            fits = [channel.fit(family) for channel in channels]
            found[name] = np.array([[fit.rank_map(budget) for budget in budgets] for fit in fits])
    moved = np.any([np.diff(maps, axis=1).any((0, 2, 3)) for maps in found.values()], axis=0)
    end = int(np.flatnonzero(moved).max(initial=0)) + 1
    return {name: _path(channels, name, maps[:, : end + 1]) for name, maps in found.items()}


def _path(channels: Sequence[Decomposition], name: str, rank_maps: np.ndarray) -> BudgetPath:
    family = ranked_families()[name]
    grid = family.grid(channels[0].grid)
    spectra = [channel.on(grid).spectra for channel in channels]
    errors = [
        np.array([spectrum.relative_error(ranks) for ranks in maps])
        for spectrum, maps in zip(spectra, rank_maps, strict=True)
    ]
    spent = (rank_maps * grid.costs).sum(axis=(0, 2, 3))
    return BudgetPath(family, grid, rank_maps, pooled_errors(errors, channels), spent)


def path_winners(paths: Mapping[str, BudgetPath]) -> dict[str, Bool[np.ndarray, " q"]]:
    """Return at which ranks each family has the lowest error, or ties with it (within 1e-5).

    Examples
    --------
    >>> from lolora_core import decompose
    >>> path_winners(budget_paths([decompose(np.eye(4), grid=2)], 2))["global"]
    array([ True, False, False])
    """
    least = np.min([path.errors for path in paths.values()], axis=0)
    return {name: path.errors <= least + TIE for name, path in paths.items()}
