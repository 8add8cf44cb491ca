"""The rank map of each term of an adapter, from its family, rank and grid."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.layout import BlockLayout
from lolora_core.blocks.grid import Grid
from lolora_core.common.checks import as_matrix
from lolora_core.families import resolve_family
from lolora_core.families.base import AdapterRequest

__all__ = ["Place", "term_layouts"]


class Place(NamedTuple):
    """A target in the model: its name and the (out_features, in_features) of its weight."""

    name: str
    shape: tuple[int, int]

    def __str__(self) -> str:
        return f"module {self.name!r} ({self.shape[0]}×{self.shape[1]})"


def term_layouts(
    config: AdapterConfig,
    place: Place,
    weight: Float[Tensor, "m n"],
    gradient: Float[Tensor, "m n"] | None = None,
) -> tuple[BlockLayout, ...]:
    """Return the layouts of an adapter's terms: one, or a global one and the blocks'.

    Parameters
    ----------
    config : AdapterConfig
    place : Place
    weight : Tensor, shape (m, n)
        Read only where init is "svd" and the ranks are chosen from it.
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
    family = resolve_family(config.family)
    try:
        grid = Grid.regular(shape, 1) if family.spans_whole else config.grid_of(shape)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    request = AdapterRequest(str(place), grid, rank, global_rank=config.global_rank)
    if family.takes_ranks:
        request = replace(request, rank_map=config.own_ranks(place.name))
    if family.needs_spectra and request.rank_map is None:
        source, word = _source(config, place, weight, gradient)
        request = replace(request, source=source, word=word)
    return tuple(BlockLayout(*term) for term in family.adapter_terms(request))


def _source(
    config: AdapterConfig,
    place: Place,
    weight: Float[Tensor, "m n"],
    gradient: Float[Tensor, "m n"] | None,
) -> tuple[Float[Tensor, "m n"], str]:
    """Return the matrix that ranks are chosen for, and how messages call it."""
    found, word = weight, f"the weight of {place}"
    if config.init == "gradient":
        if gradient is None:
            raise ValueError(f"init 'gradient' needs the gradient of {place}; see full_gradients")
        if tuple(gradient.shape) != place.shape:
            raise ValueError(f"the gradient of {place} has shape {tuple(gradient.shape)}")
        found, word = gradient, f"the gradient of {place}"
    if found.is_meta:
        raise ValueError(f"{word} is on the meta device: it has no values to decompose")
    return as_matrix(found, word), word
