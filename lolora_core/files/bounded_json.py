"""JSON from outside: bounded before it is parsed, and without what would break later on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["LIMITS", "MAX_DEPTH", "MAX_JSON", "MAX_VALUES", "JsonLimits", "parse_json"]

#: Bytes of a text.
MAX_JSON = 50_000_000
#: Values altogether, about: commas and brackets are counted, those inside of texts too.
MAX_VALUES = 4_000_000
#: Objects and lists inside each other.
MAX_DEPTH = 64

_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonLimits(NamedTuple):
    """What is read of a JSON text.

    Attributes
    ----------
    size : int
        Bytes at most.
    values : int
        Commas and brackets at most, which bound the values and so the memory.
    depth : int
        Objects and lists inside each other at most.
    finite : bool
        Refuse NaN and Infinity, which are no JSON; programs in Python write them all the same.

    Examples
    --------
    >>> JsonLimits(size=1000).depth
    64
    """

    size: int = MAX_JSON
    values: int = MAX_VALUES
    depth: int = MAX_DEPTH
    finite: bool = True


#: Where no other are given.
LIMITS = JsonLimits()


def parse_json(text: bytes, limits: JsonLimits = LIMITS) -> Any:
    """Return the value of a JSON text in UTF-8.

    Parameters
    ----------
    text : bytes
    limits : JsonLimits

    Raises
    ------
    ValueError
        Above a limit, damaged, with a name that occurs twice in one object, with half of a
        surrogate pair, which is no character, or with a number that is not finite. The message
        continues a sentence that names the file.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json(b"[" * 100_000)
    Traceback (most recent call last):
    ValueError: it holds lists or objects more than 64 deep
    """
    if len(text) > limits.size:
        raise ValueError(f"it has {len(text):,} bytes, and at most {limits.size:,} are read")
    values = sum(map(text.count, (b",", b"[", b"{")))
    if values > limits.values:
        raise ValueError(
            f"it holds about {values:,} values, and at most {limits.values:,} are read"
        )
    deep = f"it holds lists or objects more than {limits.depth} deep"
    number = _finite if limits.finite else float
    try:
        found = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=number,
            parse_float=number,
        )
    except RecursionError:
        raise ValueError(deep) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(str(error)) from None
    if not _is_within(found, limits.depth):
        raise ValueError(deep)
    # Written out in UTF-8, half a pair cannot be decoded: it comes from an escape only.
    if b"\\u" in text:
        _refuse_surrogates(found)
    return found


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"it holds {word[:20]}, which is no finite number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _is_within(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            part
            for held in level
            if isinstance(held, (dict, list))
            for part in (held.values() if isinstance(held, dict) else held)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return True
    return False


def _refuse_surrogates(value: Any) -> None:
    waiting = [value]
    while waiting:
        held = waiting.pop()
        parts: Iterable[Any] = (held,)
        if isinstance(held, dict):
            parts = (*held, *held.values())
        elif isinstance(held, list):
            parts = held
        for part in parts:
            if isinstance(part, (dict, list)):
                waiting.append(part)
            elif isinstance(part, str) and _SURROGATE.search(part):
                raise ValueError("it holds half of a surrogate pair, which is no character")
