"""One budget for many matrices: rank goes where it pays, energy per parameter, greatest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

from lolora_core.families.base import Steps

__all__ = ["pooled_ranks"]


def pooled_ranks(steps: Mapping[str, Steps], budget: int) -> dict[str, Int[np.ndarray, "K_r K_c"]]:
    """Share a budget over matrices; return the rank map of each.

    A step that no longer fits is passed over, its lane is closed, and the next that fits is taken.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> from lolora_core.blocks.spectra import Spectra
    >>> grid = Grid.regular((2, 2), 1)
    >>> held = {
    ...     name: FAMILIES["global"].steps(Spectra(grid, np.array([[v]]), np.zeros((1, 1))))
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
        # A lane −1 takes the zero that is appended.
        own = np.append(counts[at : at + grid.costs.size], 0)
        found[name] = np.minimum(own[part.blocks], grid.max_ranks)
    return found


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([*parts, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def _falling(part: Steps) -> Float64[np.ndarray, " q"]:
    # Where blocks differ in size a later step may pay more than one before it in its lane, which
    # comes first all the same.
    density = pd.Series(part.energies / part.costs)
    return density.groupby(part.lanes).cummin().to_numpy()
