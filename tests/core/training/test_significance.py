"""Paired differences and their correction, against scipy and a worked example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lolora_core.training.significance import difference, holm


def test_a_difference_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, 10).tolist(), rng.normal(0, 1, 10).tolist()
    found, by_scipy = difference(first, second), stats.ttest_rel(first, second)
    interval = by_scipy.confidence_interval(0.95)
    assert found.p == pytest.approx(by_scipy.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    gaps = np.subtract(first, second)
    assert found.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))
    # Exchanged, everything but p changes its sign.
    other = difference(second, first)
    assert other.mean == pytest.approx(-found.mean)
    assert other.effect == pytest.approx(-found.effect)
    assert other.p == pytest.approx(found.p)


def test_seeds_that_all_say_the_same() -> None:
    assert difference([1.0, 2.0], [1.0, 2.0])[3:] == (0.0, 1.0)
    assert difference([1.0, 2.0], [0.0, 1.0])[3:] == (math.inf, 0.0)
    assert difference([0.0, 1.0], [1.0, 2.0])[3:] == (-math.inf, 0.0)


def test_holm_steps_down_and_never_falls() -> None:
    # Of 4: 0.005·4, 0.01·3, 0.03·2 and 0.04·1, which may not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    rng = np.random.default_rng(0)
    raw = rng.uniform(0, 0.2, 40)
    corrected = np.array(holm(raw.tolist()))
    assert (corrected >= raw).all()
    assert (corrected <= np.minimum(1, 40 * raw)).all()
    order = np.argsort(raw)
    assert (np.diff(corrected[order]) >= 0).all()


def test_holm_keeps_false_alarms_of_a_whole_table_rare() -> None:
    rng = np.random.default_rng(1)
    tables = rng.uniform(size=(2000, 20))
    alarms = np.mean([min(holm(table.tolist())) < 0.05 for table in tables])
    assert 0.035 < alarms < 0.065
    assert np.mean(tables.min(axis=1) < 0.05) > 0.5
