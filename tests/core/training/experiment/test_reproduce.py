"""The experiment on small cells: what it searches, reads, keeps and drops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lolora_core.families import FAMILIES
from lolora_core.training import TASKS, Method
from lolora_core.training.experiment.protocol import (
    ABLATIONS,
    CELLS,
    QUICK,
    SEARCH_SEEDS,
    SEEDS,
    Cell,
    methods_of,
    steps_of,
    tasks_of,
)
from lolora_core.training.experiment.report import document, paragraph
from lolora_core.training.experiment.reproduce import reproduce
from lolora_core.training.experiment.store import Store, machine
from lolora_core.training.rates import RATES
from lolora_core.training.significance import difference
from lolora_core.training.trials import Trial, run_trials

TINY = (
    Cell("planted-blocks", 8, ("global", "localized"), 20, 4, RATES[1:4]),
    Cell("digits-inverted", 8, ("global",), 20, 4, RATES[1:4]),
    Cell("digits-rotated", 32, ("diagonal", "localized"), 20, 4, RATES[1:4]),
)
OPTIONS: dict[str, Any] = {"seeds": (0, 1, 2), "search_seeds": (100,), "n_jobs": 1}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "runs.jsonl"


@pytest.fixture(scope="module")
def found(kept: Path) -> dict[str, Any]:
    return reproduce(TINY, store=Store(kept), **OPTIONS)


def test_the_protocol_keeps_search_and_comparison_apart() -> None:
    assert len(SEEDS) == 10
    assert not set(SEEDS) & set(SEARCH_SEEDS)
    every = (*CELLS, *ABLATIONS)
    for cell in every:
        assert methods_of(cell)
    # A quick cell is one of the whole: the same method, budget and number of steps.
    for cell in QUICK:
        [whole] = [c for c in CELLS if (c.task, c.rank) == (cell.task, cell.rank)]
        assert set(cell.methods) <= set(whole.methods)
        assert cell._replace(methods=()) == whole._replace(methods=())
    # Ablations are compared with families of the same cell.
    assert {(c.task, c.rank) for c in ABLATIONS} <= {(c.task, c.rank) for c in CELLS}
    assert list(tasks_of(QUICK)) == [cell.task for cell in QUICK]


def test_all_methods_see_the_same_number_of_gradients() -> None:
    for cell in CELLS:
        for method in methods_of(cell):
            task, family = TASKS[cell.task], FAMILIES[method.name]
            looked_at = 4 * 64 if family.init == "gradient" else 0
            whole = (cell.steps or task.steps) * task.batch
            seen = steps_of(cell, method) * task.batch + looked_at
            assert whole - task.batch < seen <= whole
            assert (seen == whole) or looked_at


def test_rates_are_searched_on_validation_and_compared_on_test(found: dict[str, Any]) -> None:
    [cell] = [c for c in found["results"] if c["task"] == "planted-blocks"]
    for name, row in cell["methods"].items():
        method, losses = Method(name, rank=8, grid=4), row["validation_losses"]
        assert f"{row['lr']:g}" == min(losses, key=losses.__getitem__)
        assert not row["lr_at_the_edge"]
        searched = [
            Trial("planted-blocks", method, float(rate), 100, 20, "validation", "cpu", 4)
            for rate in losses
        ]
        again = [end.validation_loss for end in run_trials(searched)]
        assert list(losses.values()) == pytest.approx(again, rel=1e-6)
        tested = [
            Trial("planted-blocks", method, row["lr"], seed, 20, "test", "cpu", 4)
            for seed in (0, 1, 2)
        ]
        ends = run_trials(tested)
        assert row["test_losses"] == pytest.approx([e.stopped.loss for e in ends], rel=1e-6)
        assert row["final_losses"] == pytest.approx([e.final.loss for e in ends], rel=1e-6)


def test_a_task_that_cannot_be_learnt_is_dropped_before_any_family(
    found: dict[str, Any], kept: Path
) -> None:
    # After 20 steps full fine-tuning is far behind the head alone on inverted digits.
    tasks = {name: task["learnable"] for name, task in found["tasks"].items()}
    assert tasks == {"planted-blocks": True, "digits-inverted": False, "digits-rotated": True}
    assert "digits-inverted" not in {cell["task"] for cell in found["results"]}
    lines = kept.read_text(encoding="utf-8").splitlines()[1:]
    made = {tuple(json.loads(json.loads(line)[0])[:2]) for line in lines}
    assert {m for task, m in made if task == "digits-inverted"} == {"full", "frozen"}
    assert "digits-inverted" in paragraph(found)


def test_a_method_that_cannot_spend_the_budget_is_left_out(found: dict[str, Any]) -> None:
    [cell] = [c for c in found["results"] if c["task"] == "digits-rotated"]
    assert list(cell["methods"]) == ["localized"]
    assert list(cell["left_out"]) == ["diagonal"]
    assert f"left out: {cell['left_out']['diagonal']}" in document(found)


def test_what_was_forgotten_is_read_on_the_source_domain(found: dict[str, Any]) -> None:
    rotated, planted = (found["tasks"][n] for n in ("digits-rotated", "planted-blocks"))
    assert rotated["forgets"]
    assert not planted["forgets"]
    assert rotated["base"]["retained"] == pytest.approx(0.969, abs=1e-3)
    assert planted["base"]["retained"] is None
    curve = rotated["methods"]["full"]["curve"]
    assert [point[0] for point in curve] == [0, 5, 10, 15, 20]
    assert curve[0][3] == pytest.approx(0.969, abs=1e-3)
    assert rotated["methods"]["full"]["retained_mean"] < 0.95


def test_every_figure_can_be_written_as_json_and_as_a_document(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = document(found)
    assert text.startswith("# Does it train better?")
    for verdict in found["verdicts"]:
        assert f"| {verdict['claim']} | {verdict['stated']} | **{verdict['verdict']}** |" in text
    # Rows of the last table: full and frozen of each task, and every method of every cell.
    rows = text[text.index("## Every method") :].count("\n| ") - 2
    assert rows == 2 * 3 + 2 + 1 + 1
    assert paragraph(found) in text


def test_a_stopped_experiment_goes_on(found: dict[str, Any], kept: Path, tmp_path: Path) -> None:
    text = kept.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_text("".join(lines[:30]) + lines[30][:25], encoding="utf-8")
    told: list[int] = []
    again = reproduce(TINY, store=Store(torn), told=lambda what, made: told.append(made), **OPTIONS)
    assert told == list(range(1, found["runs"] - 29 + 1))
    for part in (found, again):
        for cell in part["results"]:
            for row in cell["methods"].values():
                row.pop("seconds", None)
    assert again["results"] == found["results"]
    assert again["comparisons"] == found["comparisons"]
    assert len(torn.read_text(encoding="utf-8").splitlines()) == len(lines)


def test_runs_of_another_machine_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({**machine(), "torch": "0.1"}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="on another machine or with other versions"):
        Store(path)


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    trial = Trial("digits-rotated", "full", 1e15, 0, 4, "test", "cpu", 2)
    [end] = run_trials([trial])
    store = Store(tmp_path / "runs.jsonl")
    assert store.get(trial) is None
    store.put(trial, end)
    back = Store(tmp_path / "runs.jsonl").get(trial)
    assert repr(back) == repr(end)
    assert Store(tmp_path / "runs.jsonl").get(trial._replace(seed=1)) is None


def test_full_against_frozen_decides_what_can_be_learnt(found: dict[str, Any]) -> None:
    for task in found["tasks"].values():
        full, frozen = (task["methods"][name]["test_losses"] for name in ("full", "frozen"))
        assert task["full_minus_frozen"]["mean"] == pytest.approx(difference(full, frozen).mean)
