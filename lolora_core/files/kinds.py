"""What kind of file a name announces, and what kind its first bytes are."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

__all__ = ["SUFFIXES", "FileKind", "kind_of", "kind_of_bytes"]

FileKind = Literal["image", "npy", "safetensors"]

#: What is read, by the end of the name.
SUFFIXES: dict[str, FileKind] = {
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".webp": "image",
    ".npy": "npy",
    ".safetensors": "safetensors",
}


def kind_of(name: str) -> FileKind | None:
    """Return which kind of file a name announces; None for one that is not read.

    Examples
    --------
    >>> kind_of("Holiday.JPG"), kind_of("notes.txt")
    ('image', None)
    """
    return SUFFIXES.get(PurePath(f"_{name}").suffix.lower())


def kind_of_bytes(first: bytes) -> FileKind | None:
    r"""Return which kind of file begins with these bytes, nine or more; None for another kind.

    Examples
    --------
    >>> kind_of_bytes(b"\x93NUMPY" + bytes(9)), kind_of_bytes(b"GGUF" + bytes(20))
    ('npy', None)
    """
    if first.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or first[:4] == b"RIFF":
        return "image"
    if first.startswith(b"\x93NUMPY"):
        return "npy"
    # A header's length, below 4 GB, and JSON.
    return "safetensors" if first[4:9] == b"\0\0\0\0{" else None
