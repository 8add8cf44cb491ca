"""Starts other than zero: principal components of the weight, ranks from the full gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.layer import AdapterLinear, BlockFactors, Factors
from lolora_core.adapters.ranks import Place, term_layouts
from lolora_core.adapters.select import find_targets
from lolora_core.blocks.svd import block_svd

__all__ = [
    "full_gradients",
    "gradient_rank_maps",
    "principal_factors",
    "start_from_saved",
    "start_from_svd",
]


def principal_factors(term: BlockFactors, weight: Float[Tensor, "m n"]) -> Factors:
    """Return B_ij = U·√(S/s), A_ij = √(S/s)·Vᵀ of the leading r_ij triples of each block.

    s is the term's scaling, so scaling·B_ij·A_ij is the best approximation of the block.
    """
    layout = term.layout
    most = int(layout.rank_map.max())
    svd = block_svd(weight, layout.grid, max_rank=most, wanted=layout.rank_map > 0)
    found: Factors = {}
    for group, u, s, vh, _ in svd.groups:
        root = (s / term.scaling).sqrt()
        for at, (i, j) in enumerate(zip(group.rows.tolist(), group.cols.tolist(), strict=True)):
            r = int(layout.rank_map[i, j])
            found[i, j] = (u[at, :, :r] * root[at, :r], root[at, :r, None] * vh[at, :r])
    return found


@torch.no_grad()
def _move_into_adapter(
    layer: AdapterLinear, fill: Callable[[int, BlockFactors, Tensor], None]
) -> None:
    weight = layer.base.weight
    layer.pretrained = weight.clone()
    left = weight.to(layer.block_terms[0].A[0].dtype)
    for at, term in enumerate(layer.block_terms):
        fill(at, term, left)
        term.keep_start()
        left = left - term.delta()
    weight.copy_(left)


def start_from_svd(layer: AdapterLinear) -> None:
    """Move the leading triples of each block from the base into the adapter (arXiv 2404.02948).

    Term by term: for hybrid the blocks' term reads what the global term has left.
    """
    _move_into_adapter(layer, lambda _, term, left: term.set_factors(principal_factors(term, left)))


def start_from_saved(layer: AdapterLinear, starts: Sequence[Mapping[str, Tensor]]) -> None:
    """Move the update of saved start factors, one set for each term, into the adapter."""
    _move_into_adapter(layer, lambda at, term, _: term.load(starts[at]))


def full_gradients(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Any], Tensor],
    batches: Iterable[Any],
    config: AdapterConfig,
) -> dict[str, Float[Tensor, "m n"]]:
    """Return the gradient of the loss by each target's weight, averaged over batches.

    Parameters
    ----------
    model : nn.Module
        Without adapters. Its parameters, their `grad` and `requires_grad` stay as they are.
    loss_fn : callable
        ``(model, batch) -> loss``, a scalar tensor.
    batches : iterable
        What `loss_fn` takes; a few are enough.
    config : AdapterConfig
        Its `target_modules` are used.

    Raises
    ------
    ValueError
        No batches, or a target that the loss does not depend on.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 1, bias=False))
    >>> config = AdapterConfig(family="adaptive", rank=1, grid=1, init="gradient")
    >>> full_gradients(model, lambda m, x: m(x).sum(), [torch.ones(3, 2)], config)
    {'0': tensor([[3., 3.]])}
    """
    if any(isinstance(module, AdapterLinear) for module in model.modules()):
        raise ValueError("the model has adapters; remove_adapters first, then the gradient")
    targets = find_targets(model, config)
    weights = [linear.weight for linear in targets.values()]
    before = [weight.requires_grad for weight in weights]
    totals = [torch.zeros_like(weight) for weight in weights]
    count = 0
    try:
        for weight in weights:
            weight.requires_grad_(True)
        for batch in batches:
            with torch.enable_grad():
                found = torch.autograd.grad(loss_fn(model, batch), weights, allow_unused=True)
            for name, total, part in zip(targets, totals, found, strict=True):
                if part is None:
                    raise ValueError(f"the loss does not depend on the weight of {name!r}")
                total.add_(part)
            count += 1
    finally:
        for weight, needed in zip(weights, before, strict=True):
            weight.requires_grad_(needed)
    if not count:
        raise ValueError("batches must hold at least one batch; it is empty")
    return {name: total / count for name, total in zip(targets, totals, strict=True)}


def gradient_rank_maps(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Any], Tensor],
    batches: Iterable[Any],
    config: AdapterConfig,
) -> dict[str, Int[np.ndarray, "K_r K_c"]]:
    """Return the rank maps that `adaptive` chooses from the spectra of the full gradient.

    The first step of full fine-tuning goes along the gradient, so ranks are spent on the blocks
    where it has most energy. This project's own idea; the maps fit `AdapterConfig.rank_map`.

    Parameters
    ----------
    model, loss_fn, batches
        As for `full_gradients`.
    config : AdapterConfig
        With family "adaptive" and init "gradient".

    Raises
    ------
    ValueError
        Another init, or what `full_gradients` and the rank rule raise.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 2, bias=False))
    >>> config = AdapterConfig(family="adaptive", rank=1, grid=2, init="gradient")
    >>> batch = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    >>> gradient_rank_maps(model, lambda m, x: m(x).sum(), [batch], config)["0"]
    array([[1, 0],
           [1, 0]])
    """
    if config.init != "gradient":
        raise ValueError(f"config.init must be 'gradient'; it is {config.init!r}")
    gradients = full_gradients(model, loss_fn, batches, config)
    maps = {}
    for name, gradient in gradients.items():
        place = Place(name, (gradient.shape[0], gradient.shape[1]))
        *_, blocks = term_layouts(config, place, gradient, gradient)
        maps[name] = blocks.rank_map
    return maps
