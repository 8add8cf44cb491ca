"""The catalogue: which targets there are, and how to load one by its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lolora_core.common.names import did_you_mean
from lolora_core.targets import images, synthetic, weights
from lolora_core.targets.base import Entry, Target

_ENTRIES = {entry.id: entry for entry in (*images.ENTRIES, *synthetic.ENTRIES, *weights.ENTRIES)}


def catalogue() -> tuple[Entry, ...]:
    """Return every entry, images first, then patterns, weights and updates; loads nothing.

    Examples
    --------
    >>> catalogue()[0].id
    'camera'
    """
    return tuple(_ENTRIES.values())


def entry(id: str) -> Entry:
    """Return the entry with this id.

    Raises
    ------
    ValueError
        If there is none; the message names ids that are spelt alike.

    Examples
    --------
    >>> entry("camra")
    Traceback (most recent call last):
        ...
    ValueError: There is no target 'camra'; did you mean camera?
    """
    found = _ENTRIES.get(id)
    if found is not None:
        return found
    advice = did_you_mean(id, _ENTRIES, "catalogue() lists them all.")
    raise ValueError(f"There is no target {id!r}; {advice}")


def load(id: str, *, colour: bool = False, **parameters: float | int) -> Target:
    """Load one target; the same arguments give the same array.

    Parameters
    ----------
    id : str
        Of an entry in `catalogue`.
    colour : bool
        Red, green and blue of an image that has them; otherwise grey.
    **parameters
        Of a synthetic pattern, as its entry lists them; those left out take their defaults.

    Raises
    ------
    TypeError, ValueError
        If the id or a parameter is unknown, a value is out of bounds or of the wrong type, or
        there is no colour.

    Examples
    --------
    >>> load("low-rank", size=64, rank=2).shape
    (64, 64)
    >>> load("astronaut", colour=True).array.shape
    (512, 512, 3)
    """
    found = entry(id)
    if colour and not found.has_colour:
        raise ValueError(f"colour must be False for {id}, which has no colour.")
    code = _code(id, {"colour": True} if colour else parameters)
    if found.kind == "pattern":
        return replace(synthetic.load(id, parameters), code=code)
    if parameters:
        raise ValueError(f"{id} takes no parameters, but {', '.join(sorted(parameters))} is given.")
    made = images.load(id, colour=colour) if found.kind == "image" else weights.load(id)
    return replace(made, code=code)


def _code(id: str, given: Mapping[str, Any]) -> str:
    words = "".join(f", {name}={value!r}" for name, value in given.items())
    return f"from lolora_core import load\n\ntarget = load({id!r}{words})"
