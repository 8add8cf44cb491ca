"""The header of a safetensors file: names, dtypes, shapes, places, and what can be a matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from lolora_core.files.bounded_json import JsonLimits, parse_json

#: Bytes of a header that is read from outside, as uploads and the Hub are.
MAX_HEADER = 10_000_000
#: On this machine the format's own limit holds: a mixture of experts in one file needs more.
MAX_LOCAL_HEADER = 100_000_000
MAX_AXES = 8
#: Of one file.
MAX_TENSORS = 250_000


class TooManyTensorsError(ValueError):
    """A header names more tensors than are read."""


class StoredDtype(NamedTuple):
    """What safetensors' spelling of a dtype means.

    Attributes
    ----------
    bits : int
        Of one value.
    torch : str
        Its name in torch; empty where torch has none.
    numpy : str
        How NumPy reads one that can be a matrix, bfloat16 as its bits; empty for the others.
    """

    bits: int
    torch: str = ""
    numpy: str = ""


#: Every dtype of the format.
STORED_DTYPES = {
    "F64": StoredDtype(64, "float64", "<f8"),
    "F32": StoredDtype(32, "float32", "<f4"),
    "F16": StoredDtype(16, "float16", "<f2"),
    "BF16": StoredDtype(16, "bfloat16", "<u2"),
    "I64": StoredDtype(64, "int64"),
    "I32": StoredDtype(32, "int32"),
    "I16": StoredDtype(16, "int16"),
    "I8": StoredDtype(8, "int8"),
    "U64": StoredDtype(64, "uint64"),
    "U32": StoredDtype(32, "uint32"),
    "U16": StoredDtype(16, "uint16"),
    "U8": StoredDtype(8, "uint8"),
    "BOOL": StoredDtype(8, "bool"),
    "C64": StoredDtype(64, "complex64"),
    "F8_E4M3": StoredDtype(8, "float8_e4m3fn"),
    "F8_E5M2": StoredDtype(8, "float8_e5m2"),
    "F8_E8M0": StoredDtype(8, "float8_e8m0fnu"),
    "F8_E4M3FNUZ": StoredDtype(8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": StoredDtype(8, "float8_e5m2fnuz"),
    "F6_E2M3": StoredDtype(6),
    "F6_E3M2": StoredDtype(6),
    "F4": StoredDtype(4),
}


class View(NamedTuple):
    """One way to read a tensor as a matrix, without changing the order of its values."""

    label: str
    shape: tuple[int, int]


@dataclass(frozen=True)
class TensorInfo:
    """What a safetensors header says of one tensor, and how it can be read as a matrix.

    Parameters
    ----------
    name, dtype, shape
        As the file states them; the dtype in safetensors' spelling, "F32".
    views : tuple of View
        The 2-D readings, the most usual first; empty if there is none.
    reason : str
        Why there is none; empty if there is one.

    Examples
    --------
    >>> TensorInfo("w", "F32", (2, 3), (View("2 × 3", (2, 3)),), "").views[0].shape
    (2, 3)
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    views: tuple[View, ...]
    reason: str


class StoredTensor(NamedTuple):
    """A tensor and the bytes of its file that hold it, from `start` up to `end`."""

    info: TensorInfo
    start: int
    end: int


class Header(NamedTuple):
    """What a safetensors header says.

    Attributes
    ----------
    tensors : dict
        By name: what each is, and the bytes of the file that hold it.
    metadata : dict of str to str
        What stands under ``__metadata__``.
    """

    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]


