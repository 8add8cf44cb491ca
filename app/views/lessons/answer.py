"""What the program says: numbers put into texts, and the answer to a question."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from app.views.lessons.lesson import Lowest, Measure, Question, measure_in
from app.views.lessons.measures import MEASURES, Looked, written
from lolora_core.explore.compare import TIE

__all__ = ["Answer", "answer_of", "filled", "is_right"]


class Answer(NamedTuple):
    """The program's answer.

    Attributes
    ----------
    right : tuple of str
        Keys of the options that are right; several where they tie.
    number : float
        NaN where the answer is an option.
    measured : tuple of (str, str)
        What was compared, with the number of each.
    """

    right: tuple[str, ...]
    number: float
    measured: tuple[tuple[str, str], ...]


def filled(text: str, looked: Mapping[str, Looked]) -> str:
    """Return a text with the numbers that the program measures.

    Parameters
    ----------
    text : str
    looked : mapping
        The states of the step by name; "" is its own.
    """

    def number(found: re.Match[str]) -> str:
        measure = measure_in(found[0])
        return written(looked[measure.at], measure.measure, measure.of)

    return re.sub(r"\{\{.*?\}\}", number, text)


def answer_of(question: Question, looked: Mapping[str, Looked]) -> Answer:
    """Compute the answer to a question."""
    asked = question.answer
    if isinstance(asked, Lowest):
        return _lowest(question, asked, looked)
    kind = MEASURES[asked.measure]
    value = kind.read(looked[asked.at], asked.of)
    if kind.is_words:
        return Answer(tuple(value), math.nan, ())
    return Answer((), float(value), ((asked.measure, kind.write(value)),))


def _lowest(question: Question, asked: Lowest, looked: Mapping[str, Looked]) -> Answer:
    values = {key: _read(measure, looked) for key, measure in asked.lowest.items()}
    best = min(values.values())
    right = tuple(key for key, value in values.items() if value <= best + TIE)
    if len(right) == len(values) and "equal" in question.options:
        right = ("equal",)
    measured = tuple(
        (question.options[key], MEASURES[m.measure].write(values[key]))
        for key, m in asked.lowest.items()
    )
    return Answer(right, math.nan, measured)


def _read(measure: Measure, looked: Mapping[str, Looked]) -> float:
    return float(MEASURES[measure.measure].read(looked[measure.at], measure.of))


def is_right(question: Question, answer: Answer, guess: str | float) -> bool:
    """Return whether a guess is right: one of the right options, or near enough.

    A guess may be off by rounding beside what the question allows.
    """
    if question.number is None:
        return guess in answer.right
    return abs(float(guess) - answer.number) <= question.number.within + 1e-9
