"""One budget for many matrices: rank goes where it pays, energy per parameter, greatest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.spectra import Spectra
from lolora_core.families import Family

__all__ = ["Steps", "pooled_ranks", "steps_of"]


class Steps(NamedTuple):
    """What one more rank brings, in lanes that are taken from the front.

    Attributes
    ----------
    lanes : ndarray of int, shape (q,)
        Lane of each step: the block for `adaptive`, otherwise 0, as the blocks go together.
    energies : ndarray, shape (q,)
        σ², summed over the blocks that get the rank.
    costs : ndarray of int, shape (q,)
        Parameters.
    grid : Grid
    wanted : ndarray of bool, shape (K_r, K_c)
        Blocks that get ranks.
    by_block : bool
        A lane for each block.
    """

    lanes: Int[np.ndarray, " q"]
    energies: Float64[np.ndarray, " q"]
    costs: Int[np.ndarray, " q"]
    grid: Grid
    wanted: Bool[np.ndarray, "K_r K_c"]
    by_block: bool


def steps_of(family: Family, spectra: Spectra) -> Steps:
    """Return the steps of one matrix; `hybrid` shares a budget as `adaptive` does.

    Examples
    --------
    >>> from lolora_core import FAMILIES
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> steps_of(FAMILIES["global"], spectra).energies
    array([16.,  9.])
    """
    grid = spectra.grid
    everywhere = np.ones(grid.blocks, dtype=bool)
    if family.needs_spectra:
        order = spectra.by_density
        return Steps(order.blocks, order.energies, order.costs, grid, everywhere, True)
    wanted = np.eye(grid.blocks[0], dtype=bool) if family.needs_square_grid else everywhere
    energies = (spectra.values[wanted] ** 2).sum(0)
    ranks = np.arange(1, len(energies) + 1)
    costs = ((ranks <= grid.max_ranks[wanted][:, None]) * grid.costs[wanted][:, None]).sum(0)
    paid = energies > 0
    lanes = np.zeros(int(paid.sum()), dtype=np.int64)
    return Steps(lanes, energies[paid], costs[paid], grid, wanted, False)


def pooled_ranks(steps: Mapping[str, Steps], budget: int) -> dict[str, Int[np.ndarray, "K_r K_c"]]:
    """Share a budget over matrices; return the rank map of each.

    A step that no longer fits is passed over, its lane is closed, and the next that fits is taken.

    Examples
    --------
    >>> from lolora_core import FAMILIES
    >>> grid = Grid.regular((2, 2), 1)
    >>> held = {
    ...     name: steps_of(FAMILIES["global"], Spectra(grid, np.array([[v]]), np.zeros((1, 1))))
    ...     for name, v in {"weak": [1.0, 1.0], "strong": [9.0, 2.0]}.items()
    ... }
    >>> {name: int(ranks[0, 0]) for name, ranks in pooled_ranks(held, 8).items()}
    {'weak': 0, 'strong': 2}
    """
    offsets = np.cumsum([0, *(part.grid.costs.size for part in steps.values())])
    parts = list(steps.values())
    lanes = _joined([part.lanes + at for part, at in zip(parts, offsets, strict=False)])
    costs = _joined([part.costs for part in parts])
    density = np.concatenate([_falling(part) for part in parts] or [np.zeros(0)])
    order = np.argsort(-density, kind="stable")
    lanes, costs = lanes[order], costs[order]
    spent = np.cumsum(costs)
    at = int(np.searchsorted(spent, budget, side="right"))
    taken = [lanes[:at]]
    left = budget - (int(spent[at - 1]) if at else 0)
    lanes, costs = lanes[at:], costs[at:]
    while left > 0 and len(costs) and int(costs.min()) <= left:
        if costs[0] <= left:
            taken.append(lanes[:1])
            left -= int(costs[0])
            lanes, costs = lanes[1:], costs[1:]
        else:
            open_ = lanes != lanes[0]
            lanes, costs = lanes[open_], costs[open_]
    counts = np.bincount(np.concatenate(taken), minlength=int(offsets[-1]))
    found = {}
    for (name, part), at in zip(steps.items(), offsets, strict=False):
        grid = part.grid
        own = counts[at : at + grid.costs.size]
        ranks = own.reshape(grid.blocks) if part.by_block else part.wanted * own[0]
        found[name] = np.minimum(ranks, grid.max_ranks)
    return found


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([*parts, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def _falling(part: Steps) -> Float64[np.ndarray, " q"]:
    # Where blocks differ in size a later step may pay more than one before it, which comes first
    # all the same.
    density = part.energies / part.costs
    return density if part.by_block else np.minimum.accumulate(density)
