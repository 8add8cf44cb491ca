"""Comparison over seeds, the search for learning rates, and the experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator

import joblib
import numpy as np
import pytest
from scipy import stats

from lolora_core.training import TASKS, Method, compare_methods, fine_tune
from lolora_core.training.compare import MethodComparison, paired_interval
from lolora_core.training.trials import Reading, Trial, TrialEnd, run_trials


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
        str(name): part["stopped_loss"].tolist() for name, part in compared.runs.groupby("method")
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


def test_what_leads_is_where_early_stopping_stopped(compared: MethodComparison) -> None:
    runs = compared.runs.copy()
    # A method that is best when it stops, and worst when it goes on.
    runs.loc[runs.method == "localized r=8 K=4", ["stopped_loss", "test_loss"]] = [0.0, 9.0]
    found = MethodComparison(compared.task, runs)
    row = found.frame().iloc[0]
    assert row["method"] == found.lead().best == "localized r=8 K=4"
    assert (row["loss_mean"], row["final_loss_mean"]) == (0.0, 9.0)
    own = runs[runs.method == row["method"]]
    assert row["stopped_at"] == pytest.approx(own["stopped_step"].mean())
    assert row["metric_mean"] == pytest.approx(own["stopped_metric"].mean())
    assert row["final_metric_mean"] == pytest.approx(own["test_metric"].mean())
    assert found.paired("localized r=8 K=4", "frozen").mean < 0
    assert found.paired("localized r=8 K=4", "frozen", "test_loss").mean > 0
    assert found.sentence().endswith("Every run was stopped where its validation loss was lowest.")


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

    ends = [Reading(5, loss, 0.5, None) for part in losses for loss in part]
    outcomes = [TrialEnd(end, end, end.loss, 10, 1.0, 1.0, 1e-3, 1.0, ()) for end in ends]
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


def timeless(end: TrialEnd) -> TrialEnd:
    return end._replace(seconds=0, took=0)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.getfixturevalue("backend") != "dask":
        yield
        return
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"):
        yield


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_any_backend_gives_what_one_process_gives(backend: str) -> None:
    trials = [Trial("planted-blocks", "localized", None, s, 5, "test", "cpu") for s in range(3)]
    trials.append(Trial("digits-rotated", "global", None, 0, 5, "test", "cpu"))
    here = run_trials(trials)
    seen: list[tuple[int, int]] = []
    with joblib.parallel_config(backend):
        there = run_trials(trials, n_jobs=2, progress=lambda done, all: seen.append((done, all)))
    assert [timeless(o) for o in there] == [timeless(o) for o in here]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_runs_stop_early_where_the_validation_loss_is_lowest() -> None:
    # So high a rate that the last step is not the best.
    trial = Trial("digits-noisy", "full", 0.03, 3, 100, "test", "cpu", evaluations=10)
    [end] = run_trials([trial])
    assert [point.step for point in end.curve] == list(range(0, 101, 10))
    least = min(end.curve, key=lambda point: point.loss)
    assert (end.validation_loss, end.stopped.step) == (least.loss, least.step)
    assert end.stopped.step < end.final.step == 100
    assert end.stopped.loss != end.final.loss
    run = fine_tune("digits-noisy", "full", lr=0.03, seed=3, steps=100, device="cpu")
    for record in run:
        if record.step == least.step:
            break
    assert run.evaluate("test") == pytest.approx((end.stopped.loss, end.stopped.metric), rel=1e-5)
    known = TASKS["digits-noisy"].known
    assert known is not None
    assert end.curve[0].retained == pytest.approx(0.969, abs=1e-3)
    assert run.evaluate(known(3))[1] == pytest.approx(end.stopped.retained, abs=5e-3)


def test_a_search_reads_no_example_of_what_the_base_knew() -> None:
    [end] = run_trials([Trial("digits-rotated", "full", 0.01, 0, 2, "validation", "cpu")])
    assert {point.retained for point in end.curve} == {None}
    assert end.stopped.retained is end.final.retained is None


def test_a_run_that_diverges_has_no_validation_loss() -> None:
    [end] = run_trials([Trial("digits-rotated", "full", 1e15, 0, 20, "test", "cpu")])
    assert math.isinf(end.validation_loss)
    assert math.isinf(end.final.loss)
    assert math.isfinite(end.stopped.loss)
