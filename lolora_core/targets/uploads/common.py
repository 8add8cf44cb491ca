"""What every upload has in common: which files are accepted, the window, the resulting target."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from lolora_core.common.names import display_name, printable
from lolora_core.files.kinds import SUFFIXES, FileKind, kind_of, kind_of_bytes
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.targets.base import Array, Target, check_finite, content_hash

MAX_SIDE = 2048
"""Rows and columns that a target from an upload has at most."""


_lock = threading.Lock()


def check_extension(name: str) -> FileKind:
    """Return which kind of upload a file name announces: "image", "npy" or "safetensors".

    Raises
    ------
    ValueError
        If the name ends like a pickle (.pt, .pth, .bin, .pkl, .pickle, .ckpt), with how to
        convert it, or like nothing that is accepted.

    Examples
    --------
    >>> check_extension("Holiday.JPG")
    'image'
    >>> check_extension("notes.txt")
    Traceback (most recent call last):
        ...
    ValueError: notes.txt is not accepted; upload .png, .jpg, .jpeg, .webp, .npy or .safetensors.
    """
    refuse_pickle_name(name)
    kind = kind_of(name)
    if kind is None:
        *first, last = SUFFIXES
        raise ValueError(
            f"{display_name(name)} is not accepted; upload {', '.join(first)} or {last}."
        )
    return kind


def check_kind(data: bytes, name: str) -> FileKind:
    r"""Return the kind of an upload by its content; by its name where the content says nothing.

    A file whose name announces another kind than it is, is read as what it is.

    Raises
    ------
    ValueError
        See `check_extension`.

    Examples
    --------
    >>> check_kind(b"\x89PNG\r\n\x1a\n", "matrix.npy")
    'image'
    """
    announced = check_extension(name)
    return kind_of_bytes(data[:16]) or announced


def check_bytes(data: object, name: str) -> bytes:
    """Return `data` if it is a non-empty bytes object.

    Raises
    ------
    TypeError, ValueError
        If it is not bytes, or empty.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, but it is {type(data).__name__}.")
    if not data:
        raise ValueError(f"{display_name(name)} is empty; upload a file with content.")
    return data


def window(array: Array, row: int, col: int, side: int = MAX_SIDE) -> tuple[Array, tuple[str, ...]]:
    """Return ``array[row:row+side, col:col+side]`` and a note if that is not all of it.

    Raises
    ------
    TypeError, ValueError
        If a corner is not an integer, or outside the matrix.

    Examples
    --------
    >>> window(np.zeros((3000, 5)), 2000, 0)[0].shape
    (1000, 5)
    """
    rows, cols = array.shape
    for name, corner, size in (("row", row, rows), ("col", col, cols)):
        if isinstance(corner, bool) or not isinstance(corner, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, but it is {corner!r}.")
        if not 0 <= corner < size:
            raise ValueError(
                f"{name} must lie between 0 and {size - 1} for a {rows} × {cols} matrix, "
                f"but it is {corner}."
            )
    part = array[row : row + side, col : col + side]
    if part.shape == array.shape:
        return part, ()
    last_row, last_col = row + part.shape[0] - 1, col + part.shape[1] - 1
    return part, (
        f"a window: rows {row}–{last_row} and columns {col}–{last_col} of {rows} × {cols}",
    )


def side_option(max_side: int) -> dict[str, int]:
    """Return the option of a reader that takes less than `MAX_SIDE`, for the code of a target.

    Examples
    --------
    >>> side_option(MAX_SIDE), side_option(512)
    ({}, {'max_side': 512})
    """
    return {} if max_side == MAX_SIDE else {"max_side": max_side}


def upload_target(
    array: Array,
    *,
    name: str,
    what: str,
    notes: tuple[str, ...],
    reader: str,
    options: Mapping[str, Any],
    tensor: str = "",
    corner: tuple[int, int] = (0, 0),
    value_range: tuple[float, float] | None = None,
) -> Target:
    """Make a target of an uploaded array; its id comes from its content.

    `reader` and its `options` make the same of the file.

    Raises
    ------
    ValueError
        If it holds NaN or infinity; the position counts from the whole matrix's first entry,
        of which ``array[0, 0]`` is entry `corner`.
    """
    check_finite(array, display_name(name), corner=corner)
    return Target(
        id=f"upload-{content_hash(array)[:12]}",
        title=f"{display_name(name)}: {printable(tensor)}" if tensor else display_name(name),
        kind="upload",
        description=f"uploaded {what}, {array.shape[0]} × {array.shape[1]}",
        source=f"uploaded file {display_name(name)}",
        licence="as its owner decides",
        array=array,
        value_range=value_range,
        notes=notes,
        code=_code(reader, name, options),
    )


def _code(reader: str, name: str, options: Mapping[str, Any]) -> str:
    words = "".join(f", {option}={value!r}" for option, value in options.items() if value)
    return (
        "from pathlib import Path\n\n"
        f"from lolora_core.targets import {reader}\n\n"
        f"data = Path({name!r}).read_bytes()\n"
        f"target = {reader}(data, name={name!r}{words})"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings while foreign bytes are parsed, one upload at a time.

    The lock also keeps the memory of decoding bounded when many visitors upload at once.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
