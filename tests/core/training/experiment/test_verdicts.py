"""Verdicts, from losses that are made up so that the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lolora_core.training.experiment.verdicts import QUESTIONS, is_learnable, judged
from lolora_core.training.methods import METHODS

_DRAWN: list[np.random.Generator] = []


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """Let each test draw the same, whatever ran before it."""
    _DRAWN[:] = [np.random.default_rng(0)]


def row(mean: float, kept: float | None = None, spread: float = 0.01) -> dict[str, Any]:
    [rng] = _DRAWN
    losses = (mean + spread * rng.standard_normal(10)).tolist()
    retained = None if kept is None else (kept + spread * rng.standard_normal(10)).tolist()
    return {"test_losses": losses, "loss_mean": float(np.mean(losses)), "retained": retained}


def experiment(cells: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return cells of tasks of their own, whose frozen base has the loss 2."""
    references = {"full": row(0.2, 0.3), "frozen": row(2.0, 0.9)}
    return {
        "tasks": {name: {"methods": references} for name in cells},
        "results": [{"task": n, "rank": 8, "methods": part} for n, part in cells.items()],
    }


def verdict(found: dict[str, Any], question: str) -> dict[str, Any]:
    [one] = [v for v in judged(found)["verdicts"] if v["question"] == question]
    return one


@pytest.mark.parametrize(
    ("localized", "word"),
    [
        ((0.5, 0.5), "holds"),
        ((0.5, 1.0), "holds in part"),
        ((0.5, 1.5), "depends on the task"),
        ((1.5, 1.0), "does not hold"),
        ((1.0, 1.0), "not clear in any cell"),
    ],
)
def test_the_word_of_a_verdict(localized: tuple[float, float], word: str) -> None:
    found = experiment(
        {
            f"task-{at}": {"localized": row(loss), "global": row(1.0)}
            for at, loss in enumerate(localized)
        }
    )
    one = verdict(found, "localized-global")
    assert one["verdict"] == word
    assert one["cells"] == one["better"] + one["worse"] + one["even"] + one["unclear"] == 2
    # In units of the frozen base's loss.
    assert one["mean"] == pytest.approx((np.mean(localized) - 1.0) / 2, abs=0.02)
    assert one["low"] < one["mean"] < one["high"]


def test_a_sure_difference_that_is_too_small_does_not_matter() -> None:
    found = experiment(
        {"task": {"localized": row(1.0, spread=1e-5), "global": row(1.001, spread=1e-5)}}
    )
    [one] = [r for r in judged(found)["comparisons"] if r["question"] == "localized-global"]
    assert one["p_holm"] < 1e-6
    assert one["outcome"] == "even"


def test_what_the_seeds_do_not_agree_on_is_unclear() -> None:
    found = experiment(
        {"task": {"localized": row(1.0, spread=1.0), "global": row(1.1, spread=1.0)}}
    )
    [one] = [r for r in judged(found)["comparisons"] if r["question"] == "localized-global"]
    assert one["outcome"] == "unclear"


def test_p_values_are_corrected_over_all_questions_together() -> None:
    few = experiment({"a": {"localized": row(0.995), "global": row(1.0)}})
    many = experiment(
        {
            "a": few["results"][0]["methods"],
            **{
                f"b{at}": {"localized": row(1.0), "global": row(1.0), "diagonal": row(1.0)}
                for at in range(9)
            },
        }
    )
    many["tasks"]["a"] = few["tasks"]["a"]
    [alone] = [r for r in judged(few)["comparisons"] if r["question"] == "localized-global"]
    [among] = [
        r
        for r in judged(many)["comparisons"]
        if r["question"] == "localized-global" and r["task"] == "a"
    ]
    assert among["p"] == alone["p"]
    assert among["p_holm"] > alone["p_holm"]


def test_a_part_is_corrected_with_the_rest_of_the_whole() -> None:
    whole = experiment(
        {
            f"b{at}": {"localized": row(1.0 - 0.001 * (9 - at)), "global": row(1.0)}
            for at in range(9)
        }
    )
    rows = judged(whole)["comparisons"]
    part = {"tasks": whole["tasks"], "results": whole["results"][:3]}
    beside = [other["p"] for other in rows if other["task"] not in ("b0", "b1", "b2")]
    assert judged(part, beside)["comparisons"] == rows[:3]
    assert judged(part)["comparisons"] != rows[:3]


def test_accuracy_that_is_kept_is_better_when_higher() -> None:
    found = experiment({"task": {"global": row(1.0, 0.8), "localized": row(1.0, 0.6)}})
    assert verdict(found, "forgetting")["verdict"] == "holds"
    assert verdict(found, "local-forgetting")["verdict"] == "does not hold"
    assert verdict(found, "forgetting")["mean"] == pytest.approx(0.5, abs=0.02)


def test_a_task_without_a_source_domain_says_nothing_on_forgetting() -> None:
    found = experiment({"task": {"global": row(1.0), "localized": row(1.0)}})
    asked = {v["question"] for v in judged(found)["verdicts"]}
    assert asked == {"localized-global"}


def test_a_task_is_learnable_where_full_is_clearly_better_than_frozen() -> None:
    assert is_learnable(row(0.5), row(1.0))[0]
    assert not is_learnable(row(1.5), row(1.0))[0]
    assert not is_learnable(row(0.9, spread=1.0), row(1.0, spread=1.0))[0]
    # Sure, and smaller than the margin.
    clear, lead = is_learnable(row(0.995, spread=1e-5), row(1.0, spread=1e-5))
    assert not clear
    assert lead["high"] is not None
    assert lead["high"] < 0


def test_questions_ask_about_methods_that_there_are() -> None:
    assert {name for q in QUESTIONS for pair in q.pairs for name in pair} <= set(METHODS)
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    assert all(question.stated for question in QUESTIONS)
