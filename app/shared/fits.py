"""The families that search, as a process of the pool searches for them: with the library alone."""

from __future__ import annotations

from collections.abc import Mapping

from lolora_core import FAMILIES, Decomposition, Grid
from lolora_core.families.base import Fit

__all__ = ["ready", "searched"]


def _searching(grid: Grid) -> list[str]:
    return [name for name, f in FAMILIES.items() if not f.from_spectra and f.fits(grid)]


def ready(fits: Mapping[str, Fit], grid: Grid, budget: int) -> bool:
    """Return whether all families that search have their answer to a budget on a grid."""
    return all(name in fits and fits[name].ready(budget) for name in _searching(grid))


def searched(svd: Decomposition, budget: int) -> dict[str, Fit]:
    """Return the fits of all families that search, ready for a budget."""
    names = _searching(svd.grid)
    for name in names:
        svd.approximate(name, budget=budget)
    return {name: svd.fit(name) for name in names}
