"""Shares and lists as words."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["join_words", "percent"]


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
