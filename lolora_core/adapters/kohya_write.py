"""Adapters to one LoRA file as kohya's scripts write it, which ComfyUI and others open."""

from __future__ import annotations

import math
from collections import Counter
from os import PathLike
from pathlib import Path
from typing import SupportsIndex

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lolora_core.adapters.lora_files import read_lora_file
from lolora_core.adapters.lora_names import kohya_names
from lolora_core.adapters.peft_choices import (
    adapter_set,
    at_least_one,
    check_read_back,
    whole_pair,
)
from lolora_core.adapters.peft_format import lora_tensors
from lolora_core.adapters.sets import AdapterSet
from lolora_core.files.writes import write_files

__all__ = ["to_kohya"]

_PARTS = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


def to_kohya(
    adapters: nn.Module | AdapterSet,
    file: str | PathLike[str],
    *,
    prefix: str = "lora_unet",
    rank: SupportsIndex | None = None,
    dtype: torch.dtype = torch.float32,
) -> float:
    """Write one .safetensors file with lora_down, lora_up and alpha of every module.

    ΔW = alpha/r·up·down. Blocks become an exact LoRA, whose rank is that of ΔW. Before the file
    takes its place it is read again and every ΔW is compared.

    Parameters
    ----------
    adapters : nn.Module or AdapterSet
        A model with adapters, or adapters alone, of linear layers and convolutions.
    file : path
        It ends in .safetensors.
    prefix : str
        Before the names of modules that do not tell their component: "lora_unet", "lora_te",
        "lora_te1", "lora_te2", "lora_transformer", …
    rank : int, optional
        Truncate to this rank, 1 or more.
    dtype : torch.dtype
        float32, float16 or bfloat16.

    Returns
    -------
    float
        Relative error of the updates of all modules together, before rounding to the dtype; 0
        where exact.

    Raises
    ------
    ValueError
        A value that is not allowed; a module that is neither a linear layer nor a convolution;
        two modules of one name; or what was read back is not what was written, and nothing is
        left then.

    Examples
    --------
    >>> import tempfile
    >>> from lolora_core.adapters import AdapterConfig, add_adapters
    >>> model = nn.Sequential(nn.Linear(8, 8))
    >>> _ = add_adapters(model, AdapterConfig(family="global", rank=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     error = to_kohya(model, Path(folder) / "lora.safetensors", prefix="lora_te")
    ...     print(error, list(read_lora_file(Path(folder) / "lora.safetensors").terms))
    0.0 ['lora_te_0']
    """
    path = Path(file)
    if path.suffix != ".safetensors":
        raise ValueError(f"file must end in .safetensors; it is {path.name!r}")
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ValueError(f"dtype must be float32, float16 or bfloat16; it is {dtype}")
    keep = None if rank is None else at_least_one(rank)
    held = adapter_set(adapters)
    for name in held.terms:
        if held.stored_as(name).kind not in ("linear", "conv"):
            raise ValueError(
                f"kohya LoRA is for linear layers and convolutions; {name} is "
                f"{held.stored_as(name).words}"
            )
    names = kohya_names(held.terms, prefix)
    tensors: dict[str, Tensor] = {}
    ranks: list[int] = []
    left = total = 0.0
    for module, name in names.items():
        (up, down), lost, energy = whole_pair(held, module, keep)
        left, total = left + lost, total + energy
        ranks.append(down.shape[0])
        for part, value in lora_tensors(up, down, held.stored_as(module)).items():
            tensors[f"{name}.{_PARTS[part]}"] = value.to(dtype).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(held.config.scaling * down.shape[0])
    error = math.sqrt(left / total) if total else 0.0
    data = to_bytes(tensors, metadata=_metadata(ranks, held.config.scaling))

    def check(draft: Path) -> None:
        read = read_lora_file(draft / path.name)
        allowed = error + 8 * torch.finfo(dtype).eps
        check_read_back(held, lambda module: read.delta(names[module]), allowed, dtype)

    write_files(path.parent, {path.name: data}, check)
    return error


def _metadata(ranks: list[int], scaling: float) -> dict[str, str]:
    """Return kohya's notes; "Dynamic" is its word for ranks that differ."""
    (rank, count), *_ = Counter(ranks).most_common(1)
    same = count == len(ranks)
    return {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank) if same else "Dynamic",
        "ss_network_alpha": f"{rank * scaling:g}" if same else "Dynamic",
    }
