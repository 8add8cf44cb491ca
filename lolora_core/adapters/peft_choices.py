"""The ways to write adapters for PEFT, as LoRA or GraLoRA, with their sizes and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.peft_experts import stackable
from lolora_core.adapters.peft_format import lora_tensors, pack_gralora
from lolora_core.adapters.sets import AdapterSet
from lolora_core.blocks.grid import Grid
from lolora_core.common.checks import check_budget

__all__ = [
    "PeftChoice",
    "PeftKind",
    "adapter_set",
    "as_gralora",
    "as_lora",
    "at_least_one",
    "check_read_back",
    "peft_choices",
    "whole_pair",
]

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
    config, tensors : dict
        What the two files will hold.
    verified : float or None
        How far PEFT's own ΔW are from what was meant, relative to it; None where PEFT has not
        opened it.
    """

    kind: PeftKind
    relative_error: float
    num_parameters: int
    nbytes: int
    structure: str
    config: dict[str, Any] = field(repr=False)
    tensors: dict[str, Tensor] = field(repr=False)
    verified: float | None = None

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


def whole_pair(adapters: AdapterSet, name: str, rank: int | None) -> tuple[Pair, float, float]:
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


def _base_config(kind: str, adapters: AdapterSet, names: Iterable[str]) -> dict[str, Any]:
    targets = list(names)
    # PEFT matches names from a list at the end of a module's name, a pattern the whole name.
    pattern = "|".join(re.escape(name) for name in targets)
    return {
        "base_model_name_or_path": None,
        "inference_mode": True,
        "task_type": None,
        **adapters.carried,
        "peft_type": kind,
        "bias": "none",
        # Where kinds are mixed PEFT looks at each module, whatever stands here.
        "fan_in_fan_out": any(how.kind == "conv1d" for how in adapters.stored.values()),
        "modules_to_save": None,
        "target_modules": targets if all("." in name for name in targets) else f"({pattern})",
    }


def as_lora(adapters: AdapterSet, rank: int | None, dtype: torch.dtype) -> PeftChoice:
    """Return adapters as LoRA: exact, or truncated to a rank."""
    found = {name: whole_pair(adapters, name, rank) for name in adapters.terms}
    pairs = {name: pair for name, (pair, _, _) in found.items()}
    for name, (b, a) in pairs.items():
        if adapters.stored_as(name).is_transposed:
            pairs[name] = a.T, b.T
    pairs, stacked = stackable(pairs, adapters.stored)
    ranks = {name: a.shape[0] for name, (_, a) in pairs.items()}
    scaling = adapters.config.scaling
    common = stacked or _common(list(ranks.values()))
    uneven = {name: own for name, own in ranks.items() if own != common}
    config = _base_config("LORA", adapters, pairs) | {
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
    tensors = {
        f"base_model.model.{name}.{part}": value.to(dtype).contiguous()
        for name, (b, a) in pairs.items()
        for part, value in lora_tensors(b, a, adapters.stored_as(name)).items()
    }
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
    kinds = {adapters.stored_as(name).kind for name in adapters.terms} - {"unclear"}
    if len(kinds) > 1 or kinds & {"embedding", "conv"}:
        return "GraLoRA is for linear layers that are all stored alike"
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


def as_gralora(adapters: AdapterSet, dtype: torch.dtype) -> PeftChoice | str:
    """Return the GraLoRA of adapters that have its structure, or why they do not."""
    sizes = _gralora_sizes(adapters)
    if isinstance(sizes, str):
        return sizes
    rank, k, extra = sizes
    config = _base_config("GRALORA", adapters, adapters.terms) | {
        "r": rank,
        "hybrid_r": extra,
        "alpha": _whole_number(adapters.config.scaling * (rank + extra)),
        "gralora_dropout": adapters.config.dropout,
        "gralora_k": k,
        "init_weights": True,
    }
    tensors = {}
    for name, terms in adapters.terms.items():
        blocks = terms[-1].factors()
        turned = adapters.stored_as(name).is_transposed
        if turned:
            blocks = {(j, i): (right.T, left.T) for (i, j), (left, right) in blocks.items()}
        a, b = pack_gralora(blocks, k)
        parts = {"gralora_A": a, "gralora_B": b}
        if extra:
            left, right = terms[0].factors()[0, 0]
            if turned:
                left, right = right.T, left.T
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


def adapter_set(adapters: nn.Module | AdapterSet) -> AdapterSet:
    """Return the adapters of a model, or those given; their values must be there."""
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
    held = adapter_set(adapters)
    found = [as_lora(held, None, dtype)]
    structured = as_gralora(held, dtype)
    if not isinstance(structured, str):
        found.insert(0, structured)
    if rank is not None:
        found.append(as_lora(held, at_least_one(rank), dtype))
    return tuple(sorted(found, key=lambda choice: (choice.relative_error, choice.num_parameters)))


def check_read_back(
    held: AdapterSet, read: Callable[[str], Tensor], allowed: float, dtype: torch.dtype
) -> None:
    """Compare adapters with what their files hold, all modules together.

    Parameters
    ----------
    held : AdapterSet
    read : callable
        ``read(module)`` is ΔW, (m, n), of the files.
    allowed : float
        Relative error: of a truncation, and of two rounded factors and the sum over ranks.
    dtype : torch.dtype
        Of the file.

    Raises
    ------
    ValueError
        They differ by more.
    """
    left = total = 0.0
    for name in held.terms:
        update = held.delta(name)
        gap = torch.linalg.vector_norm(update - read(name), dtype=torch.float64)
        left += float(gap) ** 2
        total += float(torch.linalg.vector_norm(update, dtype=torch.float64)) ** 2
    if not math.sqrt(left) <= allowed * math.sqrt(total):
        raise ValueError(
            f"the files read back differ from the adapters by {math.sqrt(left / total):.3g} "
            f"of ‖ΔW‖, and {allowed:.3g} is allowed; nothing is kept. Values outside the "
            f"range of {str(dtype).removeprefix('torch.')} do that: try float32"
        )


def at_least_one(rank: SupportsIndex) -> int:
    """Return a rank of 1 or more, or raise ValueError."""
    value = check_budget(rank)
    if value < 1:
        raise ValueError(f"rank must be 1 or more; it is {value}")
    return value
