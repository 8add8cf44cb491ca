"""Names from outside: fit to be shown, and those spelt alike for one that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "display_name", "names_like", "near_names", "printable"]


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


def names_like(
    wanted: object, known: Iterable[str], *, limit: int = 3, cutoff: float = 0.6
) -> list[str]:
    """Return what is spelt like `wanted`, best first: names, and last parts of dotted names.

    Examples
    --------
    >>> names_like("quary", ["0.query", "0.key", "1.query"], limit=1)
    ['query']
    """
    names = list(known)
    parts = dict.fromkeys([*names, *(name.rsplit(".", 1)[-1] for name in names)])
    return get_close_matches(str(wanted), parts, n=limit, cutoff=cutoff)


def did_you_mean(name: object, known: Iterable[str], otherwise: str) -> str:
    """Return a question that offers the names spelt alike, or `otherwise`.

    Examples
    --------
    >>> did_you_mean("camra", ["camera", "brick"], "see the list.")
    'did you mean camera?'
    """
    near = names_like(name, known)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def near_names(name: object, known: Iterable[str], what: str) -> str:
    """Return a sentence that refuses a name and offers those spelt alike.

    Examples
    --------
    >>> near_names("localised", ["global", "localized"], "method")
    "there is no method 'localised'; did you mean localized?"
    """
    names = list(known)
    advice = did_you_mean(name, names, f"known: {', '.join(names)}.")
    return f"there is no {what} {name!r}; {advice}"
