"""The bundled lessons, as Start lists them."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from app.shared import address
from app.shared.declared import pages
from app.shared.settings import reset
from lolora_core.targets.weights import asset_path

__all__ = ["Listed", "listed", "open_lesson"]


class Listed(NamedTuple):
    """What the list says of a lesson."""

    name: str
    title: str
    minutes: int


@cache
def listed() -> tuple[Listed, ...]:
    """Return the lessons, the shortest first."""
    folder = asset_path("lessons/01-strips.json").parent
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found = [Listed(file["id"], file["title"], file["minutes"]) for file in files]
    return tuple(sorted(found, key=lambda lesson: lesson.minutes))


def open_lesson(name: str) -> None:
    """Go to a lesson; a callback."""
    settings = pages()["lessons"]
    reset(settings)
    next(setting for setting in settings if setting.key == "lesson").set(name)
    address.go_to("views/lessons/page.py")
