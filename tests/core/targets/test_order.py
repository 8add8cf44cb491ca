"""Rows in another order."""

from __future__ import annotations

import numpy as np
import pytest

from lolora_core import approximate, budget_for_rank
from lolora_core.targets import load, shuffle_rows


@pytest.mark.parametrize("stride", [2, 7, 8, 300])
def test_rows_are_moved_and_nothing_else(stride: int) -> None:
    target = load("coins")
    moved = shuffle_rows(target, stride)
    assert not np.array_equal(moved.array, target.array)
    np.testing.assert_array_equal(moved.array[1], target.array[stride])
    before, after = (np.sort(t.array.sum(axis=1)) for t in (target, moved))
    np.testing.assert_array_equal(before, after)
    assert moved.sha256 != target.sha256
    assert moved.value_range == target.value_range
    names: dict[str, object] = {}
    exec(moved.code, names)
    assert names["target"].sha256 == moved.sha256  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "error"), [("camera", 0.116), ("minilm-0-query", 0.813)])
def test_what_localized_owes_to_neighbours(name: str, error: float) -> None:
    target = shuffle_rows(load(name), 8)
    budget = budget_for_rank(target.shape, 32)
    found = approximate(target.array, "localized", budget=budget, grid=8)
    assert found.relative_error == pytest.approx(error, abs=5e-4)


def test_strides() -> None:
    target = load("minilm-0-query")
    assert shuffle_rows(target, 1) is target
    assert target.cuts
    assert not shuffle_rows(target, 2).cuts
    with pytest.raises(ValueError, match="stride must be at least 1, but it is 0"):
        shuffle_rows(target, 0)
