"""A rank in the words of other tools, and back: "keep 0.9" means a different thing in each.

Every tool counts the entries of one statistic of the singular values that lie on one side of the
value x it is given, so a row of the table states that statistic, and one function each way does
the rest. The tools decide in float32, where a value at the edge of a range would be decided by
rounding; so a value from here lies in the middle.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, SupportsIndex

import numpy as np
from jaxtyping import Float

__all__ = ["CONVERSIONS", "Conversion"]

Values = Float[np.ndarray, " k"]

# kohya's resize_lora takes a matrix for zero where its largest singular value is at most this.
_KOHYA_ZERO = 1e-6


def _middle(one: float, other: float) -> float:
    if math.isinf(max(one, other)):
        return 2 * min(one, other) or 1.0
    return (one + other) / 2


@dataclass(frozen=True)
class Conversion:
    """How one setting of another tool states a rank.

    Attributes
    ----------
    name : str
        Key of the setting here, as ``"kohya_sv_fro"``.
    tool : str
    setting : str
        What the tool calls it.
    definition : str
        Which rank a value x of it gives.
    statistic : callable
        One number for each of the falling singular values; the rank is how many of them are
        below x where they rise, above x where they fall.
    rises : bool
    low, high : float
        The least and the largest x that is allowed.
    open_low : bool
        `low` itself is not allowed.
    least : int
        The rank is never below this.
    all_at_zero : bool
        x = 0 is no limit and gives full rank.
    power : {1, 2, -1}
        The power of x that is compared with the statistic.

    Examples
    --------
    >>> peft = CONVERSIONS[0]
    >>> peft.rank(np.array([3.0, 2.0, 1.0]), 0.9)
    2
    >>> round(peft.value(np.array([3.0, 2.0, 1.0]), 2), 4)
    0.7857
    """

    name: str
    tool: str
    setting: str
    definition: str
    statistic: Callable[[Values], Values]
    rises: bool
    low: float = 0.0
    high: float = 1.0
    open_low: bool = False
    least: int = 1
    all_at_zero: bool = False
    power: Literal[1, 2, -1] = 1

    def rank(self, singular_values: Values, value: float) -> int:
        """Return the rank that the tool takes at a value of its setting.

        Parameters
        ----------
        singular_values : ndarray, shape (k,)
            Falling, with k = min(m, n).
        value : float

        Raises
        ------
        ValueError
            Singular values that do not fall, or a value out of range.
        """
        values = _checked(singular_values)
        if not (self.low < value if self.open_low else self.low <= value) or value > self.high:
            words = f"above {self.low:g}" if self.open_low else f"{self.low:g} or more"
            words += "" if math.isinf(self.high) else f" and at most {self.high:g}"
            raise ValueError(f"{self.setting} of {self.tool} must be {words}; it is {value!r}")
        if self.all_at_zero and not value:
            return len(values)
        numbers = self.statistic(values)
        level = value**self.power
        counted = numbers < level if self.rises else numbers > level
        return max(self.least, int(np.count_nonzero(counted)))

    def value(self, singular_values: Values, rank: SupportsIndex) -> float | None:
        """Return a value of the setting that gives exactly `rank`, amid all that do.

        None where no value does: equal or zero singular values, or a rank that the tool never
        gives.

        Raises
        ------
        ValueError
            Singular values that do not fall, or a rank outside 0…k.
        """
        values = _checked(singular_values)
        wanted = operator.index(rank)
        if not 0 <= wanted <= len(values):
            raise ValueError(f"rank must be between 0 and {len(values)}; it is {wanted}")
        if wanted < self.least:
            return None
        first, last = (self.low, self.high) if self.rises else (self.high, self.low)
        edges = [first, *self.statistic(values).tolist(), last]
        # What would give less than the least rank gives the least.
        gaps = (wanted, *range(wanted)) if wanted == self.least else (wanted,)
        for gap in gaps:
            level = _middle(edges[gap], edges[gap + 1])
            if not level and self.power < 0:
                continue
            # 1 and -1 are their own inverses; ** 0.5 would be an ulp off where sqrt is not.
            found = math.sqrt(level) if self.power == 2 else level**self.power
            if self.rank(values, found) == wanted:
                return found
        return None


def _checked(values: Values) -> Values:
    found = np.asarray(values, dtype=np.float64)
    falling = found.ndim == 1 and found.size and (np.diff(found) <= 0).all() and found[-1] >= 0
    if not falling:
        raise ValueError(
            "singular_values must be one row of at least one value, falling and 0 or more; "
            f"they are {values!r}"
        )
    return found


def _scaled(values: Values) -> Values:
    return values / values[0] if values[0] else values


def _kohya(values: Values) -> Values:
    return values if values[0] > _KOHYA_ZERO else np.zeros_like(values)


def _held(values: Values, power: int) -> Float[np.ndarray, " k+1"]:
    """Σ_{k ≤ r} σ^power over Σ σ^power for r = 0…k; all 1 for the zero matrix."""
    sums = np.concatenate([[0.0], np.cumsum(_scaled(values) ** power)])
    return sums / sums[-1] if sums[-1] else np.ones_like(sums)


def _energy_before(values: Values) -> Values:
    return _held(values, 2)[:-1]


def _kohya_energy_before(values: Values) -> Values:
    return _held(_kohya(values), 2)[:-1]


def _kohya_sum_before(values: Values) -> Values:
    return _held(_kohya(values), 1)[:-1]


def _kohya_scaled(values: Values) -> Values:
    return _scaled(_kohya(values))


def _sum_up_to(values: Values) -> Values:
    return _held(values, 1)[1:]


#: Every setting, in the order of the tables that show them.
CONVERSIONS: tuple[Conversion, ...] = (
    Conversion(
        "peft_float_rank",
        "PEFT convert_to_lora",
        "rank (float)",
        "smallest rank whose σ² add up to at least x of all σ²",
        _energy_before,
        rises=True,
        open_low=True,
    ),
    Conversion(
        "kohya_sv_fro",
        "kohya resize_lora",
        "sv_fro",
        "smallest rank whose Frobenius norm is at least x of the whole, x² of all σ²",
        _kohya_energy_before,
        rises=True,
        open_low=True,
        power=2,
    ),
    Conversion(
        "kohya_sv_cumulative",
        "kohya resize_lora",
        "sv_cumulative",
        "smallest rank whose σ add up to at least x of all σ",
        _kohya_sum_before,
        rises=True,
        open_low=True,
    ),
    Conversion(
        "kohya_sv_ratio",
        "kohya resize_lora",
        "sv_ratio",
        "number of σ above σ_max/x, at least 1",
        _kohya_scaled,
        rises=False,
        high=math.inf,
        open_low=True,
        power=-1,
    ),
    Conversion(
        "lycoris_threshold",
        "LyCORIS extract",
        "threshold",
        "number of σ above x, at least 1; whole layers from half the output side on",
        np.copy,
        rises=False,
        high=math.inf,
    ),
    Conversion(
        "lycoris_ratio",
        "LyCORIS extract",
        "ratio",
        "number of σ above x·σ_max, at least 1; whole layers from half the output side on",
        _scaled,
        rises=False,
    ),
    Conversion(
        "lycoris_quantile",
        "LyCORIS extract",
        "quantile",
        "largest rank whose σ add up to less than x of all σ, at least 1; whole layers from half "
        "the output side on",
        _sum_up_to,
        rises=True,
    ),
    Conversion(
        "mergekit_sv_epsilon",
        "mergekit-extract-lora",
        "--sv-epsilon",
        "number of σ above x, an absolute size; 0 is no limit",
        np.copy,
        rises=False,
        high=math.inf,
        least=0,
        all_at_zero=True,
    ),
)
