"""Where tensors come from: files, sharded folders, adapters, models on the Hub, mappings."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.checkpoints.files import ByteFile, LocalFile, read_header
from lolora_core.targets.upload_tensors import StoredTensor, TensorInfo, matrix_views
from lolora_core.targets.uploads import refuse_pickle_name

__all__ = [
    "INDEX",
    "MAX_JSON",
    "MappingSource",
    "SafetensorsSource",
    "SourceLike",
    "TensorSource",
    "check_index",
    "json_object",
    "open_source",
    "read_json",
    "sharded",
]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_SPELLED = {dtype: name for name, dtype in _DTYPES.items()} | {
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}
INDEX = "model.safetensors.index.json"
MAX_JSON = 50_000_000


@runtime_checkable
class TensorSource(Protocol):
    """Named tensors that are read one at a time.

    Attributes
    ----------
    label : str
        Where they come from, for messages.
    is_update : bool
        The tensors are updates ΔW, not weights.
    identity : str
        Changes when the tensors do, as far as that is known without reading them.
    tensors : mapping from name to TensorInfo
        dtype and shape of each, and why it cannot be used as a matrix, if so.
    """

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def is_update(self) -> bool: ...  # noqa: D102

    @property
    def identity(self) -> str: ...  # noqa: D102

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...  # noqa: D102

    def read(self, name: str) -> Tensor:
        """Return one tensor, in its own dtype."""


#: What the functions of this package take as a source; see `open_source`.
SourceLike = str | PathLike[str] | Mapping[str, Tensor] | TensorSource


@dataclass(frozen=True)
class SafetensorsSource:
    """The tensors of one or more .safetensors files.

    Parameters
    ----------
    label : str
    files : sequence of ByteFile
        Their headers are read at once, their tensors when asked for.
    """

    label: str
    files: tuple[ByteFile, ...]
    tensors: Mapping[str, TensorInfo] = field(init=False, repr=False)
    _places: Mapping[str, tuple[ByteFile, StoredTensor]] = field(init=False, repr=False)
    is_update: bool = False

    def __post_init__(self) -> None:
        places: dict[str, tuple[ByteFile, StoredTensor]] = {}
        for file in self.files:
            for name, stored in read_header(file).items():
                if name in places:
                    raise ValueError(
                        f"{name} stands in two files of {self.label}, {places[name][0].label} and "
                        f"{file.label}"
                    )
                places[name] = file, stored
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "tensors", {n: stored.info for n, (_, stored) in places.items()})

    @property
    def identity(self) -> str:
        """The identities of the files."""
        return " ".join(file.identity for file in self.files)

    def read(self, name: str) -> Tensor:
        """Return one tensor, in its own dtype.

        Raises
        ------
        KeyError
            There is none of that name.
        ValueError
            Its dtype is not floating point of 16, 32 or 64 bits, or its file has changed.
        """
        file, stored = self._places[name]
        if stored.info.dtype not in _DTYPES:
            raise ValueError(f"{name} of {file.label} is {stored.info.dtype}, which is not read")
        dtype, shape = _DTYPES[stored.info.dtype], stored.info.shape
        if math.prod(shape) == 0:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(file.read(stored.start, stored.end), dtype=dtype).reshape(shape)


@dataclass(frozen=True)
class MappingSource:
    """Tensors in memory, such as a state_dict; `is_update` if they are ΔW.

    Examples
    --------
    >>> MappingSource({"fc.weight": torch.eye(2)}).tensors["fc.weight"].dtype
    'F32'
    """

    held: Mapping[str, Tensor] = field(repr=False)
    label: str = "the tensors given"
    is_update: bool = False

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The dtype and shape of each."""
        found = {}
        for name, tensor in self.held.items():
            dtype, shape = _SPELLED.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape)
            found[name] = TensorInfo(name, dtype, shape, *matrix_views(dtype, shape))
        return found

    @property
    def identity(self) -> str:
        """Names, shapes and dtypes: values in memory are not looked at."""
        return str([(info.name, info.dtype, info.shape) for info in self.tensors.values()])

    def read(self, name: str) -> Tensor:
        """Return one tensor.

        Raises
        ------
        ValueError
            It is on the meta device.
        """
        tensor = self.held[name].detach()
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device and has no values to read")
        return tensor


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file of bounded size.

    Raises
    ------
    ValueError
        Not readable, not an object, or above 50 MB.
    """
    file = LocalFile(path)
    if file.size > MAX_JSON:
        raise ValueError(f"{path} has {file.size:,} bytes; at most {MAX_JSON:,} are read")
    return json_object(bytes(file.read(0, file.size)), str(path))


def json_object(text: bytes, label: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or raise ValueError that names `label`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{label} is not readable JSON: {str(error)[:120]}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{label} must hold a JSON object")
    return found


def check_index(index: Mapping[str, Any], label: str) -> dict[str, str]:
    """Return the shard of every tensor that an index names, after checks.

    Raises
    ------
    ValueError
        No "weight_map" of names to plain file names.
    """
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{label} has no weight_map, which names the shard of each tensor")
    for name, shard in places.items():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise ValueError(f"{label} names {shard!r} for {name}; a shard is NAME.safetensors")
    return places


def sharded(label: str, index: Mapping[str, Any], files: Iterable[ByteFile]) -> SafetensorsSource:
    """Return the source of the shards of an index; every tensor it names must be there."""
    source = SafetensorsSource(label, tuple(files))
    if missing := [name for name in check_index(index, label) if name not in source.tensors]:
        raise ValueError(
            f"the index of {label} names {missing[0]} and {len(missing) - 1} more tensors that its "
            "shards do not hold"
            if len(missing) > 1
            else f"the index of {label} names {missing[0]}, which its shards do not hold"
        )
    return source


def _open_folder(folder: Path) -> TensorSource:
    from lolora_core.checkpoints.adapter_files import is_adapter_folder, open_adapters

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
    from lolora_core.checkpoints.remote import open_remote

    return open_remote(named[1], revision=revision or named[2])


def read_matrix(source: TensorSource, name: str) -> Float[Tensor, "m n"]:
    """Return one tensor in the dtype in which it is computed: float32, or float64."""
    tensor = source.read(name)
    return tensor if tensor.dtype == torch.float64 else tensor.float()
