"""Rank maps that a user sets block by block."""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from lolora_core.blocks.grid import Grid
from lolora_core.common.checks import check_budget

__all__ = ["OWN", "RankMap", "check_rank_map", "one_of"]

#: r_ij of every block.
RankMap = Int[np.ndarray, "K_r K_c"]

#: `family` of an approximation made from a user's own rank map.
OWN = "own"


def one_of(family: object, rank_map: object) -> None:
    """Raise ValueError unless exactly one of `family` and `rank_map` is given.

    Examples
    --------
    >>> one_of(None, None)
    Traceback (most recent call last):
    ValueError: pass either family or rank_map; neither was given
    """
    if (family is None) == (rank_map is None):
        given = "neither was" if family is None else "both were"
        raise ValueError(f"pass either family or rank_map; {given} given")


def check_rank_map(
    rank_map: ArrayLike, grid: Grid, budget: SupportsIndex | None = None
) -> tuple[RankMap, int]:
    """Return a rank map as an array, and its budget: Σ r_ij·(h_i + w_j) unless one is given.

    Parameters
    ----------
    rank_map : array of int, shape (K_r, K_c)
        0 ≤ r_ij ≤ min(h_i, w_j).
    grid : Grid
    budget : int, optional
        Trainable parameters that are allowed.

    Raises
    ------
    TypeError
        Entries that are not integers.
    ValueError
        Another shape than the grid's, a rank below 0 or above full rank, or more parameters than
        the budget; the message names the block, the value and the limit.

    Examples
    --------
    >>> check_rank_map([[1, 0], [0, 2]], Grid.regular((8, 8), 2))[1]
    24
    >>> check_rank_map([[5, 0], [0, 2]], Grid.regular((8, 8), 2))
    Traceback (most recent call last):
    ValueError: rank_map gives block (0, 0) the rank 5; a 4×4 block takes 0 to 4
    """
    try:
        ranks = np.asarray(rank_map)
    except ValueError:
        raise ValueError(
            f"rank_map must have the shape of the grid, {grid.blocks}; its rows differ in length"
        ) from None
    if ranks.shape != grid.blocks:
        raise ValueError(
            f"rank_map must have the shape of the grid, {grid.blocks}; its shape is {ranks.shape}"
        )
    if ranks.dtype.kind not in "iu":
        raise TypeError(f"rank_map must hold integers; its dtype is {ranks.dtype}")
    wrong = np.argwhere((ranks < 0) | (ranks > grid.max_ranks))
    if len(wrong):
        i, j = wrong[0].tolist()
        raise ValueError(
            f"rank_map gives block ({i}, {j}) the rank {ranks[i, j]}; a {grid.row_sizes[i]}×"
            f"{grid.col_sizes[j]} block takes 0 to {grid.max_ranks[i, j]}"
        )
    ranks = ranks.astype(np.int64)
    spent = int((ranks * grid.costs).sum())
    if budget is None:
        return ranks, spent
    limit = check_budget(budget)
    if spent > limit:
        raise ValueError(f"rank_map needs {spent:,} parameters; the budget is {limit:,}")
    return ranks, limit
