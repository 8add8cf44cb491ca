"""A rank in the words of other tools, and back: "keep 0.9" means a different thing in each.

Every pair takes singular values, falling, shape (k,) with k = min(m, n). ``rank_from_…`` follows
the tool's definition; its inverse returns a value that gives exactly that rank, in the middle of
all that do, or None where none does (equal or zero singular values, or a rank that the tool never
gives). The tools decide in float32, so values at the edge of a range would be decided by rounding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

__all__ = [
    "kohya_sv_cumulative",
    "kohya_sv_fro",
    "kohya_sv_ratio",
    "lycoris_quantile",
    "lycoris_ratio",
    "lycoris_threshold",
    "mergekit_sv_epsilon",
    "peft_float_rank",
    "rank_from_kohya_sv_cumulative",
    "rank_from_kohya_sv_fro",
    "rank_from_kohya_sv_ratio",
    "rank_from_lycoris_quantile",
    "rank_from_lycoris_ratio",
    "rank_from_lycoris_threshold",
    "rank_from_mergekit_sv_epsilon",
    "rank_from_peft_float_rank",
]

Values = Float[np.ndarray, " k"]

# kohya's resize_lora takes a matrix for zero where its largest singular value is at most this.
_KOHYA_ZERO = 1e-6


def _checked(values: Values) -> Values:
    found = np.asarray(values, dtype=np.float64)
    falling = found.ndim == 1 and found.size and (np.diff(found) <= 0).all() and found[-1] >= 0
    if not falling:
        raise ValueError(
            "singular_values must be one row of at least one value, falling and 0 or more; "
            f"they are {values!r}"
        )
    return found


def _in_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    if not (low < value <= high if open_low else low <= value <= high):
        words = f"above {low:g}" if open_low else f"{low:g} or more"
        words += "" if np.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be {words}; it is {value!r}")


def _check_rank(values: Values, rank: int) -> int:
    found = operator.index(rank)
    if not 0 <= found <= len(values):
        raise ValueError(f"rank must be between 0 and {len(values)}; it is {found}")
    return found


def _shares(values: Values, power: int) -> Values:
    """Σ_{k ≤ r} σ^power over Σ σ^power for r = 0…k; all 1 for the zero matrix."""
    scaled = (values / values[0] if values[0] else values) ** power
    sums = np.concatenate([[0.0], np.cumsum(scaled)])
    return sums / sums[-1] if sums[-1] else np.ones_like(sums)


def _first_that_gives(
    rank: int, candidates: Iterable[float], back: Callable[[float], int]
) -> float | None:
    return next((float(c) for c in candidates if back(float(c)) == rank), None)


def _gap_middle(values: Values, rank: int) -> list[float]:
    """Return the middle between σ_rank and the next, where 0 < rank."""
    below = values[rank] if rank < len(values) else 0.0
    return [(values[rank - 1] + below) / 2]


def rank_from_peft_float_rank(singular_values: Values, value: float) -> int:
    """Smallest r with Σ_{k ≤ r} σ_k² ≥ value·Σσ², as `rank=0.9` in PEFT's convert_to_lora.

    Raises
    ------
    ValueError
        A value that is not above 0 and at most 1.

    Examples
    --------
    >>> rank_from_peft_float_rank(np.array([3.0, 2.0, 1.0]), 0.9)
    2
    """
    values = _checked(singular_values)
    _in_range("PEFT's float rank", value, 0, 1, open_low=True)
    return max(1, int(np.searchsorted(_shares(values, 2), value)))


def peft_float_rank(singular_values: Values, rank: int) -> float | None:
    """Return the float rank of PEFT's convert_to_lora that gives `rank`.

    Examples
    --------
    >>> round(peft_float_rank(np.array([3.0, 2.0, 1.0]), 2), 4)
    0.7857
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    shares = _shares(values, 2)
    middle = [(shares[r - 1] + shares[r]) / 2] if r else []
    return _first_that_gives(r, middle, lambda v: rank_from_peft_float_rank(values, v))


