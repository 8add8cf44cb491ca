"""The search for learning rates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from lolora_core.training import TASKS, Run, Snapshot, search_lr
from lolora_core.training.rates import LIMITS, LearningRateSearch, next_rate
from lolora_core.training.tasks.base import Data, Problem, Split
from lolora_core.training.trials import Reading, TrialEnd


def test_a_rate_is_chosen_on_validation_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Split] = []
    evaluate = Run.evaluate

    def watched(run: Run, split: Split, at: Snapshot | None = None) -> tuple[float, float]:
        read.append(split)
        return evaluate(run, split, at)

    def poisoned(seed: int) -> Problem:
        problem = TASKS["digits-rotated"].build(seed)
        images, labels = problem.splits["test"]
        splits = {**problem.splits, "test": Data(torch.full_like(images, math.nan), labels)}
        return replace(problem, splits=splits)

    options: dict[str, Any] = {"steps": 15, "seeds": (7,), "device": "cpu", "extend": False}
    clean = search_lr("digits-rotated", "localized", (1e-4, 1e-2, 1e15), **options)
    monkeypatch.setattr(Run, "evaluate", watched)
    task = replace(TASKS["digits-rotated"], build=poisoned)
    found = search_lr(task, "localized", (1e-4, 1e-2, 1e15), **options)
    assert set(read) == {"validation"}
    assert found == clean
    assert found.best == 1e-2
    assert not found.at_the_edge
    assert math.isinf(found.losses[1e15])


def ends(*losses: float) -> list[TrialEnd]:
    found = [Reading(1, loss, 0.0, None) for loss in losses]
    return [TrialEnd(end, end, end.loss, 1, 1.0, 1.0, 1.0, 1.0, ()) for end in found]


def test_a_search_that_cannot_choose_says_so() -> None:
    with pytest.raises(ValueError, match="rates and seeds must not be empty"):
        search_lr("image", "full", ())
    with pytest.raises(ValueError, match=r"every rate diverges: 1e\+15; go lower"):
        search_lr(
            "digits-rotated", "full", (1e15,), steps=5, seeds=(0,), device="cpu", extend=False
        )
    found = LearningRateSearch.of({0.2: ends(1.0, 2.0), 0.1: ends(3.0, 5.0)})
    assert found.losses == {0.1: 4.0, 0.2: 1.5}
    assert found.at_the_edge


def test_the_next_rate_lies_a_half_decade_beyond_the_best() -> None:
    rates = [1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1]
    falling = dict(zip(rates, (5, 4, 3, 2, 1), strict=True))
    rising = dict(zip(rates, (1, 2, 3, 4, math.inf), strict=True))
    inside = dict(zip(rates, (3, 2, 1, 2, 3), strict=True))
    assert next_rate(falling) == 0.316
    assert next_rate(rising) == 3.16e-4
    assert next_rate(inside) is None
    # Of equals the lowest rate is the best; where all diverge, go down.
    assert next_rate(dict.fromkeys(rates, 1.0)) == 3.16e-4
    assert next_rate(dict.fromkeys(rates, math.inf)) == 3.16e-4
    assert next_rate({LIMITS[0]: 1.0, 1.0: 2.0}) is None
    assert next_rate({1.0: 2.0, LIMITS[1]: 1.0}) is None


def test_a_search_goes_on_until_the_best_lies_inside() -> None:
    found = search_lr(
        "planted-blocks", "localized", (1e-4, 3.16e-4), (100,), steps=40, device="cpu"
    )
    assert not found.at_the_edge
    assert list(found.losses)[:3] == [1e-4, 3.16e-4, 1e-3]
    again = search_lr(
        "planted-blocks", "localized", list(found.losses), (100,), steps=40, device="cpu"
    )
    assert again == found
