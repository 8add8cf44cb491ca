"""What a reader moved inside a lesson: a text that a link can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.shared.common import COLS, RANK, ROWS
from app.shared.settings import Setting

__all__ = ["MOVABLE", "read_moved", "with_moved", "write_moved"]

#: What can be moved inside a lesson, by key.
MOVABLE: Mapping[str, Setting] = {setting.key: setting for setting in (RANK, ROWS, COLS)}

Moved = dict[int, dict[str, int]]


def read_moved(text: str) -> Moved:
    """Return what was moved, by step counted from 1; what is no legal value is left out.

    Examples
    --------
    >>> read_moved("2.rank.16_2.rows.4_9.nothing.1")
    {2: {'rank': 16, 'rows': 4}}
    """
    found: Moved = {}
    for part in text.split("_"):
        step, _, rest = part.partition(".")
        key, _, value = rest.partition(".")
        is_number = step.isdecimal() and value.isdecimal()
        if is_number and key in MOVABLE and MOVABLE[key].accepts(int(value)):
            found.setdefault(int(step), {})[key] = int(value)
    return found


def write_moved(moved: Moved) -> str:
    """Return what `read_moved` reads.

    Examples
    --------
    >>> write_moved({2: {"rank": 16, "rows": 4}})
    '2.rank.16_2.rows.4'
    """
    return "_".join(
        f"{step}.{key}.{value}" for step in sorted(moved) for key, value in moved[step].items()
    )


def with_moved(moved: Moved, step: int, values: Mapping[str, Any], own: Mapping[str, Any]) -> Moved:
    """Return what is moved after `values` of one step were set; the lesson's own are left out.

    Examples
    --------
    >>> with_moved({1: {"rank": 4}}, 2, {"rank": 32, "rows": 4}, {"rank": 32, "rows": 8})
    {1: {'rank': 4}, 2: {'rows': 4}}
    """
    kept = {key: value for key, value in values.items() if value != own[key]}
    others = {at: found for at, found in moved.items() if at != step}
    return {**others, **({step: kept} if kept else {})}
