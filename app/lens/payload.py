"""One ``bytes`` object for the browser: raw bytes reach a component only as its whole ``data``.

A 4-byte little-endian header length, a JSON header, then the arrays. Array offsets count from the
first multiple of 8 after the header.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

__all__ = ["Arrays", "payload"]


class Arrays:
    """Arrays one after the other, each starting at a multiple of 8."""

    def __init__(self) -> None:
        self.chunks: list[bytes | memoryview] = []
        self.size = 0
        self.hash = hashlib.sha256()

    def add(self, array: np.ndarray, **more: int) -> dict[str, Any]:
        """Append an array; return what the header says of it."""
        chunk = np.ascontiguousarray(array).data.cast("B")
        entry = {"dtype": array.dtype.str[1:], "offset": self.size, "shape": array.shape, **more}
        self.hash.update(chunk)
        self.chunks += [chunk, bytes(-len(chunk) % 8)]
        self.size += len(chunk) + -len(chunk) % 8
        return entry


def payload(header: dict[str, Any], arrays: Arrays) -> bytes:
    """Return header and arrays as the browser reads them.

    Examples
    --------
    >>> arrays = Arrays()
    >>> data = payload({"a": arrays.add(np.zeros(1, "<f4"))}, arrays)
    >>> len(data) % 8, int.from_bytes(data[:4], "little")
    (0, 49)
    """
    text = json.dumps(header).encode()
    length, padding = len(text).to_bytes(4, "little"), bytes(-(4 + len(text)) % 8)
    return b"".join((length, text, padding, *arrays.chunks))
