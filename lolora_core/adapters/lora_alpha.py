"""The scale of each module of a LoRA file: alpha in its own tensor, or in diffusers' settings."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lolora_core.adapters.peft_settings import (
    carried_settings,
    check_settings,
    finite_number,
    pattern_value,
)
from lolora_core.common.patterns import Matcher
from lolora_core.files.json_files import json_object
from lolora_core.files.tensors import SafetensorsSource

__all__ = ["Scales", "read_scales"]

#: Under which diffusers keeps the settings of a LoraConfig in a file's header.
_METADATA = "lora_adapter_metadata"
# What old files of diffusers put between the module and its part.
_ENDINGS = ("_lora", ".lora", ".lora_linear_layer")


@dataclass(frozen=True)
class Scales:
    """What a file states about its scales.

    Attributes
    ----------
    alphas : dict of str to float
        By module.
    settings : dict of str to mapping
        Settings of a LoraConfig by component; "" is the one without a prefix.
    notes : tuple of str
    carried : dict of str to JSON values
        Settings that change no ΔW; empty where components have their own.
    """

    alphas: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    carried: dict[str, Any]
    matcher: Matcher = field(default_factory=Matcher, repr=False)

    def of(self, module: str, rank: int) -> float:
        """Return alpha/r of a module; 1 where the file states no alpha.

        Raises
        ------
        ValueError
            The settings state another rank.

        Examples
        --------
        >>> Scales({"fc": 4.0}, {}, (), {}).of("fc", 8)
        0.5
        """
        if module in self.alphas:
            return self.alphas[module] / rank
        found = _settings_of(module, self.settings)
        if found is None:
            return 1.0
        own, config = found
        stated = pattern_value(config.get("rank_pattern"), own, config.get("r"), self.matcher)
        if stated != rank:
            raise ValueError(f"{module} has rank {rank}, and {_METADATA} says {stated}")
        alpha = pattern_value(
            config.get("alpha_pattern"), own, config.get("lora_alpha"), self.matcher
        )
        return finite_number(alpha, "lora_alpha") / (
            math.sqrt(rank) if config.get("use_rslora") else rank
        )


def _settings_of(
    module: str, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any]] | None:
    """Return a module's name within its component and the settings of that component."""
    component, _, rest = module.partition(".")
    if component in settings:
        return rest, settings[component]
    return (module, settings[""]) if "" in settings else None


def read_scales(
    source: SafetensorsSource, alphas: Mapping[str, str], modules: Collection[str]
) -> Scales:
    """Read every alpha of a file.

    Parameters
    ----------
    source : SafetensorsSource
    alphas : mapping of str to str
        Names of the tensors that hold one, by module.
    modules : collection of str
        Those that have factors of LoRA.

    Raises
    ------
    ValueError
        An alpha that is no single finite number, or 0, which programs read in different ways;
        settings that make the update something else; PEFT's names without any alpha.
    """
    values = {
        _module_of(module, modules): _alpha(source, module, name) for module, name in alphas.items()
    }
    settings = _settings(source)
    unstated = [
        module
        for module in modules
        if module not in values and _settings_of(module, settings) is None
    ]
    notes: tuple[str, ...] = ()
    if unstated:
        bare = [module for module in unstated if module.startswith("base_model.model.")]
        if bare:
            raise ValueError(
                f"{source.label} holds factors of PEFT, whose scale stands in adapter_config.json: "
                "put it beside the file"
            )
        some = "" if len(unstated) == len(modules) else f" for {len(unstated)} of its modules"
        notes = (
            f"no alpha is stated{some}: it is taken to be the rank, so that ΔW is the plain "
            "product, as ComfyUI does, and diffusers where ranks are equal",
        )
    carried = carried_settings(settings[""]) if set(settings) == {""} else {}
    return Scales(values, settings, notes, carried)


def _module_of(module: str, modules: Collection[str]) -> str:
    for ending in _ENDINGS:
        if module not in modules and module.removesuffix(ending) in modules:
            return module.removesuffix(ending)
    return module


def _alpha(source: SafetensorsSource, module: str, name: str) -> float:
    shape = source.tensors[name].shape
    if math.prod(shape) != 1:
        raise ValueError(f"alpha of {module} must be one number; it has the shape {shape}")
    value = float(source.read(name))
    if not math.isfinite(value):
        raise ValueError(f"alpha of {module} must be finite; it is {value}")
    if value == 0:
        raise ValueError(
            f"alpha of {module} is 0, which kohya reads as the rank and ComfyUI as no update; "
            "state the one that is meant"
        )
    return value


def _settings(source: SafetensorsSource) -> dict[str, dict[str, Any]]:
    text = source.metadata.get(_METADATA)
    if text is None:
        return {}
    label = f"{_METADATA} of {source.label}"
    found: dict[str, dict[str, Any]] = {}
    for name, value in json_object(text.encode(), label).items():
        component, dot, setting = name.partition(".")
        if not dot:
            component, setting = "", name
        found.setdefault(component, {})[setting] = value
    for component, config in found.items():
        what = f"{component} in {label}" if component else label
        check_settings({"peft_type": "LORA", **config}, what)
    return found
