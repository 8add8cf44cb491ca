"""Folders with an adapter: PEFT's LoRA and GraLoRA, and those of `save_adapters`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.peft_format import PEFT_CONFIG, PEFT_TENSORS, unpack_gralora
from lolora_core.adapters.sets import AdapterSet, BlockTerm, make_term
from lolora_core.blocks.grid import Grid
from lolora_core.families.global_ import Global
from lolora_core.families.hybrid import Hybrid
from lolora_core.families.localized import Localized
from lolora_core.files.header import TensorInfo, matrix_views
from lolora_core.files.json_files import read_json
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.files.ranges import LocalFile
from lolora_core.files.tensors import SafetensorsSource

__all__ = ["AdapterSource", "is_adapter_folder", "open_adapters", "read_adapters", "read_peft"]

_OWN_CONFIG, _OWN_TENSORS = "adapters.json", "adapters.safetensors"

# Each makes the update something else than a scaled product, and leaves no tensor that says so.
_OTHER_FORMULAS = (
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "target_parameters",
    "use_bdlora",
    "use_dora",
    "use_qalora",
)
_KEY = re.compile(
    r"base_model\.model\.(?P<module>.+)\."
    r"(?P<part>lora_[AB]\.weight|gralora_[AB](?:_general\.weight)?)"
)


@dataclass(frozen=True)
class AdapterSource:
    """The updates ΔW of an adapter as a source: one tensor "MODULE.weight" for each module."""

    adapters: AdapterSet = field(repr=False)
    label: str
    identity: str
    is_update: bool = True
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was cut or passed over when the adapter was read."""
        return self.adapters.notes

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The shape of each module's weight."""
        found = {}
        for module, terms in self.adapters.terms.items():
            name, shape = f"{module}.weight", terms[0].layout.grid.shape
            found[name] = TensorInfo(name, "F32", shape, *matrix_views("F32", shape))
        return found

    def read(self, name: str) -> Float[Tensor, "m n"]:
        """Return ΔW of one module."""
        return self.adapters.delta(name.removesuffix(".weight"))

    def held_rank(self, name: str) -> int:
        """Return the largest rank that the factors of one module can give ΔW."""
        layouts = [term.layout for term in self.adapters.terms[name.removesuffix(".weight")]]
        return min(sum(layout.most_rank for layout in layouts), *layouts[0].grid.shape)


def is_adapter_folder(folder: Path) -> bool:
    """Return whether a folder holds an adapter of PEFT or of `save_adapters`."""
    return any((folder / name).is_file() for name in (PEFT_CONFIG, _OWN_CONFIG))


def read_adapters(folder: str | PathLike[str]) -> AdapterSet:
    """Read an adapter of either kind; see `read_peft` and `load_adapters`."""
    own = (Path(folder) / _OWN_CONFIG).is_file()
    return AdapterSet.load(folder) if own else read_peft(folder)


def open_adapters(folder: Path) -> AdapterSource:
    """Open an adapter as a source of updates."""
    own = (folder / _OWN_CONFIG).is_file()
    tensors = folder / (_OWN_TENSORS if own else PEFT_TENSORS)
    adapters = read_adapters(folder)
    return AdapterSource(adapters, str(folder), LocalFile(tensors).identity)


def read_peft(folder: str | PathLike[str]) -> AdapterSet:
    """Read a PEFT adapter: LoRA as `global`, GraLoRA as `localized`, hybrid GraLoRA as `hybrid`.

    LoRA (arXiv 2106.09685): ΔW = (alpha/r)·B·A, uneven ranks and alphas and rank-stabilized
    scaling alpha/√r included. GraLoRA (arXiv 2505.20355): block (j, i) of ΔW is
    alpha/(r + hybrid_r) times the product of the i-th r/K rows of B[j] and the j-th r/K columns
    of A[i], so K×K blocks of rank r/K.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing or damaged, another method than these two, or an adapter that is more
        than its low-rank products, such as DoRA or trained biases.
    """
    where = Path(folder)
    if not (where / PEFT_TENSORS).is_file() and (where / "adapter_model.bin").is_file():
        refuse_pickle_name("adapter_model.bin")
    config = read_json(where / PEFT_CONFIG)
    kind = config.get("peft_type")
    if kind not in ("LORA", "GRALORA"):
        raise ValueError(f"{where} is a PEFT adapter of type {kind!r}; LORA and GRALORA are read")
    if found := [name for name in _OTHER_FORMULAS if config.get(name)]:
        raise ValueError(
            f"{where} sets {', '.join(found)}, so its update is not a scaled low-rank product"
        )
    parts = _parts(SafetensorsSource(str(where), (LocalFile(where / PEFT_TENSORS),)))
    try:
        return (_read_lora if kind == "LORA" else _read_gralora)(config, parts)
    except KeyError as error:
        raise ValueError(f"{where} is damaged: {error} is missing") from None
    except (TypeError, RuntimeError, re.error) as error:
        raise ValueError(f"{where} is damaged: {str(error)[:120]} does not fit") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _parts(source: SafetensorsSource) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for key in source.tensors:
        named = _KEY.fullmatch(key)
        if named is None:
            raise ValueError(
                f"{source.label} holds {key}, which is no factor of LoRA or GraLoRA: only adapters "
                "that are low-rank products are read"
            )
        parts.setdefault(named["module"], {})[named["part"].removesuffix(".weight")] = source.read(
            key
        )
    return parts


