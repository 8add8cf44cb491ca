"""Byte ranges of files: what a source reads its headers and tensors from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from lolora_core.files.header import (
    MAX_HEADER,
    MAX_LOCAL_HEADER,
    MAX_TENSORS,
    Header,
    StoredTensor,
    TensorInfo,
    TooManyTensorsError,
    check_count,
    parse_header,
)
from lolora_core.files.pickles import refuse_pickle_bytes, refuse_pickle_name

__all__ = ["ByteFile", "Headers", "LocalFile", "read_header", "read_headers"]


@runtime_checkable
class ByteFile(Protocol):
    """A file of known size of which any range can be read."""

    @property
    def label(self) -> str:
        """How messages call it."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    @property
    def identity(self) -> str:
        """Changes when the file does."""

    def read(self, start: int, end: int) -> bytearray:
        """Return the bytes from `start` up to `end`."""


@dataclass(frozen=True)
class LocalFile:
    """A file on disk that must stay as it was when this was made.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, or not a file.
    """

    path: Path
    _mark: tuple[int, int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            there = "not a file" if self.path.exists() else "not there"
            raise FileNotFoundError(f"{self.path} is {there}")
        object.__setattr__(self, "_mark", self._state(self.path.stat()))

    @staticmethod
    def _state(stat: os.stat_result) -> tuple[int, int, int]:
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    @property
    def label(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._mark[1]

    @property
    def identity(self) -> str:
        """Path, size and time of the last change."""
        return f"{self.path.resolve()}:{self._mark[1]}:{self._mark[2]}"

    def read(self, start: int, end: int) -> bytearray:
        """Return the bytes from `start` up to `end`.

        Raises
        ------
        ValueError
            The file is another one now, or has changed.
        """
        data = bytearray(end - start)
        try:
            with self.path.open("rb", buffering=0) as file:
                before = self._state(os.fstat(file.fileno()))
                file.seek(start)
                view = memoryview(data)
                while view and (count := file.readinto(view)):
                    view = view[count:]
                after = self._state(os.fstat(file.fileno()))
        except FileNotFoundError:
            raise ValueError(f"{self.path} has gone while it was read; start again") from None
        if view or before != self._mark or after != self._mark:
            raise ValueError(f"{self.path} changed while it was read; start again when it is whole")
        return data


def read_header(file: ByteFile, max_tensors: int = MAX_TENSORS) -> Header:
    """Return the header of a .safetensors file that names at most `max_tensors`.

    Raises
    ------
    ValueError
        A pickle, a file that is cut off, or a header that is damaged, longer than the file or
        above 10 MB; 100 MB, the format's own limit, for a file on this machine; too many tensors.
    """
    refuse_pickle_name(file.label)
    first = bytes(file.read(0, min(8, file.size)))
    length = int.from_bytes(first, "little")
    limit = MAX_LOCAL_HEADER if isinstance(file, LocalFile) else MAX_HEADER
    if len(first) < 8 or not 2 <= length <= file.size - 8 or length > limit:
        refuse_pickle_bytes(first or b"\0", file.label)
        raise ValueError(
            f"{file.label} is not a whole safetensors file: it has {file.size:,} bytes and states "
            f"a header of {length:,} (at most {limit:,} are read)"
        )
    try:
        return parse_header(bytes(file.read(8, 8 + length)), file.size, max_tensors)
    except ValueError as error:
        raise ValueError(f"{file.label} {error}") from error


class Headers(NamedTuple):
    """The headers of one or more .safetensors files.

    Attributes
    ----------
    tensors : dict of str to TensorInfo
    places : dict
        By name: the file, and what is stored where in it.
    metadata : dict of str to str
        What the files state beside their tensors.
    """

    tensors: dict[str, TensorInfo]
    places: dict[str, tuple[ByteFile, StoredTensor]]
    metadata: dict[str, str]


def read_headers(label: str, files: Iterable[ByteFile], max_tensors: int = MAX_TENSORS) -> Headers:
    """Read the headers of files that belong together and name at most `max_tensors`.

    Raises
    ------
    ValueError
        See `read_header`; also a name that stands in two of them.
    """
    places: dict[str, tuple[ByteFile, StoredTensor]] = {}
    metadata: dict[str, str] = {}
    for file in files:
        header = read_header(file, max_tensors)
        metadata |= header.metadata
        for name, stored in header.tensors.items():
            if name in places:
                raise ValueError(
                    f"{name} stands in two files of {label}, {places[name][0].label} and "
                    f"{file.label}"
                )
            places[name] = file, stored
        try:
            check_count(len(places), max_tensors)
        except TooManyTensorsError as error:
            raise TooManyTensorsError(f"{label} {error}") from None
    return Headers({n: stored.info for n, (_, stored) in places.items()}, places, metadata)
