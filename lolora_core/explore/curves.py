"""Curves of error over budget, of one matrix or of several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int

from lolora_core.blocks.spectra import Spectra
from lolora_core.families.base import Curve

__all__ = ["PooledCurve", "answers", "knee", "smallest_budget"]

Budgets = Int[np.ndarray, " q"]
Energies = Float64[np.ndarray, " q"]


@dataclass(frozen=True, eq=False)
class PooledCurve:
    """Several matrices together, each with an equal share of a budget.

    Examples
    --------
    >>> from lolora_core.blocks.grid import Grid
    >>> from lolora_core.families.curves import UniformCurve
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> one = UniformCurve(spectra, np.ones((1, 1), dtype=bool))
    >>> PooledCurve((one, one)).at(np.array([7, 8]))
    (array([50., 18.]), array([0, 8]))
    """

    parts: tuple[Curve, ...]

    @cached_property
    def spectra(self) -> Spectra:
        """Singular values of all matrices, block by block."""
        every = [part.spectra for part in self.parts]
        values = -np.sort(-np.concatenate([s.values for s in every], axis=-1), axis=-1)
        return Spectra(every[0].grid, values, np.sum([s.beyond for s in every], axis=0))

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        found = [part.at(budgets // len(self.parts)) for part in self.parts]
        left, used = zip(*found, strict=True)
        return np.sum(left, axis=0), np.sum(used, axis=0)


def answers(curve: Curve, budgets: Budgets) -> tuple[Float64[np.ndarray, " q"], Budgets]:
    """Return ‖W − Ŵ‖_F/‖W‖_F at each budget, 0 for the zero matrix, and the parameters used.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> answers(FAMILIES["global"].curve(spectra), np.array([0, 4, 9]))
    (array([1. , 0.6, 0. ]), array([0, 4, 8]))
    """
    left, used = curve.at(budgets)
    total = curve.spectra.total
    return np.sqrt(left / total) if total else np.zeros(len(left)), used


def _whole_budget(curve: Curve) -> int:
    """Parameters at which every family but `diagonal` has full rank everywhere."""
    if isinstance(curve, PooledCurve):
        return sum(map(_whole_budget, curve.parts))
    grid = curve.spectra.grid
    return int(grid.max_ranks.max() * grid.costs.sum())


def smallest_budget(curve: Curve, error: float) -> int | None:
    """Return the fewest parameters with which the error is at most `error`; None if none do.

    Errors never rise with the budget, so bisection finds it.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> smallest_budget(FAMILIES["global"].curve(spectra), 0.7)
    4
    """
    low, high = 0, _whole_budget(curve)
    if answers(curve, np.array([high]))[0][0] > error:
        return None
    while low < high:
        middle = (low + high) // 2
        if answers(curve, np.array([middle]))[0][0] <= error:
            high = middle
        else:
            low = middle + 1
    return high


def knee(at: Sequence[float], errors: Sequence[float]) -> int:
    """Return the place of the knee of a falling curve: the point farthest below its chord.

    The chord leads from the first point to the last, both axes scaled to 0…1; a curve that never
    lies below it has its knee at the first point.

    References
    ----------
    Kneedle: V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, ICDCS Workshops 2011.

    Examples
    --------
    >>> knee([1, 2, 3, 4, 5], [1.0, 0.3, 0.2, 0.1, 0.0])
    1
    """
    x, y = (np.asarray(values, dtype=float) for values in (at, errors))
    across = (x - x[0]) / ((x[-1] - x[0]) or 1.0)
    down = (y - y[-1]) / ((y[0] - y[-1]) or 1.0)
    return int((1 - across - down).argmax())
