"""What the page What if computes, cached as in `app.shared.scene` by the SHA-256 of the content."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from cachetools import LRUCache, cached
from cachetools.keys import hashkey
from torch import Tensor

from app.shared.caches import Kind
from app.shared.pool import Progress, kept_call, part
from app.shared.scene import Scene
from lolora_core import Grid, budget_for_rank, decompose, divisor_grids
from lolora_core.blocks.gram import gram_spectra, normalized
from lolora_core.blocks.spectra import Spectra
from lolora_core.common.checks import as_matrix
from lolora_core.explore.advise import Advice, advise_from
from lolora_core.explore.compare import TIE
from lolora_core.explore.reorder import Reordering, reorder
from lolora_core.explore.sweep import GRIDS, Sweep, pool, sweep_spectra
from lolora_core.families import REFERENCE
from lolora_core.targets import Target

LARGEST_GRID = 32

_seconds_per_product = [4e-10]


def _spectra_key(matrix: np.ndarray, alone: bool, digest: str, grid: Grid) -> object:
    return hashkey(digest, grid)


_held = Kind[Spectra]("spectra")


@_held.cached(_spectra_key)
def _spectra(matrix: np.ndarray, alone: bool, digest: str, grid: Grid) -> Spectra:
    started = time.perf_counter()
    found = gram_spectra(_scaled(matrix, alone), grid)
    work = _work(grid)
    if work > 10**7:
        _seconds_per_product[0] = (time.perf_counter() - started) / work
    return found


def _scaled(matrix: np.ndarray, alone: bool) -> Tensor:
    tensor = as_matrix(matrix)
    # The channels of an image stay on one scale, so that their energies add up.
    return normalized(tensor)[0] if alone else tensor


def _work(grid: Grid) -> float:
    m, n = grid.shape
    return m * n * min(m, n) / max(1, min(grid.blocks)) + 30.0 * m * n


def grids_of(scene: Scene, which: str) -> tuple[Grid, ...]:
    """Return the grids of a sweep, coarse first: powers of 2 or divisors, and the scene's own."""
    shape = scene.grid.shape
    if which == "divisors":
        pairs = divisor_grids(shape, LARGEST_GRID)
    else:
        pairs = tuple((k, k) for k in GRIDS if k <= min(shape))
    found = {Grid.regular(shape, *pair) for pair in pairs} | {scene.grid}
    return tuple(sorted(found, key=lambda grid: (grid.blocks[0] * grid.blocks[1], grid.blocks)))


