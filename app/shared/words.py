"""Numbers and lists as words, the same on every page."""

from __future__ import annotations

import re
from html import escape

import numpy as np

from lolora_core.common.words import join_words, percent

__all__ = [
    "as_prose",
    "as_text",
    "dense_storage",
    "format_apart",
    "format_error",
    "in_figure",
    "join_words",
    "percent",
    "three_digits",
]

#: Characters of foreign words that are shown.
LONGEST = 1000
_JOINER = "\u2060"
#: What Markdown itself reads, wherever it stands.
_MARKS = re.compile(r"[\\`*_\[\]<>$~|!:#&]|^[-+=]")
#: What is looked for in its result: addresses, :emoji:, :material/icons:, e-mail; a list's "1.".
_MADE_LATER = re.compile(r":(?=[\w+/-])|www(?=\.)|@(?=[\w-])|^\d+(?=[.)])", re.IGNORECASE)
_MEASURED = re.compile(r"(\{\{[\w:@. -]*\}\})")
#: Where links, pictures, addresses for them, and HTML are parted.
_LEADS_AWAY = re.compile(rf"\](?=[(\[:])|<(?=\S)|{_MADE_LATER.pattern}", re.IGNORECASE)


def as_text(words: str) -> str:
    r"""Return foreign words so that Markdown shows them as they are, on one line and not too long.

    No link, picture, formula, icon, emoji or colour is made of them. Backslashes are not enough:
    addresses and icons are looked for again in what Markdown has read, so a character without
    width parts them.

    Examples
    --------
    >>> print(as_text("a_b ![x](y)"))
    a\_b \!\[x\](y)
    >>> as_text("c" + chr(10) + "d" + chr(0xD800)), len(as_text("e" * 9999))
    ('c d�', 1000)
    """
    line = "".join(
        one if one.isprintable() or one == _JOINER else " " if one.isspace() else "�"
        for one in words
    ).strip()
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - 1]}…"
    parted = _MADE_LATER.sub(lambda found: found[0] + _JOINER, line)
    return _MARKS.sub(r"\\\g<0>", parted)


def as_prose(words: str) -> str:
    r"""Return foreign Markdown without what leads elsewhere: links, pictures, HTML, icons, colours.

    Emphasis, lists and formulas stay, and ``{{numbers}}`` that the program measures.

    Examples
    --------
    >>> as_prose("**a** [b](http://host)").replace(_JOINER, "|")
    '**a** [b]|(http:|//host)'
    >>> as_prose("{{error:global}} at $r = 2$")
    '{{error:global}} at $r = 2$'
    """
    shown = "".join(one if one.isprintable() or one.isspace() else "�" for one in words)
    parts = _MEASURED.split(shown)
    # Every second part is a number that is measured.
    parts[::2] = [_LEADS_AWAY.sub(lambda at: at[0] + _JOINER, part) for part in parts[::2]]
    return "".join(parts)


def in_figure(words: str) -> str:
    """Return foreign words so that a figure of plotly shows them as they are.

    Examples
    --------
    >>> in_figure("<a href='http://host'>x</a>")
    "&lt;a href='http://host'&gt;x&lt;/a&gt;"
    """
    return escape(words, quote=False)


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
