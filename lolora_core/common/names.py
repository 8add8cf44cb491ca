"""Names from outside, fit to be shown."""

from __future__ import annotations

import re


def display_name(name: str) -> str:
    """Return the last part of a path, as `printable` shows it.

    Examples
    --------
    >>> display_name("pictures/cat.png")
    'cat.png'
    """
    return printable(re.split(r"[/\\]", name)[-1]) or "the file"


def printable(text: str) -> str:
    """Return the last 80 printable characters of a foreign text, fit for a title or a message.

    Examples
    --------
    >>> printable("a" + chr(0) + "b")
    'ab'
    """
    return "".join(character for character in text if character.isprintable())[-80:]
