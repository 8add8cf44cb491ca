"""Regular expressions from a file end in an answer or a sentence, in bounded time."""

from __future__ import annotations

import re

import pytest

from lolora_core.adapters.select import select_names
from lolora_core.common import patterns
from lolora_core.common.patterns import Matcher

GOOD = [r"h\.\d{1,2}\.q", ".*", "(?i)H.*Q", r"(?!x).*\.q$", r"h\.(3|11)\.(q|k)_?", "[hx][.].*"]
BAD = [
    ("(", "is not a valid regular expression: missing"),
    ("(" * 2000 + ")" * 2000, "is not a valid regular expression"),
    ("a" * 4001, "has 4,001 characters, and at most 4,000 are read"),
    ("a{100}", "repeats a group a counted number of times"),
    ("((a{99}){99}){99}", "repeats a group a counted number of times"),
    ("(?x)(a{9}) {9}", "repeats a group a counted number of times"),
    ("[[a-z]--[aeiou]]", "holds a set within a set"),
    ("[a[b]]", "holds a set within a set"),
    ("(?R)", "is not a valid regular expression: unknown extension"),
]


@pytest.mark.parametrize("pattern", GOOD)
def test_patterns_match_as_those_of_the_standard_library(pattern: str) -> None:
    for name in ("h.11.q", "h.3.k", "xh.11.q", "h.11.q2", ""):
        assert Matcher("a").fits(pattern, name) == bool(re.fullmatch(pattern, name))


@pytest.mark.parametrize(("pattern", "message"), BAD, ids=[pattern[:9] for pattern, _ in BAD])
def test_bad_patterns_are_refused_in_a_sentence(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Matcher("rank_pattern").fits(pattern, "a")
    assert str(caught.value).startswith("rank_pattern '")
    assert len(str(caught.value)) < 200


def test_a_pattern_that_would_take_for_ever_is_refused() -> None:
    slow = "(a|aa)+"
    with pytest.raises(ValueError, match=r"'\(a\|aa\)\+' takes longer than 0.02 seconds to match"):
        Matcher("target_modules", seconds=0.02).fits(slow, "a" * 99 + "b")
    matcher = Matcher("a", seconds=0.02)
    assert matcher.fits(slow, "aaa")


def test_all_names_of_a_file_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each call takes a second by this clock.
    monkeypatch.setattr(patterns.time, "thread_time", iter(range(99)).__next__)
    matcher = Matcher("a", seconds=2.5)
    assert [matcher.fits("a", name) for name in "ab"] == [True, False]
    with pytest.raises(ValueError, match=r"takes longer than 2\.5 seconds"):
        matcher.fits("a", "c")


def test_modules_are_chosen_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns.Matcher.__init__, "__defaults__", (0.02,))
    with pytest.raises(ValueError, match=r"target_modules .* name the modules in full"):
        select_names(["a" * 99 + "b"], "(a|aa)+")
