"""Adapters to PEFT's LoRA and GraLoRA folders, and back into a model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, SupportsIndex, get_args

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.peft_format import PEFT_CONFIG, PEFT_TENSORS, pack_gralora
from lolora_core.adapters.peft_read import read_peft
from lolora_core.adapters.sets import AdapterSet
from lolora_core.blocks.grid import Grid
from lolora_core.common.checks import check_budget
from lolora_core.files.folders import write_adapter

__all__ = ["PeftChoice", "PeftKind", "from_peft", "peft_choices", "to_peft"]

PeftKind = Literal["lora", "gralora"]

Pair = tuple[Float[Tensor, "m r"], Float[Tensor, "r n"]]


@dataclass(frozen=True)
class PeftChoice:
    """One way to write adapters for PEFT.

    Attributes
    ----------
    kind : {"lora", "gralora"}
    relative_error : float
        Of the updates of all modules together, before rounding to the dtype; 0 where exact.
    num_parameters : int
        Entries of all factors.
    nbytes : int
        Their bytes in the file.
    structure : str
        What it is, in words: "LoRA of rank 4".
    """

    kind: PeftKind
    relative_error: float
    num_parameters: int
    nbytes: int
    structure: str
    _config: dict[str, Any] = field(repr=False)
    _tensors: dict[str, Tensor] = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether the updates are the same up to rounding."""
        return self.relative_error == 0

    @property
    def summary(self) -> str:
        """The structure, how near it comes, and its size, in a sentence."""
        near = "exact" if self.exact else f"truncated, relative error {self.relative_error:.3g}"
        size = f"{self.num_parameters:,} parameters, {self.nbytes:,} bytes"
        return f"{self.structure}, {near}: {size}"


def _spans(term: BlockFactors) -> bool:
    return term.layout.grid.blocks == (1, 1)


def _stacked(terms: tuple[BlockFactors, ...]) -> Pair:
    pairs = [term.factors()[0, 0] for term in terms]
    return torch.cat([b for b, _ in pairs], 1), torch.cat([a for _, a in pairs], 0)


def _whole_pair(adapters: AdapterSet, name: str, rank: int | None) -> tuple[Pair, float, float]:
    """Return B and A with s·B·A = ΔW of one module, the energy they leave out, and ‖ΔW‖²."""
    terms = adapters.terms[name]
    scaling = adapters.config.scaling
    plain = all(_spans(term) for term in terms)
    held = sum(int(term.layout.rank_map.sum()) for term in terms)
    if plain and held <= (min(terms[0].layout.grid.shape) if rank is None else rank):
        return _stacked(terms), 0.0, _energy(adapters, name)
    # In float64 the singular values beyond the rank of the update stand out as rounding.
    update = _double(adapters, name)
    u, s, vh = torch.linalg.svd(update, full_matrices=False)
    needed = int((s > max(update.shape) * torch.finfo(s.dtype).eps * s[0]).sum())
    keep = max(1, needed if rank is None else min(needed, rank))
    root = (s[:keep] / scaling).sqrt()
    pair = (u[:, :keep] * root).float(), (root[:, None] * vh[:keep]).float()
    energies = (s**2).numpy(force=True)
    left = 0.0 if keep >= needed else float(energies[keep:].sum())
    return pair, left, float(energies.sum())


def _double(adapters: AdapterSet, name: str) -> Float[Tensor, "m n"]:
    one = AdapterSet(adapters.config, {name: adapters.terms[name]})
    return one.to(torch.float64).delta(name)


def _energy(adapters: AdapterSet, name: str) -> float:
    return float(torch.linalg.vector_norm(_double(adapters, name)) ** 2)


def _common(values: list[Any]) -> Any:
    return max(set(values), key=values.count)


def _whole_number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


def _base_config(kind: str, adapters: AdapterSet) -> dict[str, Any]:
    names = list(adapters.terms)
    # PEFT matches names from a list at the end of a module's name, a pattern the whole name.
    pattern = "|".join(re.escape(name) for name in names)
    return {
        "peft_type": kind,
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "modules_to_save": None,
        "target_modules": names if all("." in name for name in names) else f"({pattern})",
        "task_type": None,
    }


