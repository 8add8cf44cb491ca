"""PEFT's files: their names, and how GraLoRA packs the factors of its blocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PEFT_CONFIG", "PEFT_TENSORS", "pack_gralora", "unpack_gralora"]

PEFT_CONFIG, PEFT_TENSORS = "adapter_config.json", "adapter_model.safetensors"

#: {(i, j): (B_ij, A_ij)}, as `BlockFactors.factors` returns them.
BlockPairs = Mapping[tuple[int, int], tuple[Tensor, Tensor]]


def pack_gralora(
    factors: BlockPairs, k: int
) -> tuple[Float[Tensor, "k w r"], Float[Tensor, "k r h"]]:
    """Return GraLoRA's A and B of K×K blocks with equal ranks ρ = r/K (arXiv 2505.20355).

    A[j] holds A_ijᵀ of all block rows i side by side, B[i] holds B_ijᵀ of all block columns j one
    below the other.

    Examples
    --------
    >>> blocks = {(i, j): (torch.rand(3, 1), torch.rand(1, 2)) for i in (0, 1) for j in (0, 1)}
    >>> a, b = pack_gralora(blocks, 2)
    >>> a.shape, b.shape
    (torch.Size([2, 2, 2]), torch.Size([2, 2, 3]))
    >>> back = unpack_gralora(a, b)
    >>> all(torch.equal(back[at][n], blocks[at][n]) for at in blocks for n in (0, 1))
    True
    """
    each = range(k)
    a = torch.stack([torch.cat([factors[i, j][1].T for i in each], dim=1) for j in each])
    b = torch.stack([torch.cat([factors[i, j][0].T for j in each], dim=0) for i in each])
    return a, b


def unpack_gralora(
    a: Float[Tensor, "k w r"], b: Float[Tensor, "k r h"]
) -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
    """Return the factors that `pack_gralora` packed."""
    k = len(a)
    return {
        (i, j): (left.T, right.T)
        for i in range(k)
        for j, left in enumerate(b[i].chunk(k, dim=0))
        for right in [a[j].chunk(k, dim=1)[i]]
    }
