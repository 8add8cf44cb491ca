"""Adapters to PEFT's LoRA and GraLoRA folders, and back into a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, SupportsIndex, get_args

import torch
from safetensors.torch import save as to_bytes
from torch import nn

from lolora_core.adapters.peft_choices import (
    PeftChoice,
    PeftKind,
    adapter_set,
    as_gralora,
    as_lora,
    at_least_one,
    check_read_back,
)
from lolora_core.adapters.peft_format import PEFT_CONFIG, PEFT_TENSORS
from lolora_core.adapters.peft_names import by_component
from lolora_core.adapters.peft_read import read_peft
from lolora_core.adapters.peft_verify import verify_with_peft, why_not_verified
from lolora_core.adapters.sets import AdapterSet
from lolora_core.files.folders import write_adapter

__all__ = ["Verify", "from_peft", "to_peft"]

Verify = Literal["auto", "peft", "none"]


def _one_model(adapters: AdapterSet) -> AdapterSet:
    """Return adapters with the names of their model's modules."""
    parts = by_component(adapters)
    if len(parts) > 1:
        raise ValueError(
            f"these adapters are for {len(parts)} models ({', '.join(parts)}), and a folder of "
            "PEFT is for one; write each into a folder of its own, see by_component"
        )
    return next(iter(parts.values()))


def _reject_doubts(adapters: AdapterSet) -> None:
    """Refuse what PEFT might apply otherwise than it was meant."""
    doubts = {
        n: how.doubt for n, how in adapters.stored.items() if how.doubt and n in adapters.terms
    }
    for name, doubt in doubts.items():
        more = f" ({len(doubts) - 1} more modules are unclear)" if len(doubts) > 1 else ""
        raise ValueError(f"{name} cannot be written for PEFT: {doubt}{more}")


def to_peft(
    adapters: nn.Module | AdapterSet,
    folder: str | PathLike[str],
    *,
    kind: PeftKind | Literal["auto"] = "auto",
    rank: SupportsIndex | None = None,
    dtype: torch.dtype = torch.float32,
    base_config: Mapping[str, Any] = MappingProxyType({}),
    verify: Verify = "auto",
) -> PeftChoice:
    """Write a folder that ``PeftModel.from_pretrained`` opens; whole or not at all.

    Before the files take their place they are read again and every ΔW is compared, and PEFT
    itself opens them on a model of the base's config.json; see `verify_with_peft`.

    Parameters
    ----------
    adapters : nn.Module or AdapterSet
        A model with adapters, or adapters alone.
    folder : path
    kind : {"auto", "lora", "gralora"}
        "auto" is LoRA for `global` or where a rank is given, GraLoRA where the structure allows
        it, and an exact LoRA for everything else.
    rank : int, optional
        Truncate to a LoRA of this rank; the result states the error.
    dtype : torch.dtype
        float32, float16 or bfloat16.
    base_config : mapping
        The base's config.json.
    verify : {"auto", "peft", "none"}
        "auto" lets PEFT judge where it, transformers and the config are there, "peft" insists.

    Returns
    -------
    PeftChoice
        What was written. `peft_choices` tells sizes before.

    Raises
    ------
    ValueError
        The structure does not allow the kind, or what was read back is not what was written;
        nothing is left then.
    """
    if kind not in ("auto", *get_args(PeftKind)):
        raise ValueError(f"kind must be auto, lora or gralora; it is {kind!r}")
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ValueError(f"dtype must be float32, float16 or bfloat16; it is {dtype}")
    if rank is not None and kind == "gralora":
        raise ValueError("rank truncates to LoRA; GraLoRA keeps the ranks that are there")
    judged = _judges(verify, base_config)
    held = _one_model(adapter_set(adapters))
    _reject_doubts(held)
    chosen: PeftChoice | None = None
    if rank is None and kind != "lora":
        structured = as_gralora(held, dtype)
        if not isinstance(structured, str):
            chosen = structured
        elif kind == "gralora":
            raise ValueError(f"these adapters are not GraLoRA: {structured}")
    if chosen is None:
        chosen = as_lora(held, None if rank is None else at_least_one(rank), dtype)
    files = {
        PEFT_TENSORS: to_bytes(chosen.tensors, metadata={"format": "pt"}),
        PEFT_CONFIG: json.dumps(chosen.config, indent=2, ensure_ascii=False).encode(),
    }
    found: list[float] = []

    def check(draft: Path) -> None:
        allowed = chosen.relative_error + 8 * torch.finfo(dtype).eps
        read = read_peft(draft)
        # Experts without an update are there too, as zeros.
        if not set(read.terms) >= set(held.terms):
            raise ValueError("the files read back do not hold the same modules; nothing is kept")
        check_read_back(held, read.delta, allowed, dtype)
        if judged:
            found.append(verify_with_peft(held, draft, base_config, allowed))

    write_adapter(folder, files, check)
    return replace(chosen, verified=found[0] if found else None)


def _judges(verify: Verify, base_config: Mapping[str, Any]) -> bool:
    if verify not in get_args(Verify):
        raise ValueError(f"verify must be auto, peft or none; it is {verify!r}")
    if verify == "none":
        return False
    reason = why_not_verified(base_config)
    if reason and verify == "peft":
        raise ValueError(f"PEFT cannot judge this adapter: {reason}")
    return not reason


def from_peft(model: nn.Module, folder: str | PathLike[str]) -> nn.Module:
    """Give a model without adapters those of a PEFT folder, in place; whole or not at all.

    LoRA becomes `global`, GraLoRA `localized`, hybrid GraLoRA `hybrid`, all trainable.

    Raises
    ------
    FileNotFoundError, ValueError
        See `read_peft` and `load_adapters`.
    """
    return read_peft(folder).install(model)
