"""How large and how small the values of a matrix may be."""

from __future__ import annotations

from typing import Literal

__all__ = ["SCALES", "wrong_scale"]

#: Magnitudes of the largest entry that are computed with: beyond them squares, and sums of them,
#: overflow or vanish.
SCALES = {"float32": (1e-18, 1e15), "float64": (1e-145, 1e150)}


def wrong_scale(largest: float, dtype: Literal["float32", "float64"]) -> str:
    """Return why a largest magnitude cannot be computed with in a dtype; empty if it can.

    Examples
    --------
    >>> wrong_scale(1e-320, "float64")
    'holds no value above 1e-320, and at least one of 1e-145 is needed; multiply the matrix by a \
number first: relative errors stay the same'
    >>> wrong_scale(0.0, "float32"), wrong_scale(3.0, "float32")
    ('', '')
    """
    low, high = SCALES[dtype]
    if largest > high:
        return (
            f"holds values up to {largest:.3g}, and {high:g} is the largest that is accepted; "
            "divide the matrix by a number first: relative errors stay the same"
        )
    if 0 < largest < low:
        return (
            f"holds no value above {largest:.3g}, and at least one of {low:g} is needed; "
            "multiply the matrix by a number first: relative errors stay the same"
        )
    return ""
