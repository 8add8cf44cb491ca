"""Sentences of What if where numbers print as equal."""

from __future__ import annotations

import numpy as np

from app.views.what_if import sentences as prose


def test_grids_that_tie_are_named_together() -> None:
    errors = np.array([[0.2, 0.1], [0.1, 0.3]])
    assert prose.grid_errors("localized", errors, [1, 2], [1, 2]) == (
        "localized has its lowest error, 0.100, on 1×2 and 2×1 and its highest, 0.300, on 2×2."
    )
    close = np.array([[0.10002, 0.10002], [0.10002, 0.10004]])
    assert prose.grid_errors("adaptive", close, [1, 2], [1, 2]) == (
        "adaptive has its lowest error, 0.10002, on 1×1, 1×2 and 2×1 and its highest, 0.10004, "
        "on 2×2."
    )


def test_a_painted_map_that_prints_as_equal_says_by_how_much() -> None:
    said = prose.painted(900, 1000, 0.10002, {"localized": 0.10004, "diagonal": 0.100021})
    assert said.endswith(
        "Error 0.100: better than localized (0.100, apart by 2e-05) and as good as diagonal "
        "(0.100)."
    )


def test_a_small_gain_by_order_is_told_apart() -> None:
    said = prose.reordering(0.10004, 0.10002, 0.5)
    assert "an error of 0.10002 in place of 0.10004;" in said