def rank_from_kohya_sv_fro(singular_values: Values, value: float) -> int:
    """Smallest r ≥ 1 with √(Σ_{k ≤ r} σ_k²) ≥ value·√(Σσ²), a share of the Frobenius norm.

    As kohya's resize_lora with `--dynamic_method sv_fro`; a matrix with σ_max ≤ 10⁻⁶ gets 1.

    Raises
    ------
    ValueError
        A value that is not above 0 and at most 1.

    Examples
    --------
    >>> rank_from_kohya_sv_fro(np.array([3.0, 2.0, 1.0]), 0.9)
    2
    """
    values = _checked(singular_values)
    _in_range("kohya's sv_fro", value, 0, 1, open_low=True)
    if values[0] <= _KOHYA_ZERO:
        return 1
    return max(1, int(np.searchsorted(_shares(values, 2), value**2)))


def kohya_sv_fro(singular_values: Values, rank: int) -> float | None:
    """Return the `--dynamic_param` of kohya's sv_fro that gives `rank`.

    Examples
    --------
    >>> round(kohya_sv_fro(np.array([3.0, 2.0, 1.0]), 2), 4)
    0.8864
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    shares = _shares(values, 2)
    middle = [np.sqrt((shares[r - 1] + shares[r]) / 2)] if r else []
    return _first_that_gives(r, middle, lambda v: rank_from_kohya_sv_fro(values, v))


def rank_from_kohya_sv_cumulative(singular_values: Values, value: float) -> int:
    """Smallest r ≥ 1 with Σ_{k ≤ r} σ_k ≥ value·Σσ.

    As kohya's resize_lora with `--dynamic_method sv_cumulative`; a matrix with σ_max ≤ 10⁻⁶
    gets 1.

    Raises
    ------
    ValueError
        A value that is not above 0 and at most 1.

    Examples
    --------
    >>> rank_from_kohya_sv_cumulative(np.array([3.0, 2.0, 1.0]), 0.9)
    3
    """
    values = _checked(singular_values)
    _in_range("kohya's sv_cumulative", value, 0, 1, open_low=True)
    if values[0] <= _KOHYA_ZERO:
        return 1
    return max(1, int(np.searchsorted(_shares(values, 1), value)))


def kohya_sv_cumulative(singular_values: Values, rank: int) -> float | None:
    """Return the `--dynamic_param` of kohya's sv_cumulative that gives `rank`.

    Examples
    --------
    >>> round(kohya_sv_cumulative(np.array([3.0, 2.0, 1.0]), 2), 4)
    0.6667
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    shares = _shares(values, 1)
    middle = [(shares[r - 1] + shares[r]) / 2] if r else []
    return _first_that_gives(r, middle, lambda v: rank_from_kohya_sv_cumulative(values, v))


def rank_from_kohya_sv_ratio(singular_values: Values, value: float) -> int:
    """Count the σ_k > σ_max/value, at least 1.

    As kohya's resize_lora with `--dynamic_method sv_ratio`; a matrix with σ_max ≤ 10⁻⁶ gets 1.

    Raises
    ------
    ValueError
        A value that is not above 0.

    Examples
    --------
    >>> rank_from_kohya_sv_ratio(np.array([3.0, 2.0, 1.0]), 2)
    2
    """
    values = _checked(singular_values)
    _in_range("kohya's sv_ratio", value, 0, np.inf, open_low=True)
    if values[0] <= _KOHYA_ZERO:
        return 1
    return max(1, int((values > values[0] / value).sum()))


def kohya_sv_ratio(singular_values: Values, rank: int) -> float | None:
    """Return the `--dynamic_param` of kohya's sv_ratio that gives `rank`.

    Examples
    --------
    >>> kohya_sv_ratio(np.array([3.0, 2.0, 1.0]), 2)
    2.0
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    middle = [values[0] / m for m in _gap_middle(values, r) if m] if r else []
    return _first_that_gives(r, [*middle, 1.0], lambda v: rank_from_kohya_sv_ratio(values, v))


def rank_from_lycoris_threshold(singular_values: Values, value: float) -> int:
    """Count the σ_k > value, at least 1, as mode "threshold" of LyCORIS' extraction.

    Raises
    ------
    ValueError
        A negative value.

    Examples
    --------
    >>> rank_from_lycoris_threshold(np.array([3.0, 2.0, 1.0]), 0.9)
    3
    """
    values = _checked(singular_values)
    _in_range("LyCORIS' threshold", value, 0, np.inf)
    return max(1, int((values > value).sum()))


def lycoris_threshold(singular_values: Values, rank: int) -> float | None:
    """Return the threshold of LyCORIS that gives `rank`.

    Examples
    --------
    >>> lycoris_threshold(np.array([3.0, 2.0, 1.0]), 2)
    1.5
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    middle = _gap_middle(values, r) if r else []
    return _first_that_gives(
        r, [*middle, values[0]], lambda v: rank_from_lycoris_threshold(values, v)
    )


