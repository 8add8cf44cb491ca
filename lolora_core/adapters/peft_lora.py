"""PEFT's LoRA as an `AdapterSet`: linear layers, Conv1D, embeddings, convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.factor_pairs import FactorPair, GroupsError, factor_pair, whole_term
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.peft_format import PEFT_CONFIG
from lolora_core.adapters.peft_keys import PeftKeys, read_parts
from lolora_core.adapters.peft_orientation import peft_stored
from lolora_core.adapters.peft_settings import (
    finite_number,
    pattern_value,
    positive_alpha,
    positive_rank,
)
from lolora_core.adapters.sets import AdapterSet, make_term
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.common.patterns import Matcher
from lolora_core.families.global_ import Global
from lolora_core.files.tensors import TensorSource

__all__ = ["read_lora"]

_INSIDE = ".base_layer."
_IN_ATTENTION = Stored(
    "unclear",
    doubt="a projection of an nn.MultiheadAttention, whose factors PEFT keeps under other names: "
    "they are read, but not written for PEFT",
)


def read_lora(config: Mapping[str, Any], keys: PeftKeys, source: TensorSource) -> AdapterSet:
    """Return ΔW = scale·B·A of every module, scale = alpha/r, or alpha/√r where rank-stabilized.

    Parameters
    ----------
    config : mapping
        The content of adapter_config.json, after `check_settings`.
    keys : PeftKeys
    source : TensorSource
        What the keys are read from.

    Raises
    ------
    KeyError, TypeError, ValueError
        A setting or a factor is missing, shapes do not multiply, or the rank is not the one that
        the settings state.
    """
    rank, stabilized = positive_rank(config["r"], "r"), bool(config.get("use_rslora"))
    alpha = finite_number(config["lora_alpha"], "lora_alpha")
    # With alpha·√r the common scale is alpha/√r, so most factors stay as they are.
    common = positive_alpha(alpha * math.sqrt(rank) if stabilized else alpha, rank)
    settings = AdapterConfig(
        family=Global.name,
        rank=rank,
        alpha=common,
        target_modules=tuple(keys.parts),
        dropout=float(config.get("lora_dropout") or 0.0),
    )
    linear = [module for module, held in keys.parts.items() if "lora_A" in held]
    turned, notes = peft_stored(config, linear)
    terms: dict[str, tuple[BlockFactors, ...]] = {}
    stored: dict[str, Stored] = {}
    left_out: dict[str, str] = {}
    matcher = Matcher()
    for module, held in keys.parts.items():
        try:
            pair = _pair(module, keys, source, turned.get(module, LINEAR))
        except GroupsError as error:
            left_out |= dict.fromkeys(held.values(), str(error))
            continue
        found = pair.right.shape[0]
        own_rank = pattern_value(config.get("rank_pattern"), module, rank, matcher)
        own_alpha = finite_number(
            pattern_value(config.get("alpha_pattern"), module, alpha, matcher), "alpha_pattern"
        )
        if found != own_rank:
            raise ValueError(f"{module} has rank {found}, and {PEFT_CONFIG} says {own_rank}")
        name = module.replace(_INSIDE, ".")
        term, note = whole_term(name, pair.left, pair.right)
        given = own_alpha / (math.sqrt(own_rank) if stabilized else own_rank)
        terms[name] = (make_term(term, settings.scaling, given=given),)
        if pair.stored != LINEAR:
            stored[name] = pair.stored
        notes += (note,) if note else ()
    stored |= _attention(keys)
    return AdapterSet(settings, terms, stored, left_out=left_out, notes=notes)


def _pair(module: str, keys: PeftKeys, source: TensorSource, stored: Stored) -> FactorPair:
    if any(part.startswith("lora_embedding") for part in keys.parts[module]):
        a, b = read_parts(module, keys, source, ("lora_embedding_A", "lora_embedding_B"))
        return factor_pair(module, a, b).turned(Stored("embedding"))
    a, b = read_parts(module, keys, source, ("lora_A", "lora_B"))
    pair = factor_pair(module, a, b)
    return pair.turned(stored) if stored.is_transposed and pair.stored == LINEAR else pair


def _attention(keys: PeftKeys) -> dict[str, Stored]:
    """Return the modules that belong to an nn.MultiheadAttention, by how PEFT names its parts."""
    found = {}
    for module in keys.parts:
        parent, inside, _ = module.rpartition(_INSIDE)
        if inside:
            found[module.replace(_INSIDE, ".")] = _IN_ATTENTION
            if parent in keys.parts:
                found[parent] = _IN_ATTENTION
    return found
