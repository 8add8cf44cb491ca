"""What one dtype loses of another: a difference of two checkpoints that is rounding alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lolora_core.files.tensors import TensorSource

__all__ = ["Rounding", "measure_rounding", "pair_rounding", "rounding_only"]

#: Entries at a time: a few megabytes of work space for each.
_CHUNK = 1 << 20

# What rounding to the nearest leaves is spread evenly over ±½ spacing: its mean is 0 and its mean
# square 1/12. Half-precision values lie on a grid themselves, which moves these by less than SLACK.
_MEAN_SQUARE = 1 / 12
_SLACK = 0.02

# Half a spacing, and what a conversion in two steps adds (torch takes float64 to half by float32).
_NEAREST = 0.5 + 1e-3


class Rounding(NamedTuple):
    """How ΔW = after − before compares with what rounding leaves.

    Attributes
    ----------
    only : bool
        ΔW is not zero, and is rounding alone; see `rounding_only`.
    norm : float
        The ‖·‖_F that rounding is expected to have, ‖u‖_F/√12, where u_ij is the spacing of the
        coarser dtype at entry ij; 0 where both have one dtype.
    """

    only: bool
    norm: float


def rounding_only(before: Tensor, after: Tensor) -> bool:
    """Return whether two tensors of different dtypes differ, and by rounding alone.

    That is so where `after` is `before` rounded to its dtype. Where `before` may be the rounded
    one, or both may be rounded from one original, ΔW has to look like it in three ways: with u_ij
    the spacing of the coarser dtype at entry ij and d = ΔW/u,

    - no entry is above half a spacing, max|d| ≤ ½;
    - the spread is that of rounding, mean(d²) = 1/12 ± 0.02 and four standard errors, over the
      entries that are not zero; a tiny update of weights that were never rounded has less;
    - it does not pull one way, mean(d·sign(after)) = 0 ± the same; a change of scale does.

    Parameters
    ----------
    before, after : Tensor of one shape
        As they are stored, before any conversion: float64, float32, float16 or bfloat16. Integers
        and two of one dtype are never rounding.

    Raises
    ------
    ValueError
        Tensors of different shapes.

    Examples
    --------
    >>> weight = torch.linspace(0.1, 1, 600).reshape(20, 30)
    >>> rounding_only(weight.bfloat16(), weight.half())
    True
    >>> rounding_only(weight.bfloat16(), weight.bfloat16().float() + 1e-5)
    False
    """
    return measure_rounding(before, after).only


def measure_rounding(before: Tensor, after: Tensor) -> Rounding:
    """Measure the rounding between two tensors; see `Rounding` and `rounding_only`.

    Raises
    ------
    ValueError
        Tensors of different shapes.

    Examples
    --------
    >>> weight = torch.linspace(0.1, 1, 600).reshape(20, 30)
    >>> found = measure_rounding(weight, weight.bfloat16())
    >>> ratio = found.norm / float(torch.linalg.vector_norm(weight - weight.bfloat16()))
    >>> found.only, round(ratio, 1)
    (True, 1.0)
    """
    if before.shape != after.shape:
        raise ValueError(
            "before and after must have one shape; they have "
            f"{tuple(before.shape)} and {tuple(after.shape)}"
        )
    floats = before.is_floating_point() and after.is_floating_point()
    if before.dtype == after.dtype or not floats:
        return Rounding(False, 0.0)
    work = torch.promote_types(torch.promote_types(before.dtype, after.dtype), torch.float32)
    changed, cast, near = False, True, True
    count, spacings, squares, pull = 0, 0.0, 0.0, 0.0
    for old, new in _chunks(before, after):
        x, y = old.to(work), new.to(work)
        delta = y - x
        spacing = torch.maximum(_spacing(x, before.dtype), _spacing(y, after.dtype))
        ratio = delta / spacing
        changed = changed or bool(delta.any())
        cast = cast and torch.equal(old.to(after.dtype), new)
        near = near and bool((ratio.abs() <= _NEAREST).all())
        count += int(torch.count_nonzero(y))
        spacings += float(torch.sum(spacing.double() ** 2))
        squares += float(torch.sum(ratio.double() ** 2))
        pull += float(torch.sum(ratio * y.sign(), dtype=torch.float64))
    norm = math.sqrt(spacings * _MEAN_SQUARE)
    return Rounding(changed and (cast or (near and _is_even(count, squares, pull))), norm)


def pair_rounding(base: TensorSource | None, tuned: TensorSource, name: str) -> Rounding:
    """Measure the rounding between base and tuned; they are read only where the dtypes differ.

    Examples
    --------
    >>> from lolora_core.files.tensors import MappingSource
    >>> weight = torch.linspace(0.1, 1, 600).reshape(20, 30)
    >>> held = [MappingSource({"fc.weight": w}) for w in (weight, weight.bfloat16())]
    >>> pair_rounding(*held, "fc.weight").only
    True
    """
    if base is None or tuned.is_update or base.tensors[name].dtype == tuned.tensors[name].dtype:
        return Rounding(False, 0.0)
    return measure_rounding(base.read(name), tuned.read(name))


def _is_even(count: int, squares: float, pull: float) -> bool:
    """Return whether d has the mean and the mean square of an even spread over ±½."""
    errors = 4 / math.sqrt(count) if count else math.inf
    deviation_of_square, deviation = 1 / math.sqrt(180), math.sqrt(_MEAN_SQUARE)
    return abs(squares - count * _MEAN_SQUARE) <= count * (
        _SLACK + errors * deviation_of_square
    ) and abs(pull) <= count * (_SLACK + errors * deviation)


def _spacing(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return how far values of that size lie apart in `dtype`."""
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(values)  # values = m·2^exponent, ½ ≤ |m| < 1
    spacing = torch.ldexp(torch.full_like(values, info.eps / 2), exponent)
    return spacing.clamp_min(info.tiny * info.eps)


def _chunks(before: Tensor, after: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    pairs = (tensor.reshape(-1).split(_CHUNK) for tensor in (before, after))
    return zip(*pairs, strict=True)