def rank_from_lycoris_ratio(singular_values: Values, value: float) -> int:
    """Count the σ_k > value·σ_max, at least 1, as mode "ratio" of LyCORIS' extraction.

    Raises
    ------
    ValueError
        A value outside 0…1.

    Examples
    --------
    >>> rank_from_lycoris_ratio(np.array([3.0, 2.0, 1.0]), 0.9)
    1
    """
    values = _checked(singular_values)
    _in_range("LyCORIS' ratio", value, 0, 1)
    return max(1, int((values > value * values[0]).sum()))


def lycoris_ratio(singular_values: Values, rank: int) -> float | None:
    """Return the ratio of LyCORIS that gives `rank`.

    Examples
    --------
    >>> lycoris_ratio(np.array([3.0, 2.0, 1.0]), 2)
    0.5
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    middle = [m / values[0] for m in _gap_middle(values, r)] if r and values[0] else []
    return _first_that_gives(r, [*middle, 1.0], lambda v: rank_from_lycoris_ratio(values, v))


def rank_from_lycoris_quantile(singular_values: Values, value: float) -> int:
    """Count the r ≥ 1 with Σ_{k ≤ r} σ_k < value·Σσ, at least 1.

    As mode "quantile" of LyCORIS' extraction: one less than the smallest rank that reaches the
    share, so full rank is never given.

    Raises
    ------
    ValueError
        A value outside 0…1.

    Examples
    --------
    >>> rank_from_lycoris_quantile(np.array([3.0, 2.0, 1.0]), 0.9)
    2
    """
    values = _checked(singular_values)
    _in_range("LyCORIS' quantile", value, 0, 1)
    return max(1, int((_shares(values, 1)[1:] < value).sum()))


def lycoris_quantile(singular_values: Values, rank: int) -> float | None:
    """Return the quantile of LyCORIS that gives `rank`.

    Examples
    --------
    >>> round(lycoris_quantile(np.array([3.0, 2.0, 1.0]), 2), 4)
    0.9167
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    shares = _shares(values, 1)
    middle = [(shares[r] + shares[r + 1]) / 2] if r < len(values) else []
    return _first_that_gives(
        r, [*middle, shares[1] / 2], lambda v: rank_from_lycoris_quantile(values, v)
    )


def rank_from_mergekit_sv_epsilon(singular_values: Values, value: float) -> int:
    """Count the σ_k > value, an absolute size; 0 means no limit and gives full rank.

    As `--sv-epsilon` of mergekit-extract-lora, before its `--max-rank`.

    Raises
    ------
    ValueError
        A negative value.

    Examples
    --------
    >>> rank_from_mergekit_sv_epsilon(np.array([3.0, 2.0, 0.0]), 0.9)
    2
    >>> rank_from_mergekit_sv_epsilon(np.array([3.0, 2.0, 0.0]), 0)
    3
    """
    values = _checked(singular_values)
    _in_range("mergekit's sv-epsilon", value, 0, np.inf)
    return int((values > value).sum()) if value else len(values)


def mergekit_sv_epsilon(singular_values: Values, rank: int) -> float | None:
    """Return the `--sv-epsilon` of mergekit that gives `rank`.

    Examples
    --------
    >>> mergekit_sv_epsilon(np.array([3.0, 2.0, 1.0]), 2)
    1.5
    """
    values = _checked(singular_values)
    r = _check_rank(values, rank)
    # Above all of them for rank 0, whatever they are.
    middle = _gap_middle(values, r) if r else [2 * values[0] or 1.0]
    return _first_that_gives(r, [*middle, 0.0], lambda v: rank_from_mergekit_sv_epsilon(values, v))
