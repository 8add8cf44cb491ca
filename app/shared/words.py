"""Numbers and lists as words, the same on every page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["dense_storage", "format_apart", "format_error", "join_words", "percent", "three_digits"]


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


def percent(share: float) -> str:
    """Return a share in percent, never rounding to a certainty that was not measured.

    Examples
    --------
    >>> percent(0.9791), percent(0.99987), percent(1.0), percent(0.0003)
    ('97.9 %', '99.99 %', '100 %', '0.03 %')
    """
    if min(share, 1 - share) < 1e-12:
        return f"{round(share * 100)} %"
    digits = 1 if 0.005 <= share <= 0.9949 else 2
    return f"{min(max(share * 100, 0.01), 99.99):.{digits}f} %"


def join_words(names: Sequence[str]) -> str:
    """Join names as in a sentence.

    Examples
    --------
    >>> join_words(["global", "localized", "adaptive"])
    'global, localized and adaptive'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
