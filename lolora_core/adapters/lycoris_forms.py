"""Updates of LyCORIS that are no product of two factors: LoHa, LoKr and full differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.files.header import TensorInfo

__all__ = ["DenseForm", "DenseUpdate", "dense_delta", "dense_update"]

#: LoHa, arXiv 2108.06098; LoKr, arXiv 2309.14859; a full difference.
DenseForm = Literal["LoHa", "LoKr", "full"]


class DenseUpdate(NamedTuple):
    """Where the parts of one update stand.

    Attributes
    ----------
    form : {"LoHa", "LoKr", "full"}
    parts : mapping of str to str
        Names of the tensors by part: "hada_w1_a", …
    scale : float
    shape : (int, int)
        Of ΔW as the matrix that is looked at.
    rank : int
        The largest that the parts can give it.
    stored : Stored
        A convolution where its kernel stands in the file; LoHa and LoKr may hold it flattened.
    """

    form: DenseForm
    parts: Mapping[str, str]
    scale: float
    shape: tuple[int, int]
    rank: int
    stored: Stored = LINEAR


def dense_delta(form: DenseForm, parts: Mapping[str, Tensor], scale: float) -> Tensor:
    """Return the update of one module, in float32 or float64, with the axes that it has.

    ========= ===========================================================
    form      ΔW
    ========= ===========================================================
    LoHa      scale·(W1_a·W1_b)∘(W2_a·W2_b), arXiv 2108.06098
    LoKr      scale·W1⊗W2, each whole or a product, arXiv 2309.14859
    full      the difference itself
    ========= ===========================================================

    A core T ("hada_t1", "lokr_t2") makes of a product Σ_kl W_a[k, i]·T[k, l, …]·W_b[l, j], the
    Tucker form of a convolution.

    Raises
    ------
    KeyError, RuntimeError, ValueError
        A part is missing, or shapes do not fit.

    Examples
    --------
    >>> held = {f"hada_w{n}_{x}": torch.full((2, 2), 1.0) for n in (1, 2) for x in "ab"}
    >>> dense_delta("LoHa", held, 0.5)
    tensor([[2., 2.],
            [2., 2.]])
    >>> dense_delta("LoKr", {"lokr_w1": torch.eye(2), "lokr_w2": torch.ones(1, 2)}, 1.0).shape
    torch.Size([2, 4])
    """
    dtype = torch.float32
    for value in parts.values():
        dtype = torch.promote_types(dtype, value.dtype)
    wide = {name: value.to(dtype) for name, value in parts.items()}
    if form == "full":
        return wide["diff"]
    if form == "LoHa":
        first, second = (_product(wide, f"hada_w{n}", f"hada_t{n}") for n in (1, 2))
        if first.shape != second.shape:
            raise ValueError(f"{tuple(first.shape)} and {tuple(second.shape)} have no product ∘")
        return first * second * scale
    first, second = (_product(wide, f"lokr_w{n}", f"lokr_t{n}") for n in (1, 2))
    if first.ndim != 2 or second.ndim < 2:
        raise ValueError(f"{tuple(first.shape)} and {tuple(second.shape)} have no product ⊗")
    # The Kronecker product of the first two axes; the kernel's stay behind them.
    return torch.einsum("ij,kl...->ikjl...", first, second).flatten(0, 1).flatten(1, 2) * scale


def _product(parts: Mapping[str, Tensor], name: str, core: str) -> Tensor:
    if name in parts:
        return parts[name]
    left, right = parts[f"{name}_a"], parts[f"{name}_b"]
    if core in parts:
        return torch.einsum("kl...,ki,lj->ij...", parts[core], left, right)
    return left @ right


def dense_update(
    form: DenseForm, parts: Mapping[str, str], tensors: Mapping[str, TensorInfo], scale: float
) -> DenseUpdate:
    """Return one update with the shape of its matrix, from headers alone.

    Parameters
    ----------
    form : {"LoHa", "LoKr", "full"}
    parts : mapping of str to str
        Names of the tensors by part.
    tensors : mapping of str to TensorInfo
    scale : float

    Raises
    ------
    KeyError, RuntimeError, ValueError
        As `dense_delta`; and an update with fewer than two axes.

    Examples
    --------
    >>> info = TensorInfo("conv.diff", "F32", (8, 4, 3, 3), (), "")
    >>> dense_update("full", {"diff": "conv.diff"}, {"conv.diff": info}, 1.0).shape
    (8, 36)
    """
    empty = {part: torch.empty(tensors[name].shape, device="meta") for part, name in parts.items()}
    made = dense_delta(form, empty, 1.0)
    if made.ndim < 2 or 0 in made.shape:
        raise ValueError(f"an update of shape {tuple(made.shape)} is no matrix")
    kernel = tuple(made.shape[2:])
    flat = made.flatten(1)
    stored = Stored("conv", kernel) if kernel else LINEAR
    shape = flat.shape[0], flat.shape[1]
    return DenseUpdate(form, parts, scale, shape, min(*shape, _rank(form, empty)), stored)


def _rank(form: DenseForm, parts: Mapping[str, Tensor]) -> int:
    """Return the product of the ranks of both parts: ∘ and ⊗ multiply them."""
    if form == "full":
        return min(parts["diff"].flatten(1).shape)
    name, core = ("hada_w", "hada_t") if form == "LoHa" else ("lokr_w", "lokr_t")
    ranks = []
    for n in "12":
        whole, left = parts.get(f"{name}{n}"), parts.get(f"{name}{n}_a")
        if whole is not None:
            ranks.append(min(whole.flatten(1).shape))
        elif left is not None:
            ranks.append(left.shape[0 if f"{core}{n}" in parts else 1])
    return math.prod(ranks)
