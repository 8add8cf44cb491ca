"""What a target is: a matrix or image with its origin, and the entry that announces it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lolora_core.common.scales import wrong_scale

Array = npt.NDArray[np.floating[Any]]
EntryKind = Literal["image", "pattern", "weights", "update"]
TargetKind = Literal["image", "pattern", "weights", "update", "upload"]


@dataclass(frozen=True)
class Cut:
    """A natural grid of a target, such as one block row per attention head.

    Parameters
    ----------
    name : str
        Short name with the count, "12 heads".
    rows, cols : int
        Blocks down and across, cut as `numpy.array_split` does.
    description : str
        What one block means.

    Examples
    --------
    >>> Cut("12 heads", 12, 1, "rows 32·h to 32·h+31 belong to head h").rows
    12
    """

    name: str
    rows: int
    cols: int
    description: str


@dataclass(frozen=True)
class Parameter:
    """One number that shapes a synthetic pattern; it is an integer if its default is one.

    Examples
    --------
    >>> Parameter("rank", "Rank", 8, 1, 64, 1, "Rank of the matrix").default
    8
    """

    name: str
    label: str
    default: float | int
    minimum: float | int
    maximum: float | int
    step: float | int
    help: str

    def check(self, value: object) -> float | int:
        """Return `value` as int or float after checking it.

        Raises
        ------
        TypeError
            If it is not a number, or not an integer where one is needed.
        ValueError
            If it is outside [`minimum`, `maximum`] or NaN.

        Examples
        --------
        >>> Parameter("rank", "Rank", 8, 1, 64, 1, "").check(65)
        Traceback (most recent call last):
            ...
        ValueError: rank must lie between 1 and 64, but it is 65.
        """
        whole = isinstance(self.default, int)
        allowed = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, allowed):
            kind = "an integer" if whole else "a number"
            raise TypeError(f"{self.name} must be {kind}, but it is {value!r}.")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"{self.name} must lie between {self.minimum} and {self.maximum}, "
                f"but it is {value}."
            )
        return int(value) if whole else float(value)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: everything to know about a target before it is loaded.

    Parameters
    ----------
    id : str
        Lower-case letters, digits and hyphens, fit for a URL.
    title, description : str
        A short name and one line.
    kind : {"image", "pattern", "weights", "update"}
    source, licence : str
        Where the numbers come from, and what allows their use.
    has_colour : bool
        Whether `load` accepts ``colour=True``.
    parameters : tuple of Parameter
        What `load` accepts besides; empty unless the kind is "pattern".

    Examples
    --------
    >>> Entry("moon", "Moon", "image", "The Moon", "a telescope", "CC0 1.0").has_colour
    False
    """

    id: str
    title: str
    kind: EntryKind
    description: str
    source: str
    licence: str
    has_colour: bool = False
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, eq=False)
class Target:
    """A matrix to approximate, or an image of three of them, with its origin.

    Parameters
    ----------
    id, title, kind, description, source, licence
        As in `Entry`; the kind may also be "upload".
    array : ndarray of shape (m, n) or (m, n, 3)
        float32 or float64, finite and not empty. It is copied if it could still be written to
        elsewhere, and is read-only here.
    value_range : tuple of float or None
        (0, 1) for images, None for matrices without a natural range.
    cuts : tuple of Cut
        Natural grids, the most telling first.
    notes : tuple of str
        What was done to the numbers on the way here.
    code : str
        Lines of Python that make it again, as `target`; empty where no lines can.

    Raises
    ------
    TypeError
        If the array is neither float32 nor float64.
    ValueError
        If its shape is not (m, n) or (m, n, 3), or it is empty or not finite.

    Examples
    --------
    >>> t = Target("eye", "Eye", "pattern", "identity", "numpy", "none", np.eye(2))
    >>> t.shape, len(t.channels), t.sha256[:8]
    ((2, 2), 1, '68853890')
    """

    id: str
    title: str
    kind: TargetKind
    description: str
    source: str
    licence: str
    array: Array = field(repr=False)
    value_range: tuple[float, float] | None = None
    cuts: tuple[Cut, ...] = ()
    notes: tuple[str, ...] = ()
    code: str = ""

    def __post_init__(self) -> None:
        array = self.array
        if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"array must be float32 or float64, but it is {array.dtype}.")
        if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or array.size == 0:
            raise ValueError(
                f"array must have shape (m, n) or (m, n, 3) and must not be empty, "
                f"but its shape is {array.shape}."
            )
        check_finite(array, "array")
        object.__setattr__(self, "array", _read_only(array))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (m, n)."""
        return self.array.shape[0], self.array.shape[1]

    @cached_property
    def channels(self) -> tuple[Array, ...]:
        """The contiguous, read-only (m, n) matrices: one, or red, green and blue."""
        if self.array.ndim == 2:
            return (self.array,)
        return tuple(_read_only(self.array[:, :, channel]) for channel in range(3))

    @cached_property
    def display_range(self) -> tuple[float, float]:
        """`value_range`; where there is none, the range of 99 % of the entries.

        For an update it lies about 0, for other matrices it leaves out as much at both ends.

        Of trained weights a few entries are so large that on the whole range the others look
        alike. Where that is no range, as of a matrix that is nearly all zero, it is the whole one.

        Examples
        --------
        >>> Target("row", "Row", "pattern", "", "", "", np.arange(201.0)[None]).display_range
        (1.0, 199.0)
        """
        if self.value_range:
            return self.value_range
        if self.kind == "update":
            size = np.abs(self.array)
            high = float(np.quantile(size, 0.99)) or float(size.max())
            return -high, high
        low, high = np.quantile(self.array, (0.005, 0.995))
        if low == high:
            low, high = self.array.min(), self.array.max()
        return float(low), float(high)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of shape, dtype and bytes, in hexadecimal: equal for equal numbers only."""
        return content_hash(self.array)


def content_hash(array: Array) -> str:
    """Return the SHA-256 of an array's shape, dtype and bytes in C order, in hexadecimal.

    Examples
    --------
    >>> content_hash(np.zeros((2, 3))) == content_hash(np.zeros((3, 2)))
    False
    """
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_finite(array: Array, name: str, *, corner: tuple[int, int] = (0, 0)) -> None:
    """Raise ValueError with the count and first position of any NaN or infinity.

    Also for values that are too large or too small to be drawn and squared in float32.

    Parameters
    ----------
    array : ndarray
    name : str
        What the message calls it.
    corner : tuple of int
        Row and column of ``array[0, 0]`` in the whole matrix, added to the position.

    Examples
    --------
    >>> check_finite(np.array([[1.0, np.nan]]), "W")
    Traceback (most recent call last):
        ...
    ValueError: W holds 1 value that is NaN or infinite, first at row 0, column 1; replace it.
    """
    finite = np.isfinite(array)
    if finite.all():
        size = max(float(array.max()), -float(array.min()))
        if problem := wrong_scale(size, "float32"):
            raise ValueError(f"{name} {problem}.")
        return
    bad = array.size - int(np.count_nonzero(finite))
    first = np.unravel_index(int(finite.argmin()), array.shape)
    row, col = int(first[0]) + corner[0], int(first[1]) + corner[1]
    count, rest = ("1 value that is", "it") if bad == 1 else (f"{bad:,} values that are", "them")
    raise ValueError(
        f"{name} holds {count} NaN or infinite, first at row {row}, column {col}; replace {rest}."
    )


def _read_only(array: Array) -> Array:
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
        array.flags.writeable = False
    return array
