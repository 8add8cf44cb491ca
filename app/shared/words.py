"""Numbers and lists as words, the same on every page."""

from __future__ import annotations

import re

import numpy as np

from lolora_core.common.words import join_words, percent

__all__ = [
    "as_text",
    "dense_storage",
    "format_apart",
    "format_error",
    "join_words",
    "percent",
    "three_digits",
]


def as_text(words: str) -> str:
    r"""Return foreign words so that Markdown shows them as they are: no links, no pictures.

    Examples
    --------
    >>> print(as_text("a_b ![x](y)"))
    a\_b \!\[x\](y)
    """
    return re.sub(r"([\\`*_\[\]<>$~|!:#])", r"\\\1", words)


def format_error(error: float) -> str:
    """Return three significant digits, or 0 where only rounding is left.

    Examples
    --------
    >>> format_error(0.061779), format_error(0.74), format_error(3e-9)
    ('0.0618', '0.740', '0')
    """
    return "0" if error < 1e-6 else three_digits(error)


def three_digits(value: float) -> str:
    """Return three significant digits, trailing zeros included.

    Examples
    --------
    >>> three_digits(0.5), three_digits(-26.08), three_digits(123.4), three_digits(float("inf"))
    ('0.500', '−26.1', '123', '∞')
    """
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def format_apart(first: float, second: float) -> tuple[str, str]:
    """Return two errors with three digits, or with as many as tell them apart.

    Examples
    --------
    >>> format_apart(0.0618, 0.0804), format_apart(0.061821, 0.061849), format_apart(0.5, 0.5)
    (('0.0618', '0.0804'), ('0.06182', '0.06185'), ('0.500', '0.500'))
    """
    words = format_error(first), format_error(second)
    for digits in range(4, 8):
        if words[0] != words[1] or first == second:
            return words
        words = f"{first:#.{digits}g}", f"{second:#.{digits}g}"
    return words


def dense_storage(budget: int, entries: int) -> str:
    """Say that a budget is what dense storage needs, or more; empty where it is less.

    Examples
    --------
    >>> dense_storage(65535, 65536)
    ''
    >>> dense_storage(65536, 65536)
    'This budget pays for dense storage: the 65,536 entries themselves, without any error.'
    """
    if budget < entries:
        return ""
    return (
        f"This budget pays for dense storage: the {entries:,} entries themselves, without any "
        "error."
    )
