"""Uploaded NumPy files: one matrix from an .npy, without ever unpickling."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.lib import format as npy_format

from lolora_core.common.names import display_name
from lolora_core.files.magic import FIRST_BYTES, contents_of_bytes
from lolora_core.files.pickles import refuse_pickle_bytes, refuse_pickle_name
from lolora_core.targets.base import Array, Target
from lolora_core.targets.uploads.common import (
    MAX_SIDE,
    check_bytes,
    quiet,
    side_option,
    upload_target,
    window,
)


def upload_npy(
    data: bytes, *, name: str, row: int = 0, col: int = 0, max_side: int = MAX_SIDE
) -> Target:
    """Make a target of the bytes of an .npy file that holds one real matrix.

    float32 and float64 stay; float16, integers and booleans become float32, which the notes
    state. Of a matrix with a side above `max_side` the window that starts at (`row`, `col`) is
    taken.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for the title.
    row, col : int
        Top left corner of the window.
    max_side : int
        Rows and columns that are taken at most.

    Raises
    ------
    TypeError, ValueError
        If the file is damaged or no .npy, holds objects, complex or structured values, is not
        2-D, is empty, holds NaN or infinity, or the corner is outside.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.eye(3, dtype=np.float32))
    >>> upload_npy(file.getvalue(), name="eye.npy").shape
    (3, 3)
    """
    part, notes = window(_matrix(data, name), row, col, max_side)
    array, more = _floats(part)
    return upload_target(
        array,
        name=name,
        what="matrix",
        corner=(row, col),
        notes=notes + more,
        reader="upload_npy",
        options={"row": row, "col": col, **side_option(max_side)},
    )


def read_npy(data: bytes, *, name: str) -> tuple[Array, tuple[str, ...]]:
    """Return the whole matrix of an .npy file, and what was converted; see `upload_npy`.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.eye(3, dtype=bool))
    >>> read_npy(file.getvalue(), name="eye.npy")[1]
    ('bool converted to float32',)
    """
    return _floats(_matrix(data, name))


def _matrix(data: bytes, name: str) -> np.ndarray:
    """Return the matrix as the file holds it, without a copy."""
    refuse_pickle_name(name)
    check_bytes(data, name)
    shown = display_name(name)
    shape, fortran_order, dtype, start = _header(data, name)
    _check_dtype(dtype, shown)
    if len(shape) != 2:
        raise ValueError(f"{shown} must hold a 2-D matrix, but its shape is {str(shape)[:80]}.")
    if min(shape) < 1:
        raise ValueError(f"{shown} must not be empty, but its shape is {str(shape)[:80]}.")
    present = len(data) - start
    if math.prod(shape) * dtype.itemsize != present:
        raise ValueError(
            f"{shown} announces the shape {str(shape)[:80]} and the type {dtype}, but the "
            f"{present:,} bytes that follow are not that many; save it again with numpy.save."
        )
    flat = np.frombuffer(data, dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _floats(part: np.ndarray) -> tuple[Array, tuple[str, ...]]:
    dtype = part.dtype
    kept = dtype.kind == "f" and dtype.itemsize in (4, 8)
    wanted = dtype.newbyteorder("=") if kept else np.dtype(np.float32)
    notes: tuple[str, ...] = ()
    if not kept:
        inexact = dtype.kind in "iu" and max(int(part.max()), -int(part.min())) > 2**24
        loss = ", which may round values beyond ±2²⁴" if inexact else ""
        notes = (f"{dtype} converted to float32{loss}",)
    return part.astype(wanted), notes


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Read shape, order, dtype and the place where the values begin; allocates nothing else."""
    shown = display_name(name)
    if not data.startswith(npy_format.MAGIC_PREFIX):
        refuse_pickle_bytes(data, name)
        if (what := contents_of_bytes(data[:FIRST_BYTES], name)) is not None:
            raise ValueError(f"{shown} is {what.refusal}.")
        raise ValueError(f"{shown} is not an .npy file; save a matrix with numpy.save.")
    file = io.BytesIO(data)
    try:
        with quiet():
            version = npy_format.read_magic(file)
            if version == (1, 0):
                shape, fortran_order, dtype = npy_format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran_order, dtype = npy_format.read_array_header_2_0(file)
            else:
                raise ValueError(f"version {version}")
    except Exception as error:  # the header is Python source: a broken one can raise anything
        raise ValueError(
            f"{shown} has an .npy header that is damaged, huge or of an unknown version; "
            "save it again with numpy.save."
        ) from error
    return shape, fortran_order, dtype, file.tell()


def _check_dtype(dtype: np.dtype, shown: str) -> None:
    if dtype.hasobject:
        raise ValueError(
            f"{shown} holds Python objects, and opening them would run code that a pickle can "
            "carry; save it as numbers, e.g. numpy.save(path, matrix.astype(numpy.float32))."
        )
    if dtype.kind == "c":
        raise ValueError(
            f"{shown} holds complex values ({dtype}); save its real part or its magnitude."
        )
    if dtype.names is not None or dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise ValueError(
            f"{shown} holds values of type {dtype}; save it as float16, float32, float64 or "
            "integers."
        )
