"""A lesson from a file as it may be shown: emphasis and formulas, and nothing that leads away.

Who writes a lesson is not always who opens it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from app.shared.words import as_prose

__all__ = ["harmless"]

Part = TypeVar("Part", bound=BaseModel)
#: Fields with words, of whatever part of a lesson.
_WORDS = {"title", "objectives", "heading", "text", "look", "ask", "options", "because", "why"}


def harmless(part: Part) -> Part:
    """Return a lesson, or a part of one, without links, pictures, icons and colours."""
    changed = {name: _harmless(value, name in _WORDS) for name, value in part}
    return part.model_copy(update=changed)


def _harmless(value: Any, words: bool) -> Any:
    if isinstance(value, BaseModel):
        return harmless(value)
    if isinstance(value, list):
        return [_harmless(one, words) for one in value]
    if isinstance(value, dict) and words:
        return {key: _harmless(one, words) for key, one in value.items()}
    return as_prose(value) if words and isinstance(value, str) else value
