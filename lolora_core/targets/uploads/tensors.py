"""Uploaded safetensors files: which tensors they hold, and one of them as a matrix."""

from __future__ import annotations

import math

import numpy as np

from lolora_core.common.names import display_name, printable
from lolora_core.files.header import (
    MAX_HEADER,
    MAX_TENSORS,
    STORED_DTYPES,
    StoredTensor,
    TensorInfo,
    TooManyTensorsError,
    View,
    parse_header,
)
from lolora_core.files.pickles import refuse_pickle_bytes, refuse_pickle_name
from lolora_core.targets.base import Array, Target
from lolora_core.targets.uploads.common import (
    MAX_SIDE,
    check_bytes,
    side_option,
    upload_target,
    window,
)


def list_tensors(
    data: bytes, *, name: str = "the file", max_tensors: int = MAX_TENSORS
) -> tuple[TensorInfo, ...]:
    """Read the header of a .safetensors file and say of each tensor how it can be used.

    Parameters
    ----------
    data : bytes
        The whole file; its values are not touched.
    name : str
        Its name, for messages.
    max_tensors : int
        How many it may hold.

    Raises
    ------
    TypeError, ValueError
        If the file is cut off, mislabelled or damaged, its header is above 10 MB, or it holds
        more tensors.

    Examples
    --------
    >>> from safetensors.numpy import save
    >>> file = save({"conv": np.zeros((4, 3, 2, 2), np.float32), "bias": np.zeros(4)})
    >>> for tensor in list_tensors(file):
    ...     print(tensor.name, [view.label for view in tensor.views] or tensor.reason)
    bias it has 1 axis, and a matrix needs 2
    conv ['4 × (3·2·2)', '(4·3) × (2·2)', '(4·3·2) × 2']
    """
    return tuple(stored.info for stored in _header(data, name, max_tensors).values())


def upload_safetensors(
    data: bytes,
    *,
    name: str,
    tensor: str,
    view: str | None = None,
    row: int = 0,
    col: int = 0,
    max_side: int = MAX_SIDE,
) -> Target:
    """Make a target of one tensor of a .safetensors file.

    float32 and float64 stay; float16 and bfloat16 become float32, which the notes state, as they
    do the view of a tensor that is not 2-D. Of a matrix with a side above `max_side` the window
    that starts at (`row`, `col`) is taken.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for the title.
    tensor : str
        Name of a tensor in it.
    view : str, optional
        Label of one of the tensor's views, as `list_tensors` gives them; the first if left out.
    row, col : int
        Top left corner of the window.
    max_side : int
        Rows and columns that are taken at most.

    Raises
    ------
    TypeError, ValueError
        If the file is damaged, the tensor or view is not there or not usable, it holds NaN or
        infinity, or the corner is outside.

    Examples
    --------
    >>> from safetensors.numpy import save
    >>> file = save({"w": np.eye(3, dtype=np.float16)})
    >>> upload_safetensors(file, name="a.safetensors", tensor="w").notes
    ('float16 converted to float32',)
    """
    header = _header(data, name)
    shown = display_name(name)
    if tensor not in header:
        raise ValueError(
            f"tensor must be one of the {len(header)} in {shown} "
            f"({', '.join(map(printable, sorted(header)[:5]))}{', …' if len(header) > 5 else ''}), "
            f"but it is {tensor!r}."
        )
    stored = header[tensor]
    info = stored.info
    if not info.views:
        raise ValueError(f"{printable(tensor)} of {shown} cannot be used: {info.reason}.")
    chosen = _choose(info, view)
    count = math.prod(info.shape)
    flat = np.frombuffer(data, STORED_DTYPES[info.dtype].numpy, count, stored.start)
    part, notes = window(flat.reshape(chosen.shape), row, col, max_side)
    if len(info.shape) > 2:
        axes = "×".join(map(str, info.shape))
        notes = (f"the {axes} tensor is read as {chosen.label}", *notes)
    if STORED_DTYPES[info.dtype].bits < 32:
        notes += (f"{STORED_DTYPES[info.dtype].torch} converted to float32",)
    array = _to_float(part, info.dtype)
    return upload_target(
        array,
        name=name,
        what="tensor",
        tensor=tensor,
        corner=(row, col),
        notes=notes,
        reader="upload_safetensors",
        options={
            "tensor": tensor,
            "view": view,
            "row": row,
            "col": col,
            **side_option(max_side),
        },
    )


def _choose(info: TensorInfo, label: str | None) -> View:
    if label is None:
        return info.views[0]
    for view in info.views:
        if view.label == label:
            return view
    labels = ", ".join(repr(view.label) for view in info.views)
    raise ValueError(f"view must be one of {labels} for {info.name}, but it is {label!r}.")


def _to_float(part: Array, dtype: str) -> Array:
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32, and NumPy has no dtype for it.
        return (part.astype(np.uint32) << 16).view(np.float32)
    return part.astype(np.float64 if dtype == "F64" else np.float32)


def _header(data: bytes, name: str, max_tensors: int = MAX_TENSORS) -> dict[str, StoredTensor]:
    """Parse and check the header: 8 bytes of length, JSON, then values without gaps."""
    refuse_pickle_name(name)
    check_bytes(data, name)
    shown = display_name(name)
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= len(data) - 8 or length > MAX_HEADER:
        refuse_pickle_bytes(data, name)
        raise ValueError(
            f"{shown} is cut off, not a safetensors file, or has a header above "
            f"{MAX_HEADER // 1_000_000} MB; save it with safetensors.torch.save_file."
        )
    try:
        return parse_header(data[8 : 8 + length], len(data), max_tensors).tensors
    except TooManyTensorsError as error:
        raise ValueError(f"{shown} {error}.") from None
    except ValueError as error:
        refuse_pickle_bytes(data, name)
        raise ValueError(f"{shown} {error}; upload the complete file.") from error
