"""Adapters into a model and out of it: add, merge, unmerge, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.init import start_from_svd
from lolora_core.adapters.layer import AdapterLinear
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.ranks import Place, term_layouts
from lolora_core.adapters.select import find_targets

__all__ = [
    "adapter_config",
    "adapter_delta",
    "adapter_layers",
    "adapter_parameters",
    "add_adapters",
    "merge_adapters",
    "num_adapter_parameters",
    "remove_adapters",
    "unmerge_adapters",
]

_STATE = "lolora_adapters"

#: What goes where: each target with the layouts of its terms, by name.
Plan = dict[str, tuple[nn.Linear, tuple[BlockLayout, ...]]]


@dataclass
class _Installed:
    config: AdapterConfig
    trainable: frozenset[str]


def plan_adapters(
    model: nn.Module, config: AdapterConfig, gradients: Mapping[str, Tensor] | None = None
) -> Plan:
    """Check everything that can fail, before anything is changed."""
    reject_adapters(model)
    if gradients is not None and config.init != "gradient":
        raise ValueError(f"gradients are for init 'gradient'; it is {config.init!r}")
    if config.init == "gradient" and gradients is None:
        raise ValueError("init 'gradient' needs gradients; full_gradients computes them")
    plan: Plan = {}
    for name, linear in find_targets(model, config).items():
        place = Place(name, (linear.out_features, linear.in_features))
        if not linear.weight.is_floating_point():
            raise TypeError(f"{place}: its weight is {linear.weight.dtype}, not floating point")
        gradient = None if gradients is None else gradients.get(name)
        plan[name] = linear, term_layouts(config, place, linear.weight.detach(), gradient)
    return plan


def reject_adapters(model: nn.Module) -> None:
    """Raise ValueError where a model, or a part of it, has adapters."""
    if any(isinstance(module, AdapterLinear) for module in model.modules()):
        raise ValueError("the model has adapters already; remove_adapters takes them away")


def install_adapters(model: nn.Module, config: AdapterConfig, plan: Plan) -> None:
    """Put the planned layers in place and freeze everything else."""
    trainable = frozenset(name for name, p in model.named_parameters() if p.requires_grad)
    model.requires_grad_(False)
    made = {
        id(linear): AdapterLinear(linear, layouts, config.scaling, config.dropout)
        for linear, layouts in plan.values()
    }
    _replace(model, made)
    setattr(model, _STATE, _Installed(config, trainable))


def _replace(model: nn.Module, new: Mapping[int, nn.Module]) -> None:
    for parent in list(model.modules()):
        for child_name, child in list(parent._modules.items()):
            if id(child) in new:
                parent._modules[child_name] = new[id(child)]


def add_adapters(
    model: nn.Module,
    config: AdapterConfig,
    *,
    gradients: Mapping[str, Float[Tensor, "m n"]] | None = None,
) -> nn.Module:
    """Give the target modules of a model adapters, in place, and freeze its own parameters.

    Parameters
    ----------
    model : nn.Module
    config : AdapterConfig
    gradients : mapping from module name to Tensor, optional
        The full gradients that init="gradient" reads, from `full_gradients`.

    Returns
    -------
    nn.Module
        The same model.

    Raises
    ------
    ValueError
        A target that matches nothing, a rank or grid that does not fit, adapters already there.
        Nothing is changed then.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    >>> _ = add_adapters(model, AdapterConfig(family="localized", rank=2, grid=2))
    >>> num_adapter_parameters(model)
    64
    """
    plan = plan_adapters(model, config, gradients)
    if config.init == "svd":
        reject_shared_weights(model, {name: linear for name, (linear, _) in plan.items()})
    install_adapters(model, config, plan)
    if config.init == "svd":
        for layer in adapter_layers(model).values():
            start_from_svd(layer)
    return model


def reject_shared_weights(model: nn.Module, linears: Mapping[str, nn.Linear]) -> None:
    """Raise ValueError where writing to a weight would change another module that shares it."""
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append(name)
    for name, linear in linears.items():
        if len(shared := owners[id(linear.weight)]) > 1:
            raise ValueError(
                f"the weight of {name!r} is shared by {', '.join(shared)}: "
                "changing it would change them all"
            )


def adapter_layers(model: nn.Module) -> dict[str, AdapterLinear]:
    """Return the adapted layers by name.

    Raises
    ------
    ValueError
        The model has no adapters.
    """
    if not hasattr(model, _STATE):
        raise ValueError("the model has no adapters; add_adapters gives it some")
    return {n: m for n, m in model.named_modules() if isinstance(m, AdapterLinear)}


def adapter_config(model: nn.Module) -> AdapterConfig:
    """Return the settings the model's adapters were made from."""
    adapter_layers(model)
    return getattr(model, _STATE).config


def adapter_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """Iterate over the trainable tensors of the adapters.

    Examples
    --------
    >>> model = add_adapters(nn.Sequential(nn.Linear(4, 4)), AdapterConfig(rank=2, grid=2))
    >>> [tuple(p.shape) for p in adapter_parameters(model)]
    [(4, 2), (4, 2)]
    """
    for layer in adapter_layers(model).values():
        yield from layer.terms.parameters()


def num_adapter_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters, Σ r_ij·(h_i + w_j) over all terms and layers."""
    return sum(layer.num_parameters for layer in adapter_layers(model).values())


def adapter_delta(model: nn.Module) -> dict[str, Float[Tensor, "m n"]]:
    """Return the dense ΔW of every adapted layer by name, detached, against its pretrained weight.

    Examples
    --------
    >>> model = add_adapters(nn.Sequential(nn.Linear(4, 4)), AdapterConfig(rank=2, grid=2))
    >>> float(adapter_delta(model)["0"].norm())
    0.0
    """
    with torch.no_grad():
        return {name: layer.delta() for name, layer in adapter_layers(model).items()}


def merge_adapters(model: nn.Module) -> None:
    """Add every ΔW to its base weight; the forward then costs what the base costs.

    The weights before are kept, so that `unmerge_adapters` restores them bit for bit.

    Raises
    ------
    ValueError
        The adapters are merged already, or a weight is shared with another module.
    """
    layers = adapter_layers(model)
    if any(layer.merged for layer in layers.values()):
        raise ValueError("the adapters are merged already; unmerge_adapters takes them out")
    reject_shared_weights(model, {name: layer.base for name, layer in layers.items()})
    for layer in layers.values():
        layer.merge()


def unmerge_adapters(model: nn.Module) -> None:
    """Take every ΔW out of its base weight again, bit for bit.

    Raises
    ------
    ValueError
        The adapters are not merged.
    """
    layers = adapter_layers(model)
    if not all(layer.merged for layer in layers.values()):
        raise ValueError("the adapters are not merged; merge_adapters merges them")
    for layer in layers.values():
        layer.unmerge()


def remove_adapters(model: nn.Module) -> nn.Module:
    """Take the adapters away: the pretrained weights, bit for bit, and what was trainable before.

    Examples
    --------
    >>> model = add_adapters(nn.Sequential(nn.Linear(4, 4)), AdapterConfig(rank=2, grid=2))
    >>> remove_adapters(model)
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
    )
    """
    layers = adapter_layers(model).values()
    installed: _Installed = getattr(model, _STATE)
    _replace(model, {id(layer): layer.restore_base() for layer in layers})
    delattr(model, _STATE)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in installed.trainable)
    return model
