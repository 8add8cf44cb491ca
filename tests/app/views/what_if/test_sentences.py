"""Sentences of What if at the edges: ties, numbers that print as equal, corners of the map."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from app.views.what_if import sentences as prose


def test_grids_that_tie_are_named_together() -> None:
    errors = np.array([[0.2, 0.1], [0.1, 0.3]])
    assert prose.grid_errors("localized", errors, [1, 2], [1, 2]) == (
        "localized does best on 1×2 and 2×1 blocks, error 0.100, and worst on 2×2, error 0.300."
    )
    close = np.array([[0.10002, 0.10002], [0.10002, 0.10004]])
    assert prose.grid_errors("adaptive", close, [1, 2], [1, 2]) == (
        "adaptive does best on 1×1, 1×2 and 2×1 blocks, error 0.10002, and worst on 2×2, error "
        "0.10004."
    )


def test_a_painted_map_is_measured_against_the_best() -> None:
    found = prose.painted(900, 1000, 0.100004, (0.2, 0.1), proven=True)
    assert found.endswith("You found the best: no map does better at this budget.")
    assert "as good as adaptive" in prose.painted(9, 10, 0.1, (0.2, 0.1), proven=False)
    assert "better than adaptive (0.200)!" in prose.painted(9, 10, 0.1, (0.3, 0.2), proven=False)
    worse = prose.painted(900, 1000, 0.3, (0.2, 0.0), proven=False)
    assert "is worse than the same rank everywhere (localized, 0.200)" in worse
    assert worse.endswith("The best known is 0 (adaptive): it leaves nothing out.")


def test_a_small_gain_by_order_is_told_apart() -> None:
    said = prose.reordering(0.10004, 0.10002, 0.5)
    assert "falls from 0.10004 to 0.10002," in said
    assert prose.reordering(0.5, 0.5, 0).startswith("No better order was found")


def winners(name_at: object) -> pd.DataFrame:
    """A map of four grids and six budgets; `name_at` says who wins where, "" is a tie."""
    rows = [(k, k, r, name_at(k, r)) for k, r in product((1, 2, 4, 8), range(1, 7))]  # type: ignore[operator]
    cells = pd.DataFrame(rows, columns=["grid_rows", "grid_cols", "rank", "winner"])
    return cells.assign(tied=cells.winner == "")


def test_the_moral_names_the_corner_where_each_family_wins() -> None:
    assert prose.moral(winners(lambda k, r: "global")) == "global wins everywhere on this map."
    assert prose.moral(winners(lambda k, r: "global" if r <= 2 else "adaptive")) == (
        "adaptive wins most of this map, 67 % of its cells. global wins 33 %, mostly at small "
        "budgets."
    )
    assert prose.moral(winners(lambda k, r: "" if k == 1 else "L" if k == 8 else "A")) == (
        "A wins the largest part of this map, 50 % of its cells. L wins 25 %, mostly on many "
        "blocks. 25 % is a tie, because on one block all families are the same."
    )
