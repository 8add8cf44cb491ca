"""What the page shows of a task before and after a race, computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from torch import Tensor

from lolora_core.blocks.grid import budget_for_rank
from lolora_core.common.metrics import numerical_rank
from lolora_core.training import TASKS, Data, Method, Task, optimum

__all__ = [
    "Before",
    "Example",
    "Score",
    "before",
    "measured_rank",
    "nearest",
    "parameters",
    "target_rank",
]


@dataclass(frozen=True)
class Score:
    """Loss and metric of the base over so many examples."""

    loss: float
    metric: float
    count: int


@dataclass(frozen=True, eq=False)
class Example:
    """One test example, and what the base says about it.

    Attributes
    ----------
    truth, guess : str
        Names of classes.
    picture : ndarray or None
        Of an image, values from 0 to 1.
    text : str
        Of a sentence.
    """

    truth: str
    guess: str
    picture: np.ndarray | None
    text: str

    @property
    def right(self) -> bool:
        """Whether the base is right."""
        return self.truth == self.guess


@dataclass(frozen=True, eq=False)
class Before:
    """A task before any training.

    Attributes
    ----------
    examples : tuple of Example
        One a class; empty where the outputs are no classes.
    new, known : Score
        On the test split, and on what the base was made for (None where it was made for nothing).
    delta : ndarray or None
        The best update, where it is known.
    """

    examples: tuple[Example, ...]
    new: Score
    known: Score | None
    delta: np.ndarray | None


@st.cache_resource(max_entries=8, show_spinner="Asking the base …")
def before(name: str, seed: int) -> Before:
    """Ask the base of a task about its test examples."""
    task = TASKS[name]
    problem = task.build(seed)
    test = problem.splits["test"]
    known = None
    if task.known is not None:
        data = task.known(seed)
        known = Score(*problem.score(data), len(data.inputs))
    examples: tuple[Example, ...] = ()
    if task.classes:
        one = _one_a_class(test)
        guesses = problem.outputs(one.inputs).argmax(dim=1)
        examples = _examples(task, one, guesses)
    delta = None if task.target is None else task.target(seed).numpy()
    return Before(examples, Score(*problem.score(test), len(test.inputs)), known, delta)


def _one_a_class(data: Data) -> Data:
    """Return the first example of every class that there is."""
    first = [int((data.targets == label).int().argmax()) for label in data.targets.unique()]
    return Data(data.inputs[first], data.targets[first])


def _examples(task: Task, data: Data, guesses: Tensor) -> tuple[Example, ...]:
    names = task.classes
    texts = task.text(data.inputs) if task.text else [""] * len(data.inputs)
    side = round(data.inputs.shape[1] ** 0.5)
    pictures = [
        None if task.text else np.clip(row.numpy().reshape(side, side), 0, 1) for row in data.inputs
    ]
    labels = zip(data.targets.tolist(), guesses.tolist(), strict=True)
    return tuple(
        Example(names[truth], names[guess], picture, text)
        for (truth, guess), picture, text in zip(labels, pictures, texts, strict=True)
    )


@st.cache_data(max_entries=64, show_spinner=False)
def nearest(task: str, method: str, rank: int, grid: int, seed: int) -> float | None:
    """Return the least relative error that a method's structure allows, where it is known."""
    return optimum(task, Method(method, rank=rank, grid=grid), seed)


@st.cache_data(max_entries=8, show_spinner=False)
def target_rank(task: str, seed: int) -> int | None:
    """Return the numerical rank of the best update, where it is known."""
    target = TASKS[task].target
    return None if target is None else numerical_rank(target(seed))


@st.cache_data(max_entries=8, show_spinner=False)
def parameters(task: str, rank: int) -> int:
    """Return what a budget is, over all adapted matrices of a task whose best update is known."""
    target = TASKS[task].target
    assert target is not None
    return budget_for_rank(target(0).shape, rank)


def measured_rank(found: Mapping[str, Any], task: str, rank: int) -> int | None:
    """Return the measured budget of a task that is nearest by its factor; None where none was.

    Examples
    --------
    >>> cells = [{"task": "image", "rank": rank} for rank in (4, 8, 16)]
    >>> [measured_rank({"results": cells}, "image", rank) for rank in (1, 6, 11, 64)]
    [4, 8, 8, 16]
    """
    ranks = [cell["rank"] for cell in found["results"] if cell["task"] == task]
    return min(ranks, key=lambda own: abs(math.log(own / rank)), default=None)
