"""Single files with factors: kohya's, diffusers' and LyCORIS', or a mixture of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.factor_pairs import FactorPair, factor_pair, whole_term
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.lora_alpha import Scales, read_scales
from lolora_core.adapters.lycoris_forms import DenseForm, DenseUpdate, dense_update
from lolora_core.adapters.peft_keys import reject_several_adapters
from lolora_core.adapters.sets import AdapterSet, make_term
from lolora_core.adapters.stored import LINEAR
from lolora_core.families.global_ import Global
from lolora_core.files.keys import FactorKey, factor_key
from lolora_core.files.ranges import LocalFile
from lolora_core.files.tensors import SafetensorsSource

__all__ = ["open_lora_file", "read_lora_file", "reject_dense"]

#: What each part of a pair is called: as kohya does.
_PAIR = {
    "lora_A": "down",
    "lora_B": "up",
    "lora_down": "down",
    "lora_up": "up",
    "lora_mid": "mid",
    "down": "down",
    "up": "up",
}
_LEFT_OUT = {
    "diff_b": "the update of a bias, which is no matrix",
    "b_norm": "the update of a norm's bias, which is no matrix",
    "w_norm": "the update of a norm, which is no matrix",
    "lora_A.bias": "a trained bias, which no product of factors holds",
    "lora_B.bias": "a trained bias, which no product of factors holds",
}
# What makes the update something else, by how its parts begin.
_REFUSED = {
    "dora_scale": "DoRA (dora_scale), whose update depends on the weights of its base",
    "lora_magnitude_vector": "DoRA (lora_magnitude_vector), whose update depends on its base",
    "oft_": "OFT, which multiplies the weights",
    "boft_": "BOFT, which multiplies the weights",
    "on_input": "IA³, which multiplies the weights",
    "a1.": "GLoRA, whose update depends on the weights of its base",
    "b1.": "GLoRA, whose update depends on the weights of its base",
    "scalar": "a LyCORIS scalar, which programs apply in different ways",
    "rescale": "a rescaled OFT, which multiplies the weights",
    "lora_embedding": "factors of an embedding without PEFT's adapter_config.json",
    "gralora": "GraLoRA without PEFT's adapter_config.json, which says how it is cut",
}


@dataclass
class _Parts:
    """Names of the tensors of one file by module and part."""

    pairs: dict[str, dict[str, str]] = field(default_factory=dict)
    dense: dict[str, dict[str, str]] = field(default_factory=dict)
    alphas: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    adapters: set[str] = field(default_factory=set)


def read_lora_file(path: str | PathLike[str]) -> AdapterSet:
    """Read the LoRA of a single .safetensors file; see `open_lora_file`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_lora_file`; and a file with nothing but LoHa, LoKr and full differences.
    """
    where = Path(path)
    return reject_dense(open_lora_file(SafetensorsSource(str(where), (LocalFile(where),))))


def reject_dense(source: AdapterSource) -> AdapterSet:
    """Return the terms of an adapter; what is no product of two factors is named as left out.

    Raises
    ------
    ValueError
        There are no terms at all.
    """
    adapters, dense = source.adapters, source.dense
    if not dense:
        return adapters
    forms = sorted({update.form for update in dense.values()})
    if not adapters.terms:
        raise ValueError(
            f"{source.label} holds updates that are no product of two factors "
            f"({', '.join(forms)}); extract or resize it: its updates are approximated then"
        )
    more = {
        name: f"a part of a {update.form} update, which is no product of two factors"
        for update in dense.values()
        for name in update.parts.values()
    }
    stored = {name: kind for name, kind in adapters.stored.items() if name in adapters.terms}
    return replace(adapters, stored=stored, left_out={**adapters.left_out, **more})


def open_lora_file(source: SafetensorsSource) -> AdapterSource:
    """Open a file of factors as updates; modules keep the names that stand in it.

    ============= ===========================================================================
    spelling      ΔW
    ============= ===========================================================================
    LoRA          alpha/r·up·down; with lora_mid up·(Σ_l mid[k, l]·down[l]), the Tucker form
    LoHa, LoKr    see `dense_delta`; alpha over the rank, 1 where no part is a product
    diff          itself
    ============= ===========================================================================

    alpha stands in a tensor "MODULE.alpha" or, as in files of diffusers, in the settings within
    ``lora_adapter_metadata``; without either it is the rank, which a note says.

    Raises
    ------
    ValueError
        A method that is no sum to the weights, such as DoRA or OFT; an incomplete pair; shapes
        that do not multiply; an alpha that is no single number; factors as PEFT names them
        without the settings that say their scale.
    """
    label = source.label
    parts = _sorted(source, label)
    if not parts.pairs and not parts.dense:
        raise ValueError(f"{label} holds no factors of an update and no difference")
    scales = read_scales(source, parts.alphas, parts.pairs)
    try:
        dense = _dense(source, parts, scales)
        adapters = _read_pairs(source, parts, scales)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    stored = adapters.stored | {
        module: update.stored for module, update in dense.items() if update.stored != LINEAR
    }
    adapters = replace(
        adapters,
        stored=stored,
        carried=scales.carried,
        left_out=parts.left_out,
        notes=(*scales.notes, *adapters.notes),
        spelling="file",
    )
    return AdapterSource(adapters, label, source.identity, dense, source)


def _sorted(source: SafetensorsSource, label: str) -> _Parts:
    parts = _Parts()
    for name in source.tensors:
        key = factor_key(name)
        if key is None:
            parts.left_out[name] = "no part of an update of a matrix"
            continue
        refused = [words for part, words in _REFUSED.items() if key.part.startswith(part)]
        if refused:
            raise ValueError(
                f"{label} is {refused[0]} (it holds {name}); merge it into its base with the "
                "program that made it, and extract the difference"
            )
        if key.part in _LEFT_OUT:
            parts.left_out[name] = _LEFT_OUT[key.part]
        elif key.part == "alpha":
            parts.alphas[key.module] = name
        elif key.part in _PAIR:
            parts.adapters.add(key.adapter)
            _put(parts.pairs, key, _PAIR[key.part], name, label)
        elif key.part == "diff" and len(source.tensors[name].shape) < 2:
            parts.left_out[name] = "the update of a vector, which is no matrix"
        else:
            _put(parts.dense, key, key.part, name, label)
    reject_several_adapters(parts.adapters, label)
    if both := sorted(set(parts.pairs) & set(parts.dense)):
        raise ValueError(f"{label} holds two updates of {both[0]}")
    return parts


def _put(held: dict[str, dict[str, str]], key: FactorKey, part: str, name: str, label: str) -> None:
    found = held.setdefault(key.module, {})
    if part in found:
        raise ValueError(f"{label} holds {part} of {key.module} twice: {found[part]} and {name}")
    found[part] = name


def _form(module: str, parts: Iterable[str]) -> DenseForm:
    forms: set[DenseForm] = {
        "LoHa" if part.startswith("hada") else "LoKr" if part.startswith("lokr") else "full"
        for part in parts
    }
    if len(forms) > 1:
        raise ValueError(f"{module} has parts of {' and '.join(sorted(forms))}")
    return forms.pop()


def _dense(source: SafetensorsSource, parts: _Parts, scales: Scales) -> dict[str, DenseUpdate]:
    found: dict[str, DenseUpdate] = {}
    for module, held in parts.dense.items():
        form = _form(module, held)
        try:
            update = dense_update(form, held, source.tensors, 1.0)
        except KeyError as error:
            raise ValueError(f"{module} is {form} without {error}") from None
        except (RuntimeError, ValueError):
            shapes = ", ".join(
                f"{part} {source.tensors[name].shape}" for part, name in held.items()
            )
            raise ValueError(f"{module} is {form} of shapes that do not fit: {shapes}") from None
        rank = _inner_rank(source, held)
        if form != "full" and rank is not None:
            update = update._replace(scale=scales.of(module, rank))
        found[module] = update
    return found


def _inner_rank(source: SafetensorsSource, held: Mapping[str, str]) -> int | None:
    """Return the rank of the products within LoHa or LoKr; None where both parts are whole."""
    for part in ("hada_w1_b", "lokr_w1_b", "lokr_w2_b"):
        if part in held:
            return source.tensors[held[part]].shape[0]
    return None


def _read_pairs(source: SafetensorsSource, parts: _Parts, scales: Scales) -> AdapterSet:
    pairs = {module: _pair(module, held, source) for module, held in parts.pairs.items()}
    if not pairs:
        return AdapterSet(AdapterConfig(rank=1, alpha=1.0), {})
    ranks = {module: pair.right.shape[0] for module, pair in pairs.items()}
    given = {module: scales.of(module, rank) for module, rank in ranks.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    scale = Counter(given.values()).most_common(1)[0][0]
    config = AdapterConfig(
        family=Global.name,
        rank=rank,
        alpha=scale * rank if scale > 0 else rank,
        target_modules=tuple(pairs),
    )
    terms: dict[str, tuple[BlockFactors, ...]] = {}
    notes: list[str] = []
    for module, pair in pairs.items():
        term, note = whole_term(module, pair.left, pair.right)
        terms[module] = (make_term(term, config.scaling, given=given[module]),)
        notes += [note] if note else []
    stored = {module: pair.stored for module, pair in pairs.items() if pair.stored != LINEAR}
    return AdapterSet(config, terms, stored, notes=tuple(notes))


def _pair(module: str, held: Mapping[str, str], source: SafetensorsSource) -> FactorPair:
    if missing := [part for part in ("down", "up") if part not in held]:
        raise ValueError(f"{module} has {', '.join(held.values())}, but no {missing[0]} factor")
    down, up = source.read(held["down"]), source.read(held["up"])
    if "mid" not in held:
        return factor_pair(module, down, up)
    return _tucker(module, down, source.read(held["mid"]), up)


def _tucker(module: str, down: Tensor, mid: Tensor, up: Tensor) -> FactorPair:
    """Return up·(Σ_l mid[k, l, …]·down[l]) as two factors; the core goes into the second."""
    fits = mid.ndim > 2 and down.ndim > 1 and mid.shape[1] == down.shape[0]
    if not fits or math.prod(down.shape[2:]) != 1:
        raise ValueError(
            f"{module} has lora_mid of shape {tuple(mid.shape)} between factors of shapes "
            f"{tuple(up.shape)} and {tuple(down.shape)}, which do not multiply"
        )
    wide = torch.promote_types(torch.promote_types(mid.dtype, down.dtype), torch.float32)
    whole = torch.einsum("kl...,lj->kj...", mid.to(wide), down.flatten(1).to(wide))
    return factor_pair(module, whole, up)
