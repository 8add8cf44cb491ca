"""PEFT's files: their names, and how GraLoRA packs the factors of its blocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.stored import Stored

__all__ = ["PEFT_CONFIG", "PEFT_TENSORS", "lora_tensors", "pack_gralora", "unpack_gralora"]

PEFT_CONFIG, PEFT_TENSORS = "adapter_config.json", "adapter_model.safetensors"

#: {(i, j): (B_ij, A_ij)}, as `BlockFactors.factors` returns them.
BlockPairs = Mapping[tuple[int, int], tuple[Tensor, Tensor]]


def lora_tensors(
    b: Float[Tensor, "m r"], a: Float[Tensor, "r n"], stored: Stored
) -> dict[str, Tensor]:
    """Return LoRA's factors of one module under PEFT's keys and in its shapes.

    m are outputs and n are inputs. An embedding's factors are parameters of their own; those of a
    convolution are convolutions, A with the kernel and B of size 1.

    Examples
    --------
    >>> parts = lora_tensors(torch.zeros(8, 2), torch.zeros(2, 36), Stored("conv", (3, 3)))
    >>> {key: tuple(value.shape) for key, value in parts.items()}
    {'lora_A.weight': (2, 4, 3, 3), 'lora_B.weight': (8, 2, 1, 1)}
    """
    if stored.kind == "embedding":
        return {"lora_embedding_A": a, "lora_embedding_B": b}
    if stored.kind == "conv":
        a = a.reshape(len(a), -1, *stored.kernel)
        b = b.reshape(*b.shape, *(1 for _ in stored.kernel))
    return {"lora_A.weight": a, "lora_B.weight": b}


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