def _as_lora(adapters: AdapterSet, rank: int | None, dtype: torch.dtype) -> PeftChoice:
    found = {name: _whole_pair(adapters, name, rank) for name in adapters.terms}
    ranks = {name: pair[1].shape[0] for name, (pair, _, _) in found.items()}
    scaling = adapters.config.scaling
    common = _common(list(ranks.values()))
    uneven = {name: own for name, own in ranks.items() if own != common}
    config = _base_config("LORA", adapters) | {
        "r": common,
        "lora_alpha": _whole_number(scaling * common),
        "lora_dropout": adapters.config.dropout,
        "init_lora_weights": True,
        # Anchored: PEFT matches each key as a pattern at the end of a module's name.
        "rank_pattern": {f"^{re.escape(name)}$": own for name, own in uneven.items()},
        "alpha_pattern": {
            f"^{re.escape(name)}$": _whole_number(scaling * own) for name, own in uneven.items()
        },
        "use_dora": False,
        "use_rslora": False,
    }
    tensors = {}
    for name, ((b, a), _, _) in found.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = a.to(dtype).contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = b.to(dtype).contiguous()
    left = sum(lost for _, lost, _ in found.values())
    total = sum(energy for _, _, energy in found.values())
    error = math.sqrt(left / total) if total else 0.0
    low, high = min(ranks.values()), max(ranks.values())
    words = f"rank {low}" if low == high else f"ranks {low} to {high}"
    return _choice("lora", config, tensors, error, f"LoRA of {words}")


class _GraloraSizes(NamedTuple):
    """What GraLoRA has once for all modules: r, K, and the rank of the global term."""

    rank: int
    blocks: int
    extra: int


def _gralora_sizes(adapters: AdapterSet) -> _GraloraSizes | str:
    """Return the sizes of adapters that have GraLoRA's structure, or why they do not."""
    found = set()
    for name, terms in adapters.terms.items():
        if len(terms) > 2 or _spans(terms[-1]) or (len(terms) == 2 and not _spans(terms[0])):
            return f"{name} is not equal ranks on blocks, with at most one global term"
        layout = terms[-1].layout
        rows, cols = layout.grid.blocks
        m, n = layout.grid.shape
        if rows != cols or m % rows or n % cols or layout.grid != Grid.regular((m, n), rows):
            return f"the {layout.grid.label} grid of {name} ({m}×{n}) is not K×K equal blocks"
        if len(np.unique(layout.rank_map)) > 1:
            return f"the ranks of the blocks of {name} are not all equal"
        extra = int(terms[0].layout.rank_map[0, 0]) if len(terms) == 2 else 0
        found.add(_GraloraSizes(int(layout.rank_map[0, 0]) * rows, rows, extra))
    if len(found) > 1:
        return "the ranks or grids of the modules differ, and GraLoRA has one for all"
    return found.pop()


def _as_gralora(adapters: AdapterSet, dtype: torch.dtype) -> PeftChoice | str:
    """Return the GraLoRA of adapters that have its structure, or why they do not."""
    sizes = _gralora_sizes(adapters)
    if isinstance(sizes, str):
        return sizes
    rank, k, extra = sizes
    config = _base_config("GRALORA", adapters) | {
        "r": rank,
        "hybrid_r": extra,
        "alpha": _whole_number(adapters.config.scaling * (rank + extra)),
        "gralora_dropout": adapters.config.dropout,
        "gralora_k": k,
        "init_weights": True,
    }
    tensors = {}
    for name, terms in adapters.terms.items():
        a, b = pack_gralora(terms[-1].factors(), k)
        parts = {"gralora_A": a, "gralora_B": b}
        if extra:
            left, right = terms[0].factors()[0, 0]
            parts |= {"gralora_A_general.weight": right, "gralora_B_general.weight": left}
        for part, value in parts.items():
            tensors[f"base_model.model.{name}.{part}"] = value.to(dtype).contiguous()
    also = f" and hybrid_r {extra}" if extra else ""
    return _choice("gralora", config, tensors, 0.0, f"GraLoRA of r {rank}, K {k}{also}")


def _choice(
    kind: PeftKind, config: dict[str, Any], tensors: dict[str, Tensor], error: float, structure: str
) -> PeftChoice:
    count = sum(value.numel() for value in tensors.values())
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    return PeftChoice(kind, error, count, size, structure, config, tensors)


def _as_set(adapters: nn.Module | AdapterSet) -> AdapterSet:
    held = AdapterSet.from_model(adapters) if isinstance(adapters, nn.Module) else adapters
    for name, terms in held.terms.items():
        if terms[0].A[0].is_meta:
            raise ValueError(f"the adapter of {name!r} is on the meta device: it has no values")
    return held


