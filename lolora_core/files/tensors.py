"""Named tensors that are read one at a time, from files or from memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.files.header import STORED_DTYPES, StoredTensor, TensorInfo, matrix_views
from lolora_core.files.ranges import ByteFile, Headers, read_headers

__all__ = [
    "MappingSource",
    "SafetensorsSource",
    "TensorSource",
]


# In every torch that is supported but for the newest of the 8-bit floats.
_SPELLED = {
    getattr(torch, stored.torch): name
    for name, stored in STORED_DTYPES.items()
    if stored.torch and hasattr(torch, stored.torch)
}


@runtime_checkable
class TensorSource(Protocol):
    """Named tensors that are read one at a time."""

    @property
    def label(self) -> str:
        """Where they come from, for messages."""

    @property
    def is_update(self) -> bool:
        """Whether the tensors are updates ΔW, not weights."""

    @property
    def identity(self) -> str:
        """What changes when the tensors do, as far as that is known without reading them."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Dtype and shape of each, and why it cannot be used as a matrix, if so."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json; empty where there is none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of how it was read: files passed over, ranks cut."""

    def read(self, name: str) -> Tensor:
        """Return one tensor, in its own dtype."""


@dataclass(frozen=True)
class SafetensorsSource:
    """The tensors of one or more .safetensors files.

    Parameters
    ----------
    label : str
    files : sequence of ByteFile
        Their headers are read at once, their tensors when asked for.
    is_update : bool
        The tensors are updates ΔW.
    config : mapping
        The model's config.json.
    notes : tuple of str
    headers : Headers, optional
        Where they have been read already.
    """

    label: str
    files: tuple[ByteFile, ...]
    tensors: Mapping[str, TensorInfo] = field(init=False, repr=False)
    is_update: bool = False
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    headers: Headers | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        headers = self.headers or read_headers(self.label, self.files)
        object.__setattr__(self, "headers", headers)
        object.__setattr__(self, "tensors", headers.tensors)

    @property
    def identity(self) -> str:
        """The identities of the files."""
        return " ".join(file.identity for file in self.files)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the files state beside their tensors."""
        assert self.headers is not None
        return self.headers.metadata

    def place(self, name: str) -> tuple[ByteFile, StoredTensor]:
        """Return the file of a tensor, and the bytes in it."""
        assert self.headers is not None
        return self.headers.places[name]

    def as_update(self, notes: tuple[str, ...] = ()) -> SafetensorsSource:
        """Return the same tensors as updates ΔW, with more notes; no header is read again."""
        made = copy(self)
        object.__setattr__(made, "is_update", True)
        object.__setattr__(made, "notes", (*self.notes, *notes))
        return made

    def read(self, name: str) -> Tensor:
        """Return one tensor, in its own dtype.

        Raises
        ------
        KeyError
            There is none of that name.
        ValueError
            Its dtype is not floating point of 16, 32 or 64 bits, or its file has changed.
        """
        file, stored = self.place(name)
        if not STORED_DTYPES[stored.info.dtype].numpy:
            raise ValueError(f"{name} of {file.label} is {stored.info.dtype}, which is not read")
        return self.read_stored(name)

    def read_stored(self, name: str) -> Tensor:
        """Return one tensor of any dtype that torch has."""
        file, stored = self.place(name)
        dtype, shape = getattr(torch, STORED_DTYPES[stored.info.dtype].torch), stored.info.shape
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
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

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


def read_matrix(source: TensorSource, name: str) -> Float[Tensor, "m n"]:
    """Return one tensor as it is computed with: float32 or float64, and 2-D.

    The weight of a convolution becomes (out, in·k_h·k_w).
    """
    tensor = source.read(name)
    if tensor.ndim > 2:
        tensor = tensor.flatten(1)
    return tensor if tensor.dtype == torch.float64 else tensor.float()
