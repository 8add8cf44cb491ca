"""Adapters to a folder and back: factors as safetensors, settings and rank maps as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.init import start_from_saved
from lolora_core.adapters.inject import (
    Plan,
    adapter_config,
    adapter_layers,
    install_adapters,
    reject_adapters,
    reject_shared_weights,
)
from lolora_core.adapters.layer import AdapterLinear, BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.select import near_modules
from lolora_core.adapters.stored import Stored
from lolora_core.blocks.grid import Grid
from lolora_core.files.folders import write_adapter
from lolora_core.files.json_files import read_json

__all__ = [
    "SavedLayouts",
    "check_terms",
    "install_terms",
    "load_adapters",
    "read_terms",
    "reject_not_linear",
    "save_adapters",
    "write_terms",
]

_FORMAT = "lolora-adapters-1"
_SETTINGS, _TENSORS = "adapters.json", "adapters.safetensors"

#: The shape of each module's weight and the layouts of its terms, by name.
SavedLayouts = dict[str, tuple[tuple[int, ...], tuple[BlockLayout, ...]]]


def save_adapters(model: nn.Module, folder: str | PathLike[str]) -> None:
    """Write the adapters of a model to ``adapters.json`` and ``adapters.safetensors``.

    The base is not written. With init="svd" the factors at the start are, so that loading can
    take the same part out of the pretrained weight again. An older save in the folder stays
    whole until both files are written.

    Parameters
    ----------
    model : nn.Module
        With adapters, merged or not.
    folder : path
        Made if it is not there.

    Raises
    ------
    ValueError
        The model has no adapters, or they are on the meta device.

    Examples
    --------
    >>> import tempfile
    >>> from lolora_core.adapters import add_adapters
    >>> made = [nn.Sequential(nn.Linear(4, 4)) for _ in range(2)]
    >>> _ = add_adapters(made[0], AdapterConfig(rank=2, grid=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_adapters(made[0], folder)
    ...     _ = load_adapters(made[1], folder)
    >>> bool((made[0][0].terms[0].A[0] == made[1][0].terms[0].A[0]).all())
    True
    """
    layers = adapter_layers(model)
    terms = {name: layer.block_terms for name, layer in layers.items()}
    write_terms(adapter_config(model), terms, folder)


def write_terms(
    config: AdapterConfig,
    terms: Mapping[str, Sequence[BlockFactors]],
    folder: str | PathLike[str],
    stored: Mapping[str, Stored] = MappingProxyType({}),
) -> None:
    """Write what `save_adapters` writes, from the terms of each module by name.

    `stored` names the modules whose weight is not an nn.Linear's.
    """
    tensors: dict[str, Tensor] = {}
    modules: dict[str, Any] = {}
    for name, held in terms.items():
        modules[name] = {
            "shape": list(held[0].layout.grid.shape),
            "terms": [_layout_to_json(term.layout) for term in held],
        }
        if name in stored:
            modules[name]["stored"] = stored[name].to_json()
        for at, term in enumerate(held):
            for key, value in {**term.packed(), **term.start}.items():
                if value.is_meta:
                    raise ValueError(f"the adapter of {name!r} is on the meta device: no values")
                tensors[f"{name}.{at}.{key}"] = value.detach().contiguous()
    packed = to_bytes(tensors, metadata={"format": _FORMAT})
    settings = {
        "format": _FORMAT,
        "config": config.to_json(),
        "modules": modules,
        "tensors_sha256": hashlib.sha256(packed).hexdigest(),
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    write_adapter(folder, {_TENSORS: packed, _SETTINGS: text.encode()})


def load_adapters(model: nn.Module, folder: str | PathLike[str]) -> nn.Module:
    """Give a model without adapters those of a folder; whole or not at all.

    Parameters
    ----------
    model : nn.Module
        With the pretrained weights that the adapters were trained on.
    folder : path
        Written by `save_adapters`.

    Returns
    -------
    nn.Module
        The same model, in place.

    Raises
    ------
    FileNotFoundError
        One of the two files is missing.
    ValueError
        Files that are damaged or do not belong together, or a model whose modules have other
        names or shapes, or that has adapters already. The model is not changed then.
    """
    reject_adapters(model)
    config, found, tensors, stored = read_terms(folder)
    reject_not_linear(stored)
    install_terms(model, config, found, tensors)
    return model


def reject_not_linear(stored: Mapping[str, Stored]) -> None:
    """Raise ValueError if a weight is not that of an nn.Linear, which alone gets an adapter here.

    Examples
    --------
    >>> reject_not_linear({"wte": Stored("embedding")})
    Traceback (most recent call last):
    ValueError: 'wte' is an embedding, and adapters are given to nn.Linear only; write the adapter \
for PEFT, or leave the module out
    """
    for name, how in stored.items():
        # Whether an unclear one is an nn.Linear, the model itself says.
        if how.kind not in ("linear", "unclear"):
            raise ValueError(
                f"{name!r} is {how.words}, and adapters are given to nn.Linear only; write the "
                "adapter for PEFT, or leave the module out"
            )


def read_terms(
    folder: str | PathLike[str],
) -> tuple[AdapterConfig, SavedLayouts, dict[str, Tensor], dict[str, Stored]]:
    """Return the settings, layouts by module, packed factors and what is no nn.Linear's."""
    settings, tensors = _read(Path(folder))
    try:
        found = {
            name: (tuple(part["shape"]), tuple(_layout_from_json(term) for term in part["terms"]))
            for name, part in settings["modules"].items()
        }
        config = AdapterConfig.from_json(_with_ranks(settings["config"], found))
        stored = {
            name: Stored.from_json(part["stored"])
            for name, part in settings["modules"].items()
            if "stored" in part
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{Path(folder) / _SETTINGS} is not a saved adapter: {error}") from None
    return config, found, tensors, stored


def _with_ranks(config: dict[str, Any], found: SavedLayouts) -> dict[str, Any]:
    """State the ranks that version 0.1 left to the layouts where a global rank was given."""
    if config.get("global_rank") is None or config.get("rank_map") is not None:
        return config
    ranks = {name: terms[-1].rank_map.tolist() for name, (_, terms) in found.items()}
    return {**config, "rank_map": ranks}


def install_terms(
    model: nn.Module, config: AdapterConfig, found: SavedLayouts, tensors: Mapping[str, Tensor]
) -> None:
    """Give a model without adapters those that `read_terms` returned; whole or not at all."""
    plan = _match(model, found)
    check_terms(config, found, tensors)
    if config.init == "svd":
        reject_shared_weights(model, {name: linear for name, (linear, _) in plan.items()})
    install_adapters(model, config, plan)
    for name, layer in adapter_layers(model).items():
        if config.init == "svd":
            start_from_saved(layer, _of_layer(layer, name, tensors, "start."))
        for term, values in zip(layer.block_terms, _of_layer(layer, name, tensors), strict=True):
            term.load(values)


def _of_layer(
    layer: AdapterLinear, name: str, tensors: Mapping[str, Tensor], stage: str = ""
) -> list[dict[str, Tensor]]:
    return [
        {key: tensors[f"{name}.{at}.{stage}{key}"] for key in term.layout.tensor_shapes()}
        for at, term in enumerate(layer.block_terms)
    ]


def _layout_to_json(layout: BlockLayout) -> dict[str, Any]:
    return {
        "row_edges": list(layout.grid.row_edges),
        "col_edges": list(layout.grid.col_edges),
        "rank_map": layout.rank_map.tolist(),
    }


def _layout_from_json(values: Mapping[str, Any]) -> BlockLayout:
    grid = Grid(values["row_edges"], values["col_edges"])
    ranks = np.array(values["rank_map"], dtype=np.int64)
    if ranks.shape != grid.blocks or (ranks < 0).any() or (ranks > grid.max_ranks).any():
        raise ValueError(f"a rank map does not fit its {grid.label} grid")
    if not ranks.any():
        raise ValueError("a rank map is zero")
    return BlockLayout(grid, ranks)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in (_SETTINGS, _TENSORS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; save_adapters writes it")
    settings = read_json(folder / _SETTINGS)
    if settings.get("format") != _FORMAT:
        raise ValueError(f"{folder / _SETTINGS} is not a saved adapter of format {_FORMAT}")
    packed = (folder / _TENSORS).read_bytes()
    if hashlib.sha256(packed).hexdigest() != settings.get("tensors_sha256"):
        raise ValueError(
            f"{folder / _TENSORS} is damaged or does not belong to {_SETTINGS}: "
            "its SHA-256 is not the one written there"
        )
    try:
        return settings, load_bytes(packed)
    except SafetensorError as error:
        raise ValueError(f"{folder / _TENSORS} is not a safetensors file: {error}") from None


def _match(model: nn.Module, found: SavedLayouts) -> Plan:
    modules = dict(model.named_modules(remove_duplicate=False))
    linears = {name: part for name, part in modules.items() if isinstance(part, nn.Linear) and name}
    plan: Plan = {}
    for name, (shape, layouts) in found.items():
        if name not in linears:
            raise ValueError(
                f"the saved adapters are for {name!r}, which is no nn.Linear of this model; "
                f"{near_modules(name, linears)}"
            )
        linear = linears[name]
        here = (linear.out_features, linear.in_features)
        if here != shape or any(layout.grid.shape != here for layout in layouts):
            raise ValueError(
                f"the saved adapter of {name!r} is for a {'×'.join(map(str, shape))} weight; "
                f"this model's is {here[0]}×{here[1]}"
            )
        plan[name] = linear, layouts
    return plan


def check_terms(config: AdapterConfig, found: SavedLayouts, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the packed factors are those that the layouts need."""
    expected: dict[str, tuple[int, int]] = {}
    for name, (_, layouts) in found.items():
        for at, layout in enumerate(layouts):
            for key, shape in layout.tensor_shapes(started=config.init == "svd").items():
                expected[f"{name}.{at}.{key}"] = shape
    if set(expected) != set(tensors):
        wrong = sorted(set(expected) ^ set(tensors))
        raise ValueError(f"{_TENSORS} does not hold what {_SETTINGS} lists: {', '.join(wrong[:5])}")
    for key, shape in expected.items():
        if tuple(tensors[key].shape) != shape or not tensors[key].is_floating_point():
            raise ValueError(
                f"{_TENSORS}: {key} must be floating point of shape {shape}; "
                f"it is {tensors[key].dtype} of shape {tuple(tensors[key].shape)}"
            )
