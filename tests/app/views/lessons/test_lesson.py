"""Lesson files: what is refused, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.page_settings import EVERY  # noqa: F401  (declares what the lessons may set)
from app.shared.declared import pages
from app.views.lessons.answer import answer_of, filled, is_right
from app.views.lessons.draft import as_json
from app.views.lessons.lesson import Lesson, read_lesson
from app.views.lessons.shelf import bundled
from app.views.lessons.step import looked_at
from lolora_core import approximate, budget_for_rank
from lolora_core.targets import load


def good() -> dict[str, Any]:
    return {
        "id": "mine",
        "title": "Mine",
        "minutes": 5,
        "audience": "All",
        "objectives": ["See"],
        "steps": [
            {
                "heading": "One",
                "text": "It is {{relative_error:global}}, else {{relative_error:global@low}}.",
                "page": "compare",
                "state": {"target": "coins", "rank": 8, "rows": 4},
                "also": {"low": {"rank": 2}},
                "show": ["errors", "errors@low"],
                "question": {
                    "ask": "How large?",
                    "number": {"minimum": 0, "maximum": 1, "step": 0.01, "within": 0.05},
                    "answer": {"measure": "relative_error", "of": "localized"},
                    "because": "Measured.",
                },
            }
        ],
    }


def read(data: dict[str, Any]) -> Lesson:
    return read_lesson(json.dumps(data), "mine.json", pages())


def refused(path: str, value: object) -> str:
    data = good()
    *way, last = path.split(".")
    at: Any = data
    for part in way:
        at = at[int(part)] if part.isdecimal() else at[part]
    at[last] = value
    with pytest.raises(ValueError, match=r"^mine\.json") as caught:
        read(data)
    return str(caught.value)


def test_numbers_are_those_of_the_library() -> None:
    step = read(good()).steps[0]
    looked = looked_at(step, {})
    w = load("coins").array
    errors = [
        approximate(w, "global", budget=budget_for_rank(w.shape, rank)).relative_error
        for rank in (8, 2)
    ]
    words = f"It is {errors[0]:#.3g}, else {errors[1]:#.3g}."
    assert filled(step.text, looked) == words
    assert step.question
    found = answer_of(step.question, looked)
    budget = budget_for_rank(w.shape, 8)
    assert found.number == pytest.approx(
        approximate(w, "localized", budget=budget, grid=4).relative_error
    )
    assert is_right(step.question, found, found.number + 0.04)
    assert not is_right(step.question, found, found.number + 0.06)


def test_what_is_moved_holds_in_the_other_states_too() -> None:
    looked = looked_at(read(good()).steps[0], {"rank": 16, "rows": 2})
    assert looked[""].state["rank"] == 16
    assert looked["low"].state["rank"] == 2
    assert [looked[name].state["cols"] for name in ("", "low")] == [2, 2]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("minutes", 0, "“minutes”: must be 1 or more"),
        ("colour", "red", "“colour”: is no field of a lesson file"),
        ("steps.0.page", "nowhere", "step 1: “page” must be one of compare"),
        ("steps.0.state.rank", 999, "“state” has rank = 999; allowed is a number from 1 to 256"),
        ("steps.0.state.target", "camra", "allowed is one of 'camera'"),
        ("steps.0.state.colr", True, "names “colr”, which is no setting of this page"),
        ("steps.0.also.low.rank", "2", "the other state “low” has rank = '2'"),
        ("steps.0.hide", ["nothing"], "“hide” names “nothing”, which is no control of compare"),
        ("steps.0.show", ["race"], "“race” cannot be shown of the page compare"),
        ("steps.0.show", ["errors@high"], "no other state “high”; this step has low"),
        ("steps.0.text", "{{size}}", "“size” is not measured"),
        ("steps.0.text", "{{error of x}}", "is not of the form {{measure:family@state}}"),
        ("steps.0.text", "{{loss:global}}", "loss is measured on fine_tune, not on compare"),
        ("steps.0.families", ["local"], "“families” names “local”; there are global"),
        ("steps.0.question.answer.of", "full", "“of” of relative_error must be one of global"),
        ("steps.0.question.options", {"a": "A"}, "either “options” or a “number”, not both"),
        ("steps.0.question.answer", {"measure": "winner"}, "give two “options” or more"),
        (
            "steps.0.self_check",
            {"ask": "Why?", "options": [{"text": "a", "why": "b"}, {"text": "c", "why": "d"}]},
            "step 1, “self_check”: exactly one option of a self-check is right",
        ),
        (
            "steps.0.question.answer",
            {"lowest": {"a": {"measure": "rank"}, "b": {"measure": "rank"}}},
            "step 1, “question”: this answer is one of several: give two “options” or more",
        ),
        ("steps.0.question.because", "", "step 1, “question”, “because”: is empty"),
    ],
)
def test_a_bad_file_is_explained(path: str, value: object, words: str) -> None:
    assert words in refused(path, value)


def test_what_is_no_lesson_at_all() -> None:
    for text in ("", "{", "[1]", "\udcff".encode("utf-8", "surrogatepass")):
        with pytest.raises(ValueError, match=r"^mine\.json"):
            read_lesson(text, "mine.json", pages())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 10_000, "more than 64 deep"),
        (json.dumps("x" * 1_000_000), r"1,000,002 bytes, and at most 1,000,000 are read"),
        (r'{"title": "\ud800"}', "half of a surrogate pair"),
        ('{"minutes": Infinity}', "no finite number"),
        (json.dumps({f"k{n}": 1 for n in range(9999)}), "… and 9985 more"),
        (json.dumps({"k" * 9999: 1}), "is no field of a lesson file"),
    ],
    ids=["deep", "large", "surrogate", "infinite", "keys", "long key"],
)
def test_a_hostile_file_is_refused_in_few_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read_lesson(text, "mine.json", pages())
    assert len(str(caught.value)) < 3000


def test_a_long_training_is_refused() -> None:
    data = good()
    data["steps"][0] |= {"page": "fine_tune", "state": {"ft_steps": 5000}, "also": {}, "text": "x"}
    data["steps"][0] |= {"show": ["race"], "question": None}
    with pytest.raises(ValueError, match="at most 1,000 steps"):
        read(data)


def test_a_written_lesson_is_read_again() -> None:
    for lesson in bundled().values():
        assert read_lesson(as_json(lesson), "again", pages()) == lesson
