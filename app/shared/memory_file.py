"""A file of a visitor in memory, as the library and the processes of the pool read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from lolora_core.common.names import display_name

__all__ = ["MemoryFile", "in_memory"]


@dataclass(frozen=True)
class MemoryFile:
    """A file in memory; `identity` is the SHA-256 of its bytes."""

    label: str
    data: bytes = field(repr=False, compare=False)
    identity: str

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.data)

    @property
    def key(self) -> tuple[str, str]:
        """Identify the file by name and content, without holding its bytes."""
        return self.label, self.identity

    def read(self, start: int, end: int) -> bytearray:
        """Return the bytes from `start` up to `end`."""
        return bytearray(memoryview(self.data)[start:end])


def in_memory(name: str, data: bytes) -> MemoryFile:
    """Return a file of a visitor; only the last part of its name is kept."""
    return MemoryFile(display_name(name), data, hashlib.sha256(data).hexdigest())
