from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.views.what_if.paint import BRUSHES, brush, from_text, to_text

MAPS = st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 64))
)


@given(MAPS)
def test_text_round_trip(ranks: np.ndarray) -> None:
    text = to_text(ranks)
    assert set(text) <= set("0123456789x._")
    np.testing.assert_array_equal(from_text(text, ranks.shape, np.full(ranks.shape, 64)), ranks)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1.1", "1 rows of 2; the grid is 2×2"),
        ("1.1_1", "2 rows of 1×2; the grid is 2×2"),
        ("1.1_1.9", r"rank 9 of block \(1, 1\) is above its full rank, 4"),
        ("1.1_1.-1", "“-1” is neither"),
        ("hello", "“hello” is neither"),
        ("h" * 30, "“hhhhhhhhhhhhhhhhhhhh” is neither"),
        ("1." * 999, "1,998 characters; that is too many for 2×2 blocks"),
        ("1x9999_1x9999", "the grid is 2×2"),
    ],
)
def test_text_that_is_no_rank_map(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_text(text, (2, 2), np.full((2, 2), 4))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("block", [[0, 0, 0], [0, 0, 3], [0, 0, 0]]),
        ("row", [[0, 0, 0], [3, 3, 3], [0, 0, 0]]),
        ("column", [[0, 0, 3], [0, 0, 3], [0, 0, 3]]),
        ("diagonal", [[0, 3, 0], [0, 0, 3], [0, 0, 0]]),
        ("border", [[3, 3, 3], [3, 0, 3], [3, 3, 3]]),
        ("all", [[3, 3, 3], [3, 3, 3], [3, 3, 3]]),
    ],
)
def test_brushes(kind: str, expected: list[list[int]]) -> None:
    assert kind in BRUSHES
    empty, limits = np.zeros((3, 3), dtype=np.int64), np.full((3, 3), 8)
    assert brush(empty, kind, (1, 2), 3, limits).tolist() == expected
    assert not empty.any()


def test_a_stroke_stops_at_full_rank_and_covers_a_single_row() -> None:
    limits = np.array([[2, 5]])
    assert brush(np.zeros((1, 2), int), "border", (0, 0), 4, limits).tolist() == [[2, 4]]
