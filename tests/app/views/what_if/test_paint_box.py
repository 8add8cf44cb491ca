"""Strokes on the paint box: what fits is painted, what does not is told, none is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.shared.settings import Setting
from app.views.what_if import paint_box
from app.views.what_if.settings import BRUSH_RANK, PAINT
from lolora_core import Grid


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A map of 2×2 blocks of 8×8, where a rank costs 16, and room for 5 ranks."""
    state: dict[str, Any] = {}
    monkeypatch.setattr("streamlit.session_state", state)
    state[BRUSH_RANK.key] = 2
    grid = Grid.regular((16, 16), 2)
    empty = np.zeros((2, 2), dtype=np.int64)
    paint_box._DRAWN.set(paint_box._Drawn(empty, grid, 80, 0))
    return state


def stroke(state: dict[str, Any], *made: tuple[list[list[int]], int, int]) -> None:
    state["paint_map"] = {
        "strokes": [{"blocks": blocks, "add": add, "count": count} for blocks, add, count in made]
    }
    paint_box._stroke()


def value(setting: Setting) -> str:
    return str(setting.value)


def test_a_stroke_that_does_not_fit_changes_nothing(session: dict[str, Any]) -> None:
    stroke(session, ([[0, 0], [0, 1]], 0, 1))
    assert value(PAINT) == "2x2_0x2"
    stroke(session, ([[1, 0]], 0, 2))
    assert value(PAINT) == "2x2_0x2"
    assert "needs 32 more parameters and you have 16 left, so 16 are missing" in (
        paint_box._REFUSED.take()
    )
    stroke(session, ([[1, 0]], 1, 3))
    assert value(PAINT) == "2x2_1.0"
    assert paint_box._REFUSED.take() == ""


def test_strokes_faster_than_the_server_are_all_painted_once(session: dict[str, Any]) -> None:
    first, second = ([[0, 0]], 1, 1), ([[0, 0]], 1, 2)
    stroke(session, first)
    stroke(session, first, second)
    assert value(PAINT) == "2.0_0x2"


def test_a_map_above_a_lowered_budget_can_be_made_cheaper(session: dict[str, Any]) -> None:
    drawn = paint_box._drawn()
    paint_box._DRAWN.set(drawn._replace(ranks=np.full((2, 2), 3)))
    stroke(session, ([[0, 0]], -1, 1))
    assert value(PAINT) == "2.3_3x2"
    stroke(session, ([[0, 0]], 1, 2))
    assert value(PAINT) == "2.3_3x2"
    assert "you have 0 left" in paint_box._REFUSED.take()
    session[BRUSH_RANK.key] = 0
    stroke(session, ([[0, 0], [0, 1], [1, 0], [1, 1]], 0, 3))
    assert value(PAINT) == ""
