"""Races of lessons train in the pool for visitors, and once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.shared import pool
from app.shared.caches import HELD
from app.views.lessons import races
from app.views.lessons.trained import trained

STATE = {
    "ft_task": "planted-blocks",
    "ft_rank": 4,
    "ft_grid": 4,
    "ft_steps": 2,
    "ft_seed": 907,
    "ft_lr.global": None,
}


def test_a_race_of_a_visitor_goes_to_the_pool_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def call(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        asked.append((pool._VISITOR.get(), function, arguments))
        return function(*arguments)

    monkeypatch.setattr(pool, "call", call)
    monkeypatch.setattr(races, "visitor", lambda: "somebody")
    try:
        found = races.race(STATE, "global")
        again = races.race(STATE, "global")
    finally:
        HELD.pop(("races", races._key(STATE, "global")))
    assert asked == [("somebody", trained, (STATE, "global"))]
    assert again is found
    assert found.steps == [0, 1, 2]
