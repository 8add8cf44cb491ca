"""Every grid, every family and every budget at once, from singular values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import SupportsIndex

import numpy as np

from lolora_core.blocks.gram import gram_spectra, normalized
from lolora_core.blocks.grid import Grid, GridLike, all_budgets
from lolora_core.blocks.spectra import Spectra
from lolora_core.common.checks import Matrix, as_matrix, check_budgets
from lolora_core.explore.curves import PooledCurve, answers
from lolora_core.explore.sweep_result import Sweep, SweepRow
from lolora_core.families import RankedFamily, ranked_families, resolve_family
from lolora_core.families.base import Curve

__all__ = ["GRIDS", "Sweep", "SweepRow", "pool", "sweep", "sweep_spectra"]

#: The grids of a sweep unless others are named.
GRIDS: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

#: ``progress(done, total)``, grids; returning False stops.
Progress = Callable[[int, int], object]


def _check_families(families: Sequence[str] | None) -> tuple[RankedFamily, ...]:
    if families is None:
        return tuple(ranked_families().values())
    chosen = []
    for family in map(resolve_family, families):
        if not isinstance(family, RankedFamily):
            raise ValueError(
                f"families may not hold {family.name!r}: it is fitted to the matrix, and a sweep "
                f"reads singular values only. Use decompose(W, grid).errors({family.name!r}, "
                "budgets)"
            )
        chosen.append(family)
    if not chosen:
        raise ValueError("families must name at least one family; it is empty")
    return tuple(chosen)


def _check_grids(
    grids: Iterable[GridLike], shape: tuple[int, int], families: tuple[RankedFamily, ...]
) -> tuple[Grid, ...]:
    found: dict[tuple[int, int], Grid] = {}
    for asked in grids:
        grid = Grid.resolve(asked, shape)
        if found.setdefault(grid.blocks, grid) != grid:
            raise ValueError(
                f"grids holds two grids of {grid.label} blocks with different edges; "
                "sweep them one at a time"
            )
    if not found:
        raise ValueError("grids must hold at least one grid; it is empty")
    for grid in found.values():
        if not any(family.fits(grid) for family in families):
            raise ValueError(
                f"none of the families {', '.join(f.name for f in families)} is defined on the "
                f"grid {grid.label}"
            )
    return tuple(found.values())


def sweep(
    target: Matrix,
    grids: Iterable[GridLike] = GRIDS,
    families: Sequence[str] | None = None,
    budgets: Iterable[SupportsIndex] | None = None,
    *,
    progress: Progress | None = None,
) -> Sweep:
    """Return the relative error of every family on every grid at every budget.

    The singular values of all blocks of a grid answer every budget (Eckart–Young, block by
    block), and no dense approximation is made. They are the square roots of the eigenvalues of
    X·Xᵀ or XᵀX of each block X, whichever is smaller, in float64 and batched by block shape
    (`lolora_core.blocks.gram`). That ends at singular values of about 10⁻⁸ of the largest of a
    block: an error that is truly 0 is returned as up to about 10⁻⁶. `Decomposition.errors` has no
    such floor, and takes several times as long.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        W; see `as_matrix`.
    grids : iterable of int, (int, int) or Grid
        K, (K_r, K_c) or any cut; `divisor_grids` lists those with equal blocks. A grid named
        twice is swept once.
    families : sequence of str, optional
        By default every registered family that is read from singular values.
    budgets : iterable of int, optional
        Trainable parameters; by default those of every integer equivalent rank, `all_budgets`.
    progress : callable, optional
        ``progress(done, total)`` is called after each grid; where it returns False, the sweep
        stops and holds the grids that are done.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        Bad input: see `as_matrix`, `Grid.regular` and `check_budget`; no grid, family or budget;
        a grid on which none of the families is defined; two grids with the same numbers of
        blocks and different edges; a family that is not read from singular values; a target on
        the meta device, which has no values.

    Examples
    --------
    >>> found = sweep(np.diag([3.0, 1.0, 1.0, 1.0]), grids=(1, 2))
    >>> found.errors["global", (1, 1)].round(3)
    array([1.   , 0.5  , 0.408])
    """
    matrix = as_matrix(target)
    if matrix.is_meta:
        raise ValueError("target is on the meta device and has no values; sweep reads them")
    work, _ = normalized(matrix)
    return sweep_spectra(
        (matrix.shape[0], matrix.shape[1]),
        partial(gram_spectra, work),
        grids,
        families,
        budgets,
        progress=progress,
    )


def sweep_spectra(
    shape: tuple[int, int],
    spectra: Callable[[Grid], Spectra],
    grids: Iterable[GridLike] = GRIDS,
    families: Sequence[str] | None = None,
    budgets: Iterable[SupportsIndex] | None = None,
    *,
    progress: Progress | None = None,
) -> Sweep:
    """Sweep from singular values that the caller holds or makes; see `sweep`.

    Parameters
    ----------
    shape : (int, int)
        m and n.
    spectra : callable
        ``spectra(grid)`` returns the singular values of the blocks of a grid; it is called once
        for each grid that a family uses.
    grids, families, budgets, progress
        As for `sweep`.

    Examples
    --------
    >>> ones = lambda grid: Spectra(grid, np.ones((*grid.blocks, 1)), np.zeros(grid.blocks))
    >>> sweep_spectra((2, 2), ones, [1], ["global"], [0, 4]).errors["global", (1, 1)]
    array([1., 0.])
    """
    chosen = _check_families(families)
    cuts = _check_grids(grids, shape, chosen)
    at = all_budgets(shape) if budgets is None else check_budgets(budgets)
    held: dict[Grid, Spectra] = {}
    curves: dict[tuple[str, tuple[int, int]], Curve] = {}
    errors: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    used: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    done: list[Grid] = []
    for grid in cuts:
        for family in (f for f in chosen if f.fits(grid)):
            key, own = (family.name, grid.blocks), family.grid(grid)
            if own not in held:
                held[own] = spectra(own)
            same = (family.name, done[0].blocks) if family.spans_whole and done else key
            curves[key] = curves.get(same) or family.curve(held[own])
            errors[key], used[key] = answers(curves[key], at)
        done.append(grid)
        if progress is not None and progress(len(done), len(cuts)) is False:
            break
    names = tuple(family.name for family in chosen)
    complete = len(done) == len(cuts)
    return Sweep(shape, tuple(done), names, at, curves, errors, used, complete)


def pool(sweeps: Sequence[Sweep]) -> Sweep:
    """Return the sweep of several matrices of one shape together, each with its share of a budget.

    The channels of a colour image: budgets and parameters are those of all together, and errors
    are ‖W − Ŵ‖_F/‖W‖_F over all entries of all.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Of the same grids, families and budgets, with spectra on one scale.

    Examples
    --------
    >>> one = sweep(np.eye(4), grids=[1])
    >>> both = pool([one, one])
    >>> both.budgets.tolist(), both.errors["global", (1, 1)].round(3).tolist()
    ([0, 16, 32], [1.0, 0.866, 0.707])
    """
    first = sweeps[0]
    curves: dict[tuple[str, tuple[int, int]], Curve] = {
        key: PooledCurve(tuple(found.curves[key] for found in sweeps)) for key in first.curves
    }
    budgets = first.budgets * len(sweeps)
    found = {key: answers(curve, budgets) for key, curve in curves.items()}
    errors = {key: error for key, (error, _) in found.items()}
    used = {key: parameters for key, (_, parameters) in found.items()}
    return replace(first, budgets=budgets, curves=curves, errors=errors, num_parameters=used)
