"""A lesson being made: what the teacher's form holds, as a lesson file and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.shared.common import COLS, RANK, ROWS, TARGET
from app.shared.settings import Setting
from app.views.lessons.lesson import Lesson
from lolora_core import FAMILIES

__all__ = ["ASKS", "FILE_ASKS", "as_file", "as_json", "fields", "question", "taken"]

#: A question that the file holds already and that the form cannot make.
FILE_ASKS = "the one in the file"
#: What the form can ask.
ASKS = ("none", "who wins", "how large is the error")


def taken(page: str, settings: Iterable[Setting]) -> dict[str, Any]:
    """Return a step that holds the present state of a page."""
    always = (TARGET.key, RANK.key, ROWS.key, COLS.key, "ft_task", "ft_methods")
    state = {s.key: s.value for s in settings if s.value != s.default or s.key in always}
    return {"page": page, "state": state}


def question(kind: str, family: str) -> dict[str, Any] | None:
    """Return a question of one of the kinds in `ASKS`.

    Examples
    --------
    >>> question("how large is the error", "global")["answer"]
    {'measure': 'relative_error', 'of': 'global'}
    """
    if kind == "who wins":
        return {
            "ask": "Which family comes closest at this budget?",
            "options": {name: name for name, found in FAMILIES.items() if found.from_spectra},
            "answer": {"measure": "winner"},
            "because": "The table holds the errors of all.",
            "reveal": ["errors"],
        }
    if kind == "how large is the error":
        return {
            "ask": f"How large is the relative error of {family} here?",
            "number": {"minimum": 0, "maximum": 1, "step": 0.01, "within": 0.05},
            "answer": {"measure": "relative_error", "of": family},
            "because": "The table holds the errors of all.",
            "reveal": ["errors"],
        }
    return None


def fields(lesson: Lesson) -> dict[str, Any]:
    """Return what the form shows of a lesson."""
    found = lesson.model_dump(exclude_defaults=True, mode="json")
    return {**found, "objectives": "\n".join(lesson.objectives)}


def as_file(given: Mapping[str, Any]) -> str:
    """Return the lesson file of what the form holds; it may still be a bad one."""
    lesson = {
        "id": _id(given["title"]),
        "title": given["title"],
        "minutes": given["minutes"],
        "audience": given["audience"],
        "objectives": [line.strip() for line in given["objectives"].splitlines() if line.strip()],
        "steps": [_without_empty(step) for step in given["steps"]],
    }
    return json.dumps(lesson, indent=2, ensure_ascii=False)


def as_json(lesson: Lesson) -> str:
    """Return the file of a lesson."""
    return json.dumps(
        lesson.model_dump(exclude_defaults=True, mode="json"), indent=2, ensure_ascii=False
    )


def _without_empty(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if value not in (None, "", [])}


def _id(title: str) -> str:
    """Return a title as an id.

    Examples
    --------
    >>> _id("Blocks: when they win!"), _id("")
    ('blocks-when-they-win', 'lesson')
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "lesson"
