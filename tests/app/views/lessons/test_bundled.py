"""Every bundled lesson: legal, and without numbers that are typed in."""

from __future__ import annotations

import re

import pytest

from app.page_settings import EVERY  # noqa: F401  (declares what the lessons may set)
from app.views.lessons.lesson import MEASURED, Lesson, Step
from app.views.lessons.shelf import bundled

STEPS = [
    pytest.param(step, id=f"{name}-{at}")
    for name, lesson in bundled().items()
    for at, step in enumerate(lesson.steps, start=1)
]
#: What is no number of a figure: numbers of papers, and indices and exponents in formulas.
NO_FIGURE = re.compile(r"arXiv \d{4}\.\d{5}|\$\$.*?\$\$|\$.*?\$", re.S)


@pytest.mark.parametrize("lesson", bundled().values(), ids=bundled())
def test_a_lesson_is_whole(lesson: Lesson) -> None:
    assert bundled()[lesson.id] is lesson
    assert 3 <= len(lesson.steps) <= 6
    assert any(step.question for step in lesson.steps)
    assert lesson.steps[-1].self_check


def test_there_are_twelve_in_order() -> None:
    assert len(bundled()) == 12
    assert next(iter(bundled())) == "strips"


def typed(step: Step) -> list[str]:
    asked = step.question
    options = asked.options.values() if asked else ()
    choices = step.self_check.options if step.self_check else ()
    own = [step.self_check.ask] if step.self_check else []
    return [
        *step.texts(),
        step.heading,
        *options,
        *own,
        *(text for choice in choices for text in (choice.text, choice.why)),
    ]


@pytest.mark.parametrize("step", STEPS)
def test_no_number_is_typed_in(step: Step) -> None:
    for text in typed(step):
        words = NO_FIGURE.sub("", MEASURED.sub("", text))
        assert not re.search(r"\d", words), words
        for formula in re.findall(r"\$.*?\$", text):
            assert not re.search(r"\d\d|\d\.\d", MEASURED.sub("", formula)), formula
