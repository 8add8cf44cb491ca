"""Paired differences over seeds: interval, p-value with Holm's correction, size of the effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lolora_core.training.compare import paired_interval

__all__ = ["ALPHA", "Difference", "difference", "holm"]

#: Of the whole table, after the correction.
ALPHA = 0.05


class Difference(NamedTuple):
    """First − second over the same seeds.

    Attributes
    ----------
    mean, low, high : float
        The mean of the differences, with its 95 % t-interval.
    effect : float
        Cohen's d of paired values: mean by standard deviation; infinite where every seed gives
        the same difference.
    p : float
        Of the two-sided paired t-test, before any correction.
    """

    mean: float
    low: float
    high: float
    effect: float
    p: float


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the paired differences of two sequences of the same seeds.

    Raises
    ------
    ValueError
        As `paired_interval`.

    Examples
    --------
    >>> found = difference([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    >>> round(found.mean, 3), round(found.effect, 3), round(found.p, 3)
    (1.333, 2.309, 0.057)
    """
    from scipy.stats import t

    pair, count = paired_interval(first, second), len(first)
    if not pair.sd:
        effect, p = (0.0, 1.0) if not pair.mean else (float(np.copysign(np.inf, pair.mean)), 0.0)
    else:
        effect = pair.mean / pair.sd
        p = float(2 * t.sf(abs(effect) * count**0.5, count - 1))
    return Difference(pair.mean, pair.low, pair.high, effect, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are: Holm's step-down method.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎ the corrected ones are max over j ≤ i of min(1, (m − j + 1)·p₍ⱼ₎). At most
    one table in twenty has a wrong verdict where those below 0.05 are believed, however the tests
    depend on each other.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, 1979.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(1.0, (len(values) - np.arange(len(values))) * values[order])
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(scaled)
    return [float(p) for p in corrected]
