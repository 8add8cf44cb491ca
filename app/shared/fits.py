"""The families that search, as a process of the pool searches for them: with the library alone."""

from __future__ import annotations

from lolora_core import FAMILIES, Decomposition
from lolora_core.families.base import Fit

__all__ = ["searched"]


def searched(svd: Decomposition, budget: int) -> dict[str, Fit]:
    """Return the fits of all families that search, ready for a budget and every smaller one."""
    names = [name for name, f in FAMILIES.items() if not f.from_spectra and f.fits(svd.grid)]
    for name in names:
        svd.approximate(name, budget=budget)
    return {name: svd.fit(name) for name in names}
