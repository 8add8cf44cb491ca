"""A name that is not known, and those spelt alike."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["near_names"]


def near_names(name: object, known: Iterable[str], what: str) -> str:
    """Return a sentence that refuses a name and offers those spelt alike.

    Examples
    --------
    >>> near_names("localised", ["global", "localized"], "method")
    "there is no method 'localised'; did you mean localized?"
    """
    known = list(known)
    near = get_close_matches(str(name), known, n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
    return f"there is no {what} {name!r}; {advice}"
