"""Two adapters that spell the modules of one model in two ways, brought to the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.lora_names import is_kohya_name, match_base
from lolora_core.files.tensors import TensorSource

__all__ = ["same_names"]

T = TypeVar("T")


def same_names(one: TensorSource, two: TensorSource) -> tuple[TensorSource, TensorSource]:
    """Give modules of LoRA files the dotted names that the other adapter has for them.

    As kohya's lora_unet_mid_block_to_q against diffusers' unet.mid_block.to_q; see `match_base`.
    What is not certain keeps its name.
    """
    two = _named_as(two, one)
    return _named_as(one, two), two


def _named_as(source: TensorSource, other: TensorSource) -> TensorSource:
    if not isinstance(source, AdapterSource):
        return source
    own, theirs = (
        {name.removesuffix(".weight") for name in held.tensors} for held in (source, other)
    )
    spelt = [
        module
        for module in sorted(own - theirs)
        if is_kohya_name(module) or source.adapters.spelling == "file"
    ]
    dotted = [module for module in sorted(theirs - own) if not is_kohya_name(module)]
    found = match_base(spelt, dotted)
    counts = Counter(found.values())
    return _renamed(source, {old: new for old, new in found.items() if counts[new] == 1})


def _renamed(source: AdapterSource, names: Mapping[str, str]) -> AdapterSource:
    def new(held: Mapping[str, T]) -> dict[str, T]:
        return {names.get(module, module): value for module, value in held.items()}

    held = source.adapters
    adapters = replace(held, terms=new(held.terms), stored=new(held.stored))
    return replace(source, adapters=adapters, dense=new(source.dense))
