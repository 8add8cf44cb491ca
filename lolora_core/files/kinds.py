"""What kind of file a name announces."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

__all__ = ["SUFFIXES", "FileKind", "kind_of"]

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
