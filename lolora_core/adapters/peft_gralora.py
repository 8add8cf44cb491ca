"""PEFT's GraLoRA as an `AdapterSet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.factor_pairs import factor_pair, whole_term
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.peft_format import unpack_gralora
from lolora_core.adapters.peft_keys import PeftKeys, part_names, read_parts
from lolora_core.adapters.peft_orientation import peft_stored
from lolora_core.adapters.peft_settings import finite_number, positive_alpha, positive_rank
from lolora_core.adapters.sets import AdapterSet, BlockTerm, make_term
from lolora_core.blocks.grid import Grid
from lolora_core.families.hybrid import Hybrid
from lolora_core.families.localized import Localized
from lolora_core.files.tensors import TensorSource

__all__ = ["read_gralora"]

_BLOCKS = ("gralora_A", "gralora_B")


def read_gralora(config: Mapping[str, Any], keys: PeftKeys, source: TensorSource) -> AdapterSet:
    """Return the K×K blocks of rank r/K of every module, and its global term of rank hybrid_r.

    Block (j, i) of ΔW is alpha/(r + hybrid_r) times the product of the i-th r/K rows of B[j] and
    the j-th r/K columns of A[i] (arXiv 2505.20355).

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
        A setting or a factor is missing, or shapes do not fit the settings.
    """
    rank, blocks = positive_rank(config["r"], "r"), positive_rank(config["gralora_k"], "gralora_k")
    extra = positive_rank(config["hybrid_r"], "hybrid_r") if config.get("hybrid_r") else 0
    each, left = divmod(rank, blocks)
    if left or not each:
        raise ValueError(f"r {rank} is not a multiple of gralora_k {blocks}")
    # Before anything of these sizes is made.
    for module in keys.parts:
        _check_shapes(module, keys, source, blocks, rank)
    alpha, total = finite_number(config["alpha"], "alpha"), rank + extra
    settings = AdapterConfig(
        family=Hybrid.name if extra else Localized.name,
        rank=total,
        grid=blocks,
        alpha=positive_alpha(alpha, total),
        target_modules=tuple(keys.parts),
        dropout=float(config.get("gralora_dropout") or 0.0),
        rank_map=np.full((blocks, blocks), each) if extra else None,
        global_rank=extra or None,
    )
    stored, notes = peft_stored(config, keys.parts)
    terms: dict[str, tuple[BlockFactors, ...]] = {}
    for module in keys.parts:
        a, b = read_parts(module, keys, source, _BLOCKS)
        shape = blocks * b.shape[2], blocks * a.shape[1]
        factors = unpack_gralora(a, b)
        made = []
        if extra:
            down, up = read_parts(module, keys, source, ("gralora_A_general", "gralora_B_general"))
            pair = factor_pair(module, down, up)
            if (len(pair.left), pair.right.shape[1]) != shape:
                raise ValueError(
                    f"{module} has a general term of shape {len(pair.left)}×{pair.right.shape[1]} "
                    f"beside blocks of {shape[0]}×{shape[1]} in all"
                )
            pair = pair.turned(stored[module]) if module in stored else pair
            term, note = whole_term(module, pair.left, pair.right)
            notes += (note,) if note else ()
            made.append(term)
        if module in stored:
            shape = shape[::-1]
            factors = {(j, i): (right.T, left.T) for (i, j), (left, right) in factors.items()}
        grid = Grid.regular(shape, blocks)
        made.append(BlockTerm(BlockLayout(grid, np.full(grid.blocks, each)), factors))
        scale = alpha / total
        terms[module] = tuple(make_term(term, settings.scaling, given=scale) for term in made)
    return AdapterSet(settings, terms, stored, notes=notes)


def _check_shapes(
    module: str, keys: PeftKeys, source: TensorSource, blocks: int, rank: int
) -> None:
    a, b = (source.tensors[name].shape for name in part_names(module, keys, _BLOCKS))
    if len(a) != 3 or len(b) != 3 or (a[0], a[2], *b[:2]) != (blocks, rank) * 2:
        raise ValueError(
            f"{module} has factors of shapes {a} and {b}, not [{blocks}, in/{blocks}, {rank}] and "
            f"[{blocks}, {rank}, out/{blocks}]"
        )
