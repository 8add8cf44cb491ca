"""The rank map of each term of an adapter, from its family, rank and grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.layout import BlockLayout
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.blocks.svd import block_svd
from lolora_core.common.checks import as_matrix
from lolora_core.families import adaptive_ranks

__all__ = ["Place", "term_layouts"]


class Place(NamedTuple):
    """A target in the model: its name and the (out_features, in_features) of its weight."""

    name: str
    shape: tuple[int, int]

    def __str__(self) -> str:
        return f"module {self.name!r} ({self.shape[0]}×{self.shape[1]})"


def _uniform(place: Place, grid: Grid, budget: int, rank: int, spent: int) -> np.ndarray:
    m, n = grid.shape
    cost = int(grid.costs.sum())
    each = budget // cost
    if each < 1:
        smallest = spent + -(-cost // (m + n))
        raise ValueError(
            f"rank {rank} leaves no rank for the blocks of the {grid.label} grid on {place}; "
            f"the smallest rank that works is {smallest}"
        )
    full = int(grid.max_ranks.min())
    if each > full:
        largest = spent + ((full + 1) * cost - 1) // (m + n)
        raise ValueError(
            f"rank {rank} is above the full rank of the blocks of the {grid.label} grid on "
            f"{place}; the largest rank that works is {largest}"
        )
    return np.full(grid.blocks, each, dtype=np.int64)


def _diagonal(place: Place, grid: Grid, rank: int) -> np.ndarray:
    rows, cols = grid.blocks
    if rows != cols:
        raise ValueError(
            f"diagonal needs as many block rows as block columns; "
            f"the grid on {place} is {grid.label}"
        )
    full = int(np.diag(grid.max_ranks).min())
    if rank > full:
        raise ValueError(
            f"rank {rank} is above the full rank of the diagonal blocks of the {grid.label} grid "
            f"on {place}; the largest rank that works is {full}"
        )
    return np.eye(rows, dtype=np.int64) * rank


def _own(place: Place, grid: Grid, ranks: np.ndarray) -> np.ndarray:
    if ranks.shape != grid.blocks:
        raise ValueError(
            f"rank_map for {place} has {ranks.shape[0]}×{ranks.shape[1]} entries; "
            f"the grid is {grid.label}"
        )
    if (ranks > grid.max_ranks).any():
        i, j = np.argwhere(ranks > grid.max_ranks)[0].tolist()
        raise ValueError(
            f"rank_map for {place} gives block ({i}, {j}) rank {ranks[i, j]}; "
            f"its full rank is {grid.max_ranks[i, j]}"
        )
    return ranks


def _adaptive(place: Place, grid: Grid, budget: int, source: Tensor, word: str) -> np.ndarray:
    if source.is_meta:
        raise ValueError(f"{word} of {place} is on the meta device: it has no values to decompose")
    spectra = block_svd(as_matrix(source, f"{word} of {place}"), grid).spectra
    ranks = adaptive_ranks(grid, budget, spectra)
    if not ranks.any():
        raise ValueError(f"{word} of {place} is zero, so adaptive has no rank to give")
    return ranks


def term_layouts(
    config: AdapterConfig,
    place: Place,
    weight: Float[Tensor, "m n"],
    gradient: Float[Tensor, "m n"] | None = None,
) -> tuple[BlockLayout, ...]:
    """Return the layouts of an adapter's terms: one, or for hybrid the global one and the blocks'.

    Parameters
    ----------
    config : AdapterConfig
    place : Place
    weight : Tensor, shape (m, n)
        Read only where init is "svd" and the family is adaptive.
    gradient : Tensor, shape (m, n), optional
        The full gradient of that weight; needed where init is "gradient".

    Raises
    ------
    ValueError
        The rank, the grid or the rank map does not fit this weight; the message names a rank
        that does.

    Examples
    --------
    >>> import torch
    >>> config = AdapterConfig(family="localized", rank=4, grid=8)
    >>> term_layouts(config, Place("fc", (64, 64)), torch.zeros(64, 64))
    Traceback (most recent call last):
    ValueError: rank 4 leaves no rank for the blocks of the 8×8 grid on module 'fc' (64×64); \
the smallest rank that works is 8
    """
    rank, shape = config.rank, place.shape
    if rank > min(shape):
        raise ValueError(
            f"rank {rank} is above the full rank of {place}, {min(shape)}: "
            "lower it, or leave this module out of target_modules"
        )
    if config.init == "svd":
        as_matrix(weight, f"the weight of {place}")
    whole = Grid.regular(shape, 1)
    if config.family == "global":
        return (BlockLayout(whole, np.array([[rank]])),)
    try:
        grid = config.grid_of(shape)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    budget = budget_for_rank(shape, rank)
    if config.family == "diagonal":
        return (BlockLayout(grid, _diagonal(place, grid, rank)),)
    if config.family == "localized":
        return (BlockLayout(grid, _uniform(place, grid, budget, rank, 0)),)
    own = config.own_ranks(place.name)
    if config.family == "hybrid":
        first = config.global_rank
        assert first is not None
        if first > min(shape):
            raise ValueError(f"global_rank {first} is above the full rank of {place}, {min(shape)}")
        left = budget - budget_for_rank(shape, first)
        ranks = _uniform(place, grid, left, rank, first) if own is None else _own(place, grid, own)
        return BlockLayout(whole, np.array([[first]])), BlockLayout(grid, ranks)
    if own is not None:
        return (BlockLayout(grid, _own(place, grid, own)),)
    if config.init == "gradient":
        if gradient is None:
            raise ValueError(f"init 'gradient' needs the gradient of {place}; see full_gradients")
        if tuple(gradient.shape) != shape:
            raise ValueError(f"the gradient of {place} has shape {tuple(gradient.shape)}")
        return (BlockLayout(grid, _adaptive(place, grid, budget, gradient, "the gradient")),)
    return (BlockLayout(grid, _adaptive(place, grid, budget, weight, "the weight")),)