def peft_choices(
    adapters: nn.Module | AdapterSet,
    *,
    rank: SupportsIndex | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[PeftChoice, ...]:
    """Return every way to write adapters for PEFT with its size and its error.

    An exact LoRA always exists: its rank is the rank of each ΔW, which for blocks is more than
    theirs, so it may be larger than ΔW itself. GraLoRA (arXiv 2505.20355) exists for `localized`
    on K×K equal blocks, and for `hybrid` with equal ranks.

    Parameters
    ----------
    adapters : nn.Module or AdapterSet
        A model with adapters, or adapters alone.
    rank : int, optional
        Add a LoRA truncated to this rank, 1 or more.
    dtype : torch.dtype
        Of the factors in the file.

    Returns
    -------
    tuple of PeftChoice
        The exact ones first, the fewest parameters first.

    Examples
    --------
    >>> from lolora_core.adapters import AdapterConfig, add_adapters
    >>> model = nn.Sequential(nn.Linear(8, 8))
    >>> _ = add_adapters(model, AdapterConfig(family="localized", rank=2, grid=2))
    >>> _ = nn.init.ones_(model[0].terms[0].B[0])
    >>> for choice in peft_choices(model):
    ...     print(choice.summary)
    GraLoRA of r 2, K 2, exact: 32 parameters, 128 bytes
    LoRA of rank 2, exact: 32 parameters, 128 bytes
    """
    held = _as_set(adapters)
    found = [_as_lora(held, None, dtype)]
    structured = _as_gralora(held, dtype)
    if not isinstance(structured, str):
        found.insert(0, structured)
    if rank is not None:
        found.append(_as_lora(held, _at_least_one(rank), dtype))
    return tuple(sorted(found, key=lambda choice: (choice.relative_error, choice.num_parameters)))


def _at_least_one(rank: SupportsIndex) -> int:
    value = check_budget(rank)
    if value < 1:
        raise ValueError(f"rank must be 1 or more; it is {value}")
    return value


def to_peft(
    adapters: nn.Module | AdapterSet,
    folder: str | PathLike[str],
    *,
    kind: PeftKind | Literal["auto"] = "auto",
    rank: SupportsIndex | None = None,
    dtype: torch.dtype = torch.float32,
) -> PeftChoice:
    """Write a folder that ``PeftModel.from_pretrained`` opens; whole or not at all.

    Before the files take their place they are read again and every ΔW is compared.

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
    held = _as_set(adapters)
    chosen: PeftChoice | None = None
    if rank is None and kind != "lora":
        structured = _as_gralora(held, dtype)
        if not isinstance(structured, str):
            chosen = structured
        elif kind == "gralora":
            raise ValueError(f"these adapters are not GraLoRA: {structured}")
    if chosen is None:
        chosen = _as_lora(held, None if rank is None else _at_least_one(rank), dtype)
    files = {
        PEFT_TENSORS: to_bytes(chosen._tensors, metadata={"format": "pt"}),
        PEFT_CONFIG: json.dumps(chosen._config, indent=2, ensure_ascii=False).encode(),
    }
    write_adapter(folder, files, _comparison(held, chosen, dtype))
    return chosen


def _comparison(held: AdapterSet, chosen: PeftChoice, dtype: torch.dtype) -> Callable[[Path], None]:
    # Two rounded factors and the sum over ranks, against the norm of the whole update.
    allowed = chosen.relative_error + 8 * torch.finfo(dtype).eps

    def compare(draft: Path) -> None:
        read = read_peft(draft)
        if set(read.terms) != set(held.terms):
            raise ValueError("the files read back do not hold the same modules; nothing is kept")
        left = total = 0.0
        for name in held.terms:
            update = held.delta(name)
            gap = torch.linalg.vector_norm(update - read.delta(name), dtype=torch.float64)
            left += float(gap) ** 2
            total += float(torch.linalg.vector_norm(update, dtype=torch.float64)) ** 2
        if not math.sqrt(left) <= allowed * math.sqrt(total):
            raise ValueError(
                f"the files read back differ from the adapters by {math.sqrt(left / total):.3g} "
                f"of ‖ΔW‖, and {allowed:.3g} is allowed; nothing is kept. Values outside the "
                f"range of {str(dtype).removeprefix('torch.')} do that: try float32"
            )

    return compare


def from_peft(model: nn.Module, folder: str | PathLike[str]) -> nn.Module:
    """Give a model without adapters those of a PEFT folder, in place; whole or not at all.

    LoRA becomes `global`, GraLoRA `localized`, hybrid GraLoRA `hybrid`, all trainable.

    Raises
    ------
    FileNotFoundError, ValueError
        See `read_peft` and `load_adapters`.
    """
    return read_peft(folder).install(model)
