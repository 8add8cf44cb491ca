"""Comparison over seeds, the search for learning rates, and the experiment."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from lolora_core.training import TASKS, Method, Run, compare_methods, fine_tune, search_lr
from lolora_core.training.compare import MethodComparison, paired_interval
from lolora_core.training.reproduce import Cell, reproduce, table
from lolora_core.training.tasks.base import Data, Problem, Split
from lolora_core.training.trials import LearningRateSearch, Trial, TrialEnd, run_trials


@pytest.fixture(scope="module")
def compared() -> MethodComparison:
    methods: list[str | Method] = [Method("localized", rank=8), Method("global", rank=8), "frozen"]
    return compare_methods("planted-blocks", methods, range(3), steps=20, lr={"global": 2e-3})


def test_paired_interval_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, 7), rng.normal(0, 1, 7)
    found = paired_interval(first.tolist(), second.tolist())
    by_scipy = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((by_scipy.low, by_scipy.high))
    assert found.mean == pytest.approx((first - second).mean())
    assert found.sd == pytest.approx((first - second).std(ddof=1))
    assert paired_interval([2.0, 2.0], [1.0, 1.0]).is_clear
    assert not paired_interval([1.0, -1.0], [0.0, 0.0]).is_clear
    for pairs in (([1.0], [2.0]), ([1.0, 2.0], [1.0])):
        with pytest.raises(ValueError, match="two pairs or more"):
            paired_interval(*pairs)


def test_comparison_holds_what_single_runs_give(compared: MethodComparison) -> None:
    assert len(compared.runs) == 9
    method = Method("localized", rank=8)
    run = fine_tune("planted-blocks", method, steps=20, seed=2, evaluate_every=100)
    list(run)
    row = compared.runs[(compared.runs.method == method.label) & (compared.runs.seed == 2)].iloc[0]
    loss, metric = run.evaluate("test")
    assert (row.test_loss, row.test_metric) == pytest.approx((loss, metric), rel=1e-6)
    assert row.num_parameters == run.num_parameters == 8 * 256
    assert set(compared.runs[compared.runs.method == "global r=8"].lr) == {2e-3}


def test_frame_has_mean_deviation_and_paired_interval(compared: MethodComparison) -> None:
    rows = compared.frame(reference="frozen").to_dict("records")
    losses = {
        str(name): part["test_loss"].tolist() for name, part in compared.runs.groupby("method")
    }
    means = [row["loss_mean"] for row in rows]
    assert means == sorted(means)
    assert {row["method"] for row in rows} == set(losses)
    for row in rows:
        own = losses[row["method"]]
        assert row["loss_mean"] == pytest.approx(np.mean(own))
        assert row["loss_sd"] == pytest.approx(np.std(own, ddof=1))
        pair = paired_interval(own, losses["frozen"])
        found = [row[key] for key in ("difference", "difference_low", "difference_high")]
        assert found == pytest.approx([pair.mean, pair.low, pair.high])
        assert (found == [0, 0, 0]) == (row["method"] == "frozen")


def test_sentence_says_who_is_ahead_and_whether_it_is_clear() -> None:
    for gap, words in ((1.0, "is larger than"), (0.0, "is not larger than")):
        compared = comparison([[1.0, 2.0, 3.0], [1.1 + gap, 1.9 + gap, 3.3 + gap]])
        sentence = compared.sentence()
        assert sentence.startswith("full has the lowest mean test loss, 2; frozen follows with")
        assert f"The difference {words} the spread over 3 seeds" in sentence
        assert "95 % interval" in sentence
        lead = compared.lead()
        assert (lead.best, lead.second, lead.best_loss) == ("full", "frozen", 2.0)
        assert lead.second_loss == pytest.approx(2.1 + gap)
        assert lead.pair == compared.paired("frozen", "full")


def test_equal_losses_are_a_tie() -> None:
    sentence = comparison([[1.0, 2.0, 3.0], [1.001, 1.999, 3.001]]).sentence()
    assert sentence.startswith("full and frozen tie with the lowest mean test loss, 2. Their")
    # Equal as printed, but every seed says the same.
    clear = comparison([[1.0, 2.0, 3.0], [1.0003, 2.0003, 3.0003]]).sentence()
    assert clear.startswith("full has the lowest mean test loss, 2; frozen follows with")


def comparison(losses: list[list[float]]) -> MethodComparison:
    from lolora_core.training.compare import as_comparison

    outcomes = [TrialEnd(loss, 0.5, 10, 1.0, 1e-3, 1.0) for part in losses for loss in part]
    methods = [Method("full"), Method("frozen")]
    return as_comparison(TASKS["image"], methods, range(len(losses[0])), outcomes)


def test_too_few_or_repeated_methods_and_seeds_are_refused() -> None:
    for methods, seeds, name in (
        (["full"], [0, 1], "methods"),
        (["full", Method("full")], [0, 1], "methods"),
        (["full", "frozen"], [0], "seeds"),
        (["full", "frozen"], [1, 1], "seeds"),
    ):
        with pytest.raises(ValueError, match=f"{name} must be two or more, none twice"):
            compare_methods("image", methods, seeds)  # type: ignore[arg-type]


def test_several_processes_give_what_one_gives() -> None:
    trials = [Trial("planted-blocks", "localized", None, s, 5, "test", "cpu") for s in range(2)]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    here = run_trials(trials)
    torch.set_num_threads(before)
    seen: list[tuple[int, int]] = []
    there = run_trials(trials, n_jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert [o._replace(seconds=0) for o in there] == [o._replace(seconds=0) for o in here]
    assert seen == [(1, 2), (2, 2)]


def test_a_rate_is_chosen_on_validation_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Split] = []
    evaluate = Run.evaluate

    def watched(run: Run, split: Split) -> tuple[float, float]:
        read.append(split)
        return evaluate(run, split)

    def poisoned(seed: int) -> Problem:
        problem = TASKS["digits-rotated"].build(seed)
        images, labels = problem.splits["test"]
        splits = {**problem.splits, "test": Data(torch.full_like(images, math.nan), labels)}
        return replace(problem, splits=splits)

    options: dict[str, Any] = {"steps": 15, "seeds": (7,), "device": "cpu"}
    clean = search_lr("digits-rotated", "localized", (1e-4, 1e-2, 1e15), **options)
    monkeypatch.setattr(Run, "evaluate", watched)
    task = replace(TASKS["digits-rotated"], build=poisoned)
    found = search_lr(task, "localized", (1e-4, 1e-2, 1e15), **options)
    assert set(read) == {"validation"}
    assert found == clean
    assert found.best == 1e-2
    assert not found.at_the_edge
    assert math.isinf(found.losses[1e15])


def test_a_search_that_cannot_choose_says_so() -> None:
    with pytest.raises(ValueError, match="grid and seeds must not be empty"):
        search_lr("image", "full", ())
    with pytest.raises(ValueError, match=r"every rate of the grid diverges: 1e\+15; go lower"):
        search_lr("digits-rotated", "full", (1e15,), steps=5, seeds=(0,), device="cpu")
    outcomes = [TrialEnd(loss, 0.0, 1, 1.0, 1.0, 1.0) for loss in (3.0, 5.0, 1.0, 2.0)]
    found = LearningRateSearch.of([0.1, 0.2], outcomes)
    assert found.losses == {0.1: 4.0, 0.2: 1.5}
    assert found.at_the_edge


def test_the_experiment_reports_what_its_runs_gave() -> None:
    cells = [Cell("planted-blocks", 8, steps=30), Cell("planted-global", 8, steps=30)]
    seen: list[tuple[int, int]] = []
    found = reproduce(
        cells,
        seeds=(0, 1, 2),
        rates=(1e-3, 3e-2),
        search_seeds=(9,),
        n_jobs=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (2 * 7 * 5, 2 * 7 * 5)
    assert json.loads(json.dumps(found)) is not None
    blocks = found["results"][0]
    losses = {name: row["test_losses"] for name, row in blocks["methods"].items()}
    pair = paired_interval(losses["localized"], losses["global"])
    assert blocks["localized_minus"]["global"] == pytest.approx(pair._asdict())
    assert pair.high < 0
    text = table(found)
    assert "| planted-blocks | 8 | better: " in text
    assert text.count("\n| planted-global | 8 |") == 1 + 7
    assert "clearly better in" in text
    lowest = min(blocks["methods"]["localized"]["validation_losses"].items(), key=lambda p: p[1])
    assert blocks["methods"]["localized"]["lr"] == lowest[0]
