"""Where a checkpoint comes from: files, sharded folders, adapters, models on the Hub, mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from torch import Tensor

from lolora_core.adapters.peft_read import is_adapter_folder, open_adapters
from lolora_core.checkpoints.remote import open_remote
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.files.ranges import LocalFile
from lolora_core.files.shards import INDEX, check_index, sharded
from lolora_core.files.tensors import MappingSource, SafetensorsSource, TensorSource, read_json

__all__ = ["SourceLike", "open_source"]


#: What the functions of this package take as a source; see `open_source`.
SourceLike = str | PathLike[str] | Mapping[str, Tensor] | TensorSource


def _open_folder(folder: Path) -> TensorSource:
    if is_adapter_folder(folder):
        return open_adapters(folder)
    if (folder / INDEX).is_file():
        index = read_json(folder / INDEX)
        shards = sorted(set(check_index(index, str(folder / INDEX)).values()))
        if missing := [shard for shard in shards if not (folder / shard).is_file()]:
            raise ValueError(
                f"{folder / INDEX} names the shard {missing[0]}, which is not in the folder; "
                f"{len(missing)} of {len(shards)} are missing"
            )
        return sharded(str(folder), index, (LocalFile(folder / shard) for shard in shards))
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found[:5]) or "none"
        pickles = [path.name for path in folder.glob("*.bin")]
        if pickles and not found:
            refuse_pickle_name(pickles[0])
        raise ValueError(
            f"{folder} must hold one .safetensors file, or several with {INDEX}, or an adapter; "
            f".safetensors files in it: {listed}"
        )
    return SafetensorsSource(str(folder), (LocalFile(found[0]),))


def open_source(where: SourceLike, *, revision: str | None = None) -> TensorSource:
    """Open a checkpoint or an adapter; only headers are read.

    Parameters
    ----------
    where : path, str, mapping or TensorSource
        A .safetensors file; a folder with one, or with shards and their index; a folder with a
        PEFT adapter (LoRA or GraLoRA) or one of `save_adapters`, whose tensors are updates ΔW; a
        model id on the Hub, "owner/name" or "owner/name@revision"; or tensors by name. A path
        that exists goes before a model id.
    revision : str, optional
        Branch, tag or commit, for a model id only.

    Raises
    ------
    FileNotFoundError, ValueError
        Nothing is there, it is damaged, or a pickle.

    Examples
    --------
    >>> import torch
    >>> open_source({"fc.weight": torch.zeros(2, 3)}).tensors["fc.weight"].shape
    (2, 3)
    """
    if isinstance(where, Mapping):
        return MappingSource(where)
    if not isinstance(where, str | PathLike):
        return where
    path = Path(where)
    if path.exists():
        if revision is not None:
            raise ValueError(f"revision is for model ids; {path} is on this machine")
        return (
            _open_folder(path)
            if path.is_dir()
            else SafetensorsSource(str(path), (LocalFile(path),))
        )
    refuse_pickle_name(str(path))
    named = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", str(where))
    if named is None or str(where).endswith(".safetensors"):
        raise FileNotFoundError(
            f"{where} is not there; give a .safetensors file, a folder, or a model id owner/name"
        )
    if revision is not None and named[2] is not None:
        raise ValueError(f"revision stands twice: {named[2]!r} in {where!r}, and {revision!r}")
    return open_remote(named[1], revision=revision or named[2])