def rectangles(scene: Scene) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the numbers of block rows and block columns of the map over both."""
    m, n = scene.grid.shape
    rows = {k for k in GRIDS if k <= m} | {scene.grid.blocks[0]}
    cols = {k for k in GRIDS if k <= n} | {scene.grid.blocks[1]}
    return tuple(sorted(rows)), tuple(sorted(cols))


def _missing(target: Target, grids: Sequence[Grid]) -> list[Grid]:
    whole = grids[0].whole()
    digests = [f"{target.sha256}/{at}" for at in range(len(target.channels))]
    every = dict.fromkeys([whole, *grids])
    return [g for g in every for digest in digests if hashkey(digest, g) not in _held]


def missing_seconds(target: Target, grids: Sequence[Grid]) -> float:
    """Return about how long the grids that are not cached yet will take."""
    return sum(_work(grid) for grid in _missing(target, grids)) * _seconds_per_product[0]


def finished(target: Target, grids: Sequence[Grid]) -> tuple[Grid, ...]:
    """Return the grids whose singular values are held already."""
    missing = set(_missing(target, grids))
    return () if grids[0].whole() in missing else tuple(g for g in grids if g not in missing)


def swept(target: Target, grids: Sequence[Grid], progress: Progress | None = None) -> Sweep:
    """Sweep grids at every whole equivalent rank; what is new is computed grid by grid.

    Parameters
    ----------
    target : Target
    grids : sequence of Grid
    progress : callable, optional
        ``progress(share, words)``, before each grid and while it is computed; it may raise.
    """
    if progress is not None:
        alone, count = len(target.channels) == 1, 0
        for grid in dict.fromkeys([grids[0].whole(), *grids]):
            shown = part(
                progress,
                count / len(grids),
                (count + 1) / len(grids),
                f"grid {count + 1} of {len(grids)}",
            )
            shown(0.0, "")
            for at, matrix in enumerate(target.channels):
                asked = (matrix, alone, f"{target.sha256}/{at}", grid)
                kept_call(
                    _spectra, asked, gram_spectra, _scaled(matrix, alone), grid, progress=shown
                )
            count = min(count + 1, len(grids) - 1)
    return _assembled(target, tuple(grids))


def _sweep_key(target: Target, grids: tuple[Grid, ...]) -> object:
    return hashkey(target.sha256, grids)


@cached(LRUCache(48), key=_sweep_key, condition=threading.Condition())
def _assembled(target: Target, grids: tuple[Grid, ...]) -> Sweep:
    alone = len(target.channels) == 1
    parts = [
        sweep_spectra(
            target.shape, partial(_spectra, matrix, alone, f"{target.sha256}/{at}"), grids
        )
        for at, matrix in enumerate(target.channels)
    ]
    return parts[0] if alone else pool(parts)


def budget_of(target: Target, rank: int) -> int:
    """Return the parameters of an equivalent rank, all channels together."""
    return budget_for_rank(target.shape, rank) * len(target.channels)


def rank_of(target: Target, budget: int) -> int:
    """Return the smallest equivalent rank whose budget is at least `budget`."""
    return -(-budget // budget_of(target, 1))


def drawn_ranks(target: Target, rank: int, largest: int) -> list[int]:
    """Return at most about 40 equivalent ranks to draw, `rank` among them, closer at the start."""
    m, n = target.shape
    top = max(1, min(largest, m * n // (m + n)))
    steps = np.geomspace(1, top, 40).round().astype(int)
    return sorted({*steps.tolist(), min(rank, top)})


def _found_key(found: Sweep, target: Target) -> object:
    return hashkey(target.sha256, found.grids)


@cached(LRUCache(48), key=_found_key, condition=threading.Condition())
def _winners(found: Sweep, target: Target) -> pd.DataFrame:
    cells = found.winners()
    return cells.assign(rank=cells["budget"] // budget_of(target, 1), tied=cells["margin"] <= TIE)


def winner_cells(found: Sweep, target: Target, ranks: Sequence[int]) -> pd.DataFrame:
    """Return who wins on each grid at each of some ranks, and whether the first two tie."""
    cells = _winners(found, target)
    return cells[cells["rank"].isin(list(ranks))].reset_index(drop=True)


@cached(LRUCache(48), key=_found_key, condition=threading.Condition())
def front(found: Sweep, target: Target) -> pd.DataFrame:
    """Return the points that no family on any grid beats, by rising number of parameters."""
    return found.pareto()


@cached(LRUCache(48), key=_found_key, condition=threading.Condition())
def best_curves(found: Sweep, target: Target) -> pd.DataFrame:
    """Return the lowest error of each family over the grids, at each budget that is drawn.

    On one block every family is `global`, and only that is taken from there.
    """
    frame = found.frame()
    drawn = drawn_ranks(target, 1, 10**6)
    at = (frame["budget"] // budget_of(target, 1)).isin(drawn)
    own = (frame["family"] == REFERENCE.name) | (frame["grid_rows"] * frame["grid_cols"] > 1)
    kept = frame[at & own]
    best = kept.groupby(["family", "budget"], sort=False)["relative_error"].idxmin()
    return kept.loc[best].reset_index(drop=True)


def leaders(front: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a Pareto front at which another family takes over.

    Examples
    --------
    >>> leaders(pd.DataFrame({"family": ["global", "global", "adaptive", "adaptive"],
    ...                       "num_parameters": [0, 8, 16, 24]}))["num_parameters"].tolist()
    [8, 16]
    """
    begun = front[front["num_parameters"] > 0]
    return begun[begun["family"] != begun["family"].shift()]


def advice(target: Target, found: Sweep, aim: str, value: float) -> Advice:
    """Return the structure to choose; `aim` is budget, error or energy."""
    whole, alone = found.grids[0].whole(), len(target.channels) == 1
    every = [
        _spectra(matrix, alone, f"{target.sha256}/{at}", whole).values[0, 0]
        for at, matrix in enumerate(target.channels)
    ]
    scale = normalized(as_matrix(target.channels[0]))[1] if alone else 1.0
    values = -np.sort(-np.concatenate(every)) * scale
    if aim == "budget":
        return advise_from(found, values, budget=round(value))
    if aim == "error":
        return advise_from(found, values, error=value)
    return advise_from(found, values, energy=value)


def _reorder_key(target: Target, grid: Grid, rank: int) -> object:
    return hashkey(target.sha256, grid, rank)


@cached(LRUCache(64), key=_reorder_key, condition=threading.Condition())
def reordered(target: Target, grid: Grid, rank: int) -> Reordering:
    """Look for an order of rows and columns in which `adaptive` has a lower error."""
    return reorder(target.channels[0], grid=grid, budget=budget_for_rank(target.shape, rank))


@dataclass(frozen=True, eq=False)
class BlockEnergy:
    """What lies in each block, and what the ranks of a family keep of it.

    Attributes
    ----------
    shares : ndarray, shape (K_r, K_c)
        Share of the energy of the whole matrix.
    kept : ndarray, shape (K_r, K_c)
        Share of the block's own energy.
    """

    shares: np.ndarray
    kept: np.ndarray

    @property
    def total(self) -> float:
        """Share of all energy that is kept."""
        return float((self.shares * self.kept).sum())


@cached(LRUCache(64), key=_reorder_key, condition=threading.Condition())
def block_energies(target: Target, grid: Grid, rank: int) -> tuple[BlockEnergy, BlockEnergy]:
    """Return the energy of the blocks before and after reordering."""
    found, matrix = reordered(target, grid, rank), target.channels[0]
    return (
        _block_energy(matrix, found.family, grid, found.budget),
        _block_energy(found.apply(matrix), found.family, grid, found.budget),
    )


def _block_energy(matrix: np.ndarray, family: str, grid: Grid, budget: int) -> BlockEnergy:
    svd = decompose(matrix, grid)
    spectra = svd.on(grid).spectra
    return BlockEnergy(spectra.shares, spectra.kept(svd.rank_map(family, budget)))