def parse_header(text: bytes, size: int, max_tensors: int = MAX_TENSORS) -> Header:
    """Parse and check the JSON of a safetensors header: every byte of the file is some tensor's.

    Parameters
    ----------
    text : bytes
        The header without the 8 bytes of its length.
    size : int
        Bytes of the whole file.
    max_tensors : int
        How many it may name.

    Returns
    -------
    Header

    Raises
    ------
    TooManyTensorsError
    ValueError
        A damaged header, one that does not fit the file, or one without tensors. The message
        continues a sentence that begins with the name of the file.

    Examples
    --------
    >>> parse_header(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 66).tensors["w"].end
    66
    >>> parse_header(b"{}", 10)
    Traceback (most recent call last):
    ValueError: holds no tensors
    """
    origin = 8 + len(text)
    # Before it is parsed; afterwards those whose fields are spelt with escapes are counted too.
    check_count(text.count(b'"data_offsets"'), max_tensors)
    try:
        raw = parse_json(text, JsonLimits(size=MAX_LOCAL_HEADER))
        metadata = raw.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("its __metadata__ holds something else than text")
        check_count(len(raw), max_tensors)
        tensors = {key: _stored(key, value, origin) for key, value in raw.items()}
        end = origin
        for stored in sorted(tensors.values(), key=lambda stored: (stored.start, stored.end)):
            if stored.start != end:
                raise ValueError(f"{stored.info.name} does not begin where the one before ends")
            end = stored.end
        if tensors and end != size:
            raise ValueError(f"the tensors end at byte {end:,} of {size:,}")
    except TooManyTensorsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"has a damaged safetensors header or is cut off ({_brief(error)})"
        ) from error
    if not tensors:
        raise ValueError("holds no tensors")
    return Header(tensors, metadata)


def _brief(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)[:120]


def check_count(count: int, allowed: int) -> None:
    """Raise TooManyTensorsError above what is allowed; the message continues a sentence.

    Examples
    --------
    >>> check_count(3, 2)
    Traceback (most recent call last):
    lolora_core.files.header.TooManyTensorsError: holds 3 tensors, and at most 2 are read; put \
those that are wanted into a file of their own
    """
    if count > allowed:
        raise TooManyTensorsError(
            f"holds {count:,} tensors, and at most {allowed:,} are read; put those that are wanted "
            "into a file of their own"
        )


def _stored(name: str, value: dict[str, Any], origin: int) -> StoredTensor:
    dtype, shape, (start, end) = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str):
        raise TypeError(f"the dtype of {name} is not text")
    # The bounds keep the product below small: a shape may be megabytes of digits.
    if not isinstance(shape, list) or len(shape) > 64:
        raise TypeError(f"the shape of {name} is not a list of at most 64 sizes")
    for number in (*shape, start, end):
        if type(number) is not int or not 0 <= number < 2**63:
            raise TypeError(f"{name} has something else where a size belongs")
    if dtype not in STORED_DTYPES:
        raise ValueError(f"{name} has the unknown dtype {dtype!r}")
    if math.prod(shape) * STORED_DTYPES[dtype].bits != 8 * (end - start):
        raise ValueError(f"{name} has {end - start} bytes, which its shape does not need")
    views, reason = matrix_views(dtype, tuple(shape))
    return StoredTensor(
        TensorInfo(name, dtype, tuple(shape), views, reason), origin + start, origin + end
    )


def matrix_views(dtype: str, shape: tuple[int, ...]) -> tuple[tuple[View, ...], str]:
    """Return how a tensor can be read as a matrix, or nothing and why not.

    Examples
    --------
    >>> matrix_views("I64", (2, 2))
    ((), 'it holds integers (I64), and a matrix of floats is needed')
    """
    if dtype not in STORED_DTYPES or not STORED_DTYPES[dtype].numpy:
        return (), _why_not_float(dtype)
    if 0 in shape:
        return (), f"it is empty, its shape is {shape}"
    if len(shape) < 2:
        axes = "1 axis" if len(shape) == 1 else "no axis"
        return (), f"it has {axes}, and a matrix needs 2"
    if len(shape) > MAX_AXES:
        return (), f"it has {len(shape)} axes, and at most {MAX_AXES} are read"
    if len(shape) == 2:
        return (View(f"{shape[0]} × {shape[1]}", (shape[0], shape[1])),), ""
    long = tuple(size for size in shape if size != 1)
    if len(long) < 2:
        return (), f"only one axis of {shape} is longer than 1, and a matrix needs 2"
    suffix = "" if len(long) == len(shape) else ", unit axes removed"
    return tuple(
        View(
            f"{_product(long[:split])} × {_product(long[split:])}{suffix}",
            (math.prod(long[:split]), math.prod(long[split:])),
        )
        for split in range(1, len(long))
    ), ""


def _product(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"({'·'.join(map(str, sizes))})"


def _why_not_float(dtype: str) -> str:
    if dtype.startswith(("F8", "F6", "F4")):
        return f"its dtype {dtype} is not read here; convert it to float16 or float32 first"
    if dtype == "C64":
        return "its values are complex (C64); save the real part or the magnitude"
    return f"it holds integers ({dtype}), and a matrix of floats is needed"
