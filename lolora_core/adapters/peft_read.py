"""Adapters from folders and files: PEFT's, those of `save_adapters`, and single LoRA files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.lora_files import open_lora_file, reject_dense
from lolora_core.adapters.lycoris_forms import DenseForm, DenseUpdate, dense_update
from lolora_core.adapters.peft_format import PEFT_CONFIG, PEFT_TENSORS
from lolora_core.adapters.peft_gralora import read_gralora
from lolora_core.adapters.peft_keys import PeftKeys, peft_keys
from lolora_core.adapters.peft_lora import read_lora
from lolora_core.adapters.peft_settings import (
    carried_settings,
    check_settings,
    finite_number,
    pattern_value,
    positive_rank,
)
from lolora_core.adapters.sets import AdapterSet
from lolora_core.adapters.stored import LINEAR
from lolora_core.common.patterns import Matcher
from lolora_core.files.json_files import read_json
from lolora_core.files.keys import factor_key
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.files.ranges import LocalFile
from lolora_core.files.tensors import SafetensorsSource

__all__ = [
    "AdapterSource",
    "open_adapters",
    "open_peft",
    "read_adapters",
    "read_peft",
]

_OWN_CONFIG, _OWN_TENSORS = "adapters.json", "adapters.safetensors"


def read_adapters(where: str | PathLike[str]) -> AdapterSet:
    """Read a folder or a single .safetensors file with an adapter.

    A folder is one of PEFT or of `save_adapters`; a file is kohya's, diffusers', LyCORIS', or
    PEFT's with its adapter_config.json beside it.

    Raises
    ------
    FileNotFoundError, ValueError
        See `read_peft`, `load_adapters` and `open_lora_file`.
    """
    return reject_dense(open_adapters(Path(where)))


def open_adapters(where: Path) -> AdapterSource:
    """Open what `read_adapters` reads, and LoHa, LoKr and full differences, as updates."""
    if where.is_dir():
        if not (where / _OWN_CONFIG).is_file():
            return _open_folder(where, where / PEFT_TENSORS)
        adapters = AdapterSet.load(where)
        return AdapterSource(adapters, str(where), LocalFile(where / _OWN_TENSORS).identity)
    if where.name == _OWN_TENSORS and (where.parent / _OWN_CONFIG).is_file():
        return open_adapters(where.parent)
    source = SafetensorsSource(str(where), (LocalFile(where),))
    if (where.parent / PEFT_CONFIG).is_file() and _is_peft(source):
        return _open_folder(where.parent, where)
    return open_lora_file(source)


def _is_peft(source: SafetensorsSource) -> bool:
    """Return whether the factors of a file are named as PEFT names them."""
    keys = [key for name in source.tensors if (key := factor_key(name)) is not None]
    prefixed = any(key.module.startswith("base_model.model.") for key in keys)
    return prefixed or (bool(keys) and all(key.format == "peft" for key in keys))


def read_peft(folder: str | PathLike[str]) -> AdapterSet:
    """Read a PEFT adapter: LoRA as `global`, GraLoRA as `localized`, hybrid GraLoRA as `hybrid`.

    LoRA (arXiv 2106.09685): ΔW = (alpha/r)·B·A, uneven ranks and alphas and rank-stabilized
    scaling alpha/√r included; (B·A)ᵀ for embeddings, and for Conv1D of transformers. GraLoRA
    (arXiv 2505.20355): block (j, i) of ΔW is alpha/(r + hybrid_r) times the product of the i-th
    r/K rows of B[j] and the j-th r/K columns of A[i], so K×K blocks of rank r/K.

    What was saved beside the factors is named in `left_out`.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing or damaged; another method; a setting that makes the update something
        else than the product, see `check_settings`; LoHa and LoKr, which are no product: open
        them as a source.
    """
    where = Path(folder)
    return reject_dense(_open_folder(where, where / PEFT_TENSORS))


def _open_folder(folder: Path, tensors: Path) -> AdapterSource:
    if not tensors.is_file() and (folder / "adapter_model.bin").is_file():
        refuse_pickle_name("adapter_model.bin")
    config = read_json(folder / PEFT_CONFIG)
    return open_peft(config, SafetensorsSource(str(folder), (LocalFile(tensors),)))


def open_peft(config: Mapping[str, Any], source: SafetensorsSource) -> AdapterSource:
    """Open a PEFT adapter by its settings and its tensors as updates.

    Parameters
    ----------
    config : mapping
        The content of adapter_config.json.
    source : SafetensorsSource

    Raises
    ------
    ValueError
        As `read_peft`, but LoHa and LoKr are opened.
    """
    label = source.label
    kind = check_settings(config, label)
    keys = peft_keys(source.tensors, label)
    if not keys.parts:
        raise ValueError(f"{label} holds no factors: {PEFT_TENSORS} has other tensors only")
    dense: dict[str, DenseUpdate] = {}
    try:
        if kind == "LORA":
            adapters = read_lora(config, keys, source)
        elif kind == "GRALORA":
            adapters = read_gralora(config, keys, source)
        else:
            adapters, dense = _open_dense(kind, config, keys, source)
    except KeyError as error:
        raise ValueError(f"{label} is damaged: {error} is missing") from None
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{label} is damaged: {str(error)[:120]} does not fit") from None
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    adapters = replace(
        adapters,
        carried=carried_settings(config),
        left_out={**keys.left_out, **adapters.left_out},
        notes=(*keys.notes, *adapters.notes),
    )
    return AdapterSource(adapters, label, source.identity, dense, source)


def _open_dense(
    kind: str, config: Mapping[str, Any], keys: PeftKeys, source: SafetensorsSource
) -> tuple[AdapterSet, dict[str, DenseUpdate]]:
    form: DenseForm = "LoHa" if kind == "LOHA" else "LoKr"
    found = {}
    matcher = Matcher()
    for module, parts in keys.parts.items():
        own_rank = pattern_value(config.get("rank_pattern"), module, config["r"], matcher)
        own_alpha = pattern_value(config.get("alpha_pattern"), module, config["alpha"], matcher)
        rank, alpha = positive_rank(own_rank, "r"), finite_number(own_alpha, "alpha")
        found[module] = dense_update(form, parts, source.tensors, alpha / rank)
    stored = {name: update.stored for name, update in found.items() if update.stored != LINEAR}
    return AdapterSet(AdapterConfig(rank=1, alpha=1.0), {}, stored), found
