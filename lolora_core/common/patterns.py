"""Regular expressions from outside: matched within a bounded time."""

from __future__ import annotations

import re
import time

import regex

from lolora_core.common.names import printable

__all__ = ["MAX_PATTERN", "MAX_SECONDS", "Matcher"]

#: Characters of a pattern.
MAX_PATTERN = 4000
#: Of computing, for all patterns and names of one file together.
MAX_SECONDS = 2.0

# Counts are written out when a pattern is compiled, which no time bounds.
_LARGE_COUNT = re.compile(r"\{\d*,?\d{3,}|[)}]\s*\{[\d,]|\(\?[a-z]*x")
# Python warns of what may come to mean a set within a set, and other tools read it as one.
_NESTED_SET = re.compile(r"\[\^?\[|--|&&|~~|\|\||\[[^\]]*\[")


class Matcher:
    r"""Matches patterns against whole names until its time is spent.

    A short pattern can take seconds on a short name, and each letter more can double that. The
    patterns are those of the standard library, which knows no time limit.

    Parameters
    ----------
    what : str
        How messages call the patterns.
    seconds : float
        Of computing, for all calls together.

    Examples
    --------
    >>> Matcher("rank_pattern").fits(r"h\.[0-9]+\.q", "h.11.q")
    True
    """

    def __init__(self, what: str = "the pattern", seconds: float = MAX_SECONDS) -> None:
        self.what = what
        self.seconds = self.left = seconds
        self.compiled: dict[str, regex.Pattern[str]] = {}

    def fits(self, pattern: str, name: str) -> bool:
        """Return whether a pattern matches a whole name.

        Raises
        ------
        ValueError
            It is no regular expression, has too many characters or counts, or the time is spent.
        """
        started = time.thread_time()
        if pattern not in self.compiled:
            self.compiled[pattern] = self._compile(pattern)
        found = None
        try:
            found = self.compiled[pattern].fullmatch(name, timeout=max(self.left, 1e-3))
        except TimeoutError:
            self.left = 0.0
        self.left -= time.thread_time() - started
        if self.left <= 0:
            raise ValueError(
                f"{self.what} {_shown(pattern)} takes longer than {self.seconds:g} seconds to "
                "match; name the modules in full, without nested repeats such as (a+)+"
            )
        return found is not None

    def _compile(self, pattern: str) -> regex.Pattern[str]:
        if len(pattern) > MAX_PATTERN:
            raise ValueError(
                f"{self.what} {_shown(pattern)} has {len(pattern):,} characters, and at most "
                f"{MAX_PATTERN:,} are read"
            )
        if _LARGE_COUNT.search(pattern):
            raise ValueError(
                f"{self.what} {_shown(pattern)} repeats a group a counted number of times, or "
                "something a hundred times or more; write + or *"
            )
        if _NESTED_SET.search(pattern):
            raise ValueError(
                f"{self.what} {_shown(pattern)} holds a set within a set, or --, &&, ~~ or ||, "
                "which programs read in different ways"
            )
        try:
            re.compile(pattern)
            return regex.compile(pattern)
        except (re.error, regex.error, RecursionError) as error:
            raise ValueError(
                f"{self.what} {_shown(pattern)} is not a valid regular expression: {error}"
            ) from None


def _shown(pattern: str) -> str:
    text = repr(printable(pattern[:60]))
    return text if len(pattern) <= 60 else f"{text} …"