def _pattern(patterns: object, module: str, default: Any) -> Any:
    """Return the entry whose key matches the end of a module's name, as PEFT looks it up."""
    if isinstance(patterns, Mapping):
        for key, value in patterns.items():
            if re.match(rf"(.*\.)?({key})$", module):
                return value
    return default


def whole_layout(shape: tuple[int, int], rank: int) -> BlockLayout:
    """Return the layout of one product that spans the matrix."""
    return BlockLayout(Grid.regular(shape, 1), np.array([[rank]]))


def _whole(b: Tensor, a: Tensor) -> BlockTerm:
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"factors of shapes {tuple(b.shape)} and {tuple(a.shape)} do not multiply")
    layout = whole_layout((b.shape[0], a.shape[1]), a.shape[0])
    if a.shape[0] > min(layout.grid.shape):
        raise ValueError(f"rank {a.shape[0]} is above the full rank {min(layout.grid.shape)}")
    return BlockTerm(layout, {(0, 0): (b, a)})


def _targets(config: Mapping[str, Any], parts: Mapping[str, object]) -> dict[str, Any]:
    return {"target_modules": tuple(parts), "dropout": float(config.get("lora_dropout") or 0.0)}


def _read_lora(config: Mapping[str, Any], parts: Mapping[str, dict[str, Tensor]]) -> AdapterSet:
    rank, alpha = config["r"], config["lora_alpha"]
    settings = AdapterConfig(family=Global.name, rank=rank, alpha=alpha, **_targets(config, parts))
    terms: dict[str, tuple[BlockFactors, ...]] = {}
    for module, held in parts.items():
        a, b = held["lora_A"], held["lora_B"]
        own_rank = _pattern(config.get("rank_pattern"), module, rank)
        own_alpha = _pattern(config.get("alpha_pattern"), module, alpha)
        if a.shape[0] != own_rank:
            raise ValueError(f"{module} has rank {a.shape[0]}, and {PEFT_CONFIG} says {own_rank}")
        given = own_alpha / (math.sqrt(own_rank) if config.get("use_rslora") else own_rank)
        terms[module] = (make_term(_whole(b, a), settings.scaling, given=given),)
    return AdapterSet(settings, terms)


def _read_gralora(config: Mapping[str, Any], parts: Mapping[str, dict[str, Tensor]]) -> AdapterSet:
    rank, blocks, extra = config["r"], config["gralora_k"], config.get("hybrid_r") or 0
    each, left = divmod(rank, blocks)
    if left or not each:
        raise ValueError(f"r {rank} is not a multiple of gralora_k {blocks}")
    settings = AdapterConfig(
        family=Hybrid.name if extra else Localized.name,
        rank=rank + extra,
        grid=blocks,
        alpha=config["alpha"],
        target_modules=tuple(parts),
        dropout=float(config.get("gralora_dropout") or 0.0),
        rank_map=np.full((blocks, blocks), each) if extra else None,
        global_rank=extra or None,
    )
    terms: dict[str, tuple[BlockFactors, ...]] = {}
    for module, held in parts.items():
        a, b = held["gralora_A"], held["gralora_B"]
        if a.shape[::2] != (blocks, rank) or b.shape[:2] != (blocks, rank):
            raise ValueError(
                f"{module} has factors of shapes {tuple(a.shape)} and {tuple(b.shape)}, not "
                f"[{blocks}, in/{blocks}, {rank}] and [{blocks}, {rank}, out/{blocks}]"
            )
        grid = Grid.regular((blocks * b.shape[2], blocks * a.shape[1]), blocks)
        layout = BlockLayout(grid, np.full(grid.blocks, each))
        local = make_term(
            BlockTerm(layout, unpack_gralora(a, b)), settings.scaling, given=settings.scaling
        )
        if extra:
            whole = _whole(held["gralora_B_general"], held["gralora_A_general"])
            first = make_term(whole, settings.scaling, given=settings.scaling)
            terms[module] = (first, local)
        else:
            terms[module] = (local,)
    return AdapterSet(settings, terms)
