"""The lessons: those of assets/lessons, and one that a teacher loaded in this session."""

from __future__ import annotations

from functools import cache

from app.shared.declared import pages
from app.shared.settings import Slot
from app.views.lessons.harmless import harmless
from app.views.lessons.lesson import Lesson, read_lesson
from lolora_core.targets.weights import asset_path

__all__ = ["LOADED", "OWN", "bundled", "bundled_ids", "by_id"]

#: How a link calls the lesson that was loaded in this session.
OWN = "own"
LOADED: Slot[Lesson | None] = Slot("lesson_loaded", None)
_FIRST = "lessons/01-strips.json"


@cache
def _files() -> dict[str, str]:
    """Return the text of each file by the lesson's id, in the order of the files' names."""
    folder = asset_path(_FIRST).parent
    return {
        path.stem.partition("-")[2]: path.read_text(encoding="utf-8")
        for path in sorted(folder.glob("*.json"))
    }


def bundled_ids() -> tuple[str, ...]:
    """Return the ids of the bundled lessons."""
    return tuple(_files())


@cache
def bundled() -> dict[str, Lesson]:
    """Return the bundled lessons by id."""
    return {name: read_lesson(text, f"{name}.json", pages()) for name, text in _files().items()}


def by_id(name: str) -> Lesson | None:
    """Return a lesson, or None where there is none of that name in this session."""
    if name != OWN:
        return bundled().get(name)
    return harmless(LOADED.value) if LOADED.value else None
