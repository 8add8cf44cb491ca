"""Checks on what comes in from outside; each message names the argument and what is allowed."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lolora_core.common.scales import wrong_scale

__all__ = [
    "Matrix",
    "NonFiniteError",
    "as_matrix",
    "check_budget",
    "check_budgets",
    "compute_dtype",
    "reject_nonfinite",
    "reject_unfit",
]

#: What the library takes as a matrix. The checks of `as_matrix` are stricter than this type.
Matrix = Tensor | np.ndarray

_ALLOWED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class NonFiniteError(ValueError):
    """A tensor holds NaN or infinity, or is of a scale that cannot be computed with."""


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a matrix of `dtype` is decomposed.

    Examples
    --------
    >>> compute_dtype(torch.float16), compute_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def as_matrix(target: Matrix, name: str = "target") -> Float[Tensor, "m n"]:
    """Check that `target` is a 2-D, real, finite, non-empty floating matrix; return it as a tensor.

    The tensor keeps the dtype and the device of `target` and shares its memory where it can.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        float16, bfloat16, float32 or float64.
    name : str
        What the error messages call it.

    Raises
    ------
    TypeError
        Not a tensor or array, or a dtype that is not allowed.
    ValueError
        Not 2-D, empty, or with entries that are not finite.

    Examples
    --------
    >>> as_matrix(np.eye(2)).dtype
    torch.float64
    >>> as_matrix(np.ones(3))
    Traceback (most recent call last):
    ValueError: target must be a 2-D matrix; its shape is (3,)
    """
    if isinstance(target, np.ndarray):
        tensor = _from_numpy(target, name)
    elif isinstance(target, Tensor):
        tensor = target.detach()
        if tensor.layout != torch.strided:
            raise TypeError(f"{name} must be a dense tensor; its layout is {tensor.layout}")
    else:
        raise TypeError(
            f"{name} must be a torch tensor or a NumPy array; it is a {type(target).__name__}"
        )
    if tensor.dtype not in _ALLOWED:
        raise TypeError(
            f"{name} must be float16, bfloat16, float32 or float64; its dtype is "
            f"{str(tensor.dtype).removeprefix('torch.')}. Convert it first, e.g. {name}.float()"
        )
    if tensor.ndim != 2:
        raise ValueError(f"{name} must be a 2-D matrix; its shape is {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name} must not be empty; its shape is {tuple(tensor.shape)}")
    reject_nonfinite(tensor, name)
    return tensor


def _from_numpy(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} must be float16, float32 or float64; its dtype is {array.dtype}. "
            f"Convert it first, e.g. {name}.astype('float32')"
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if any(stride < 0 for stride in native.strides):
        native = np.ascontiguousarray(native)
    # torch warns about memory that it may not write to, so read-only arrays are copied.
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def reject_unfit(tensor: Tensor, name: str) -> None:
    """Raise NonFiniteError for NaN, infinity, and values too large or too small to be squared.

    Examples
    --------
    >>> reject_unfit(torch.tensor([[1e300]], dtype=torch.float64), "target")
    Traceback (most recent call last):
    lolora_core.common.checks.NonFiniteError: target holds values up to 1e+300, and 1e+150 is the \
largest that is accepted; divide the matrix by a number first: relative errors stay the same
    """
    if tensor.is_meta:
        return
    largest = float(torch.linalg.vector_norm(tensor, torch.inf))
    if not math.isfinite(largest):
        reject_nonfinite(tensor, name)
    wide = compute_dtype(tensor.dtype) == torch.float64
    if problem := wrong_scale(largest, "float64" if wide else "float32"):
        raise NonFiniteError(f"{name} {problem}")


def reject_nonfinite(tensor: Tensor, name: str) -> None:
    """Raise NonFiniteError, a ValueError, for NaN or infinity: how many, where the first is.

    Examples
    --------
    >>> reject_nonfinite(torch.tensor([[1.0, float("nan")]]), "target")
    Traceback (most recent call last):
    lolora_core.common.checks.NonFiniteError: target must be finite; 1 entry is NaN or infinite, \
the first at (0, 1)
    """
    if tensor.is_meta:
        return
    finite = torch.isfinite(tensor)
    if bool(finite.all()):
        return
    bad = torch.nonzero(~finite)
    entries = "1 entry is" if len(bad) == 1 else f"{len(bad):,} entries are"
    raise NonFiniteError(
        f"{name} must be finite; {entries} NaN or infinite, the first at {tuple(bad[0].tolist())}"
    )


def check_budget(budget: SupportsIndex | None) -> int:
    """Return `budget` as an int; it counts trainable parameters and is 0 or more.

    Examples
    --------
    >>> check_budget(np.int64(4096))
    4096
    >>> check_budget(-1)
    Traceback (most recent call last):
    ValueError: budget counts trainable parameters and must be 0 or more; it is -1
    """
    try:
        value = operator.index(budget)  # type: ignore[arg-type]  # None ends in the message
    except TypeError:
        raise TypeError(
            f"budget counts trainable parameters and must be an integer; it is {budget!r}"
        ) from None
    if value < 0:
        raise ValueError(f"budget counts trainable parameters and must be 0 or more; it is {value}")
    return value


def check_budgets(budgets: Iterable[SupportsIndex]) -> Int[np.ndarray, " q"]:
    """Return budgets, at least one, as an array of int64; see `check_budget`.

    Examples
    --------
    >>> check_budgets([0, 4096])
    array([   0, 4096])
    """
    values = [check_budget(budget) for budget in budgets]
    if not values:
        raise ValueError("budgets must hold at least one budget; it is empty")
    largest = np.iinfo(np.int64).max
    if max(values) > largest:
        raise ValueError(f"budget must be at most {largest}; it is {max(values)}")
    return np.array(values, dtype=np.int64)
