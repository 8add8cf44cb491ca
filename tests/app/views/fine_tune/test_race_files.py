"""What a race leaves: records, files of adapters, spectra."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors

from app.page_settings import EVERY
from app.shared import scene as compute
from app.shared.settings import apply_settings
from app.views.fine_tune import race_files
from app.views.fine_tune.film import hold
from lolora_core.adapters import load_adapters
from lolora_core.training import (
    Record,
    fine_tune,
    resolve_task,
)
from tests.app.views.fine_tune.race_tools import Make, finished, make, plan

__all__ = ["make"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ft_task", "digits"),
        ("ft_task", None),
        ("ft_methods", ["global", "lora"]),
        ("ft_methods", "global"),
        ("ft_rank", 0),
        ("ft_steps", 0),
        ("ft_steps", 2.5),
        ("ft_seeds", 11),
        ("ft_lr.full", 0.0),
        ("ft_lr.full", 1e13),
        ("ft_lr.lora", 0.1),
    ],
)
def test_no_file_can_ask_for_what_is_not_there(key: str, value: object) -> None:
    written: list[str] = []
    problems = apply_settings(
        json.dumps({key: value}).encode(),
        EVERY,
        lambda setting, _: written.append(setting.key),
    )
    assert len(problems) == 1
    assert not written


def test_records_lose_nothing(make: Make) -> None:
    race = finished(make(plan("global", "localized", steps=40, rates=(1e12, None))))
    expected = [asdict(record) for lane in race.lanes for record in lane.records]
    assert len(expected) == 2 + 41

    found = json.loads(race_files.records_json(race))
    assert [Record(**{k: r[k] for k in expected[0]}) for r in found["records"]] == [
        record for lane in race.lanes for record in lane.records
    ]
    assert found["plan"]["rates"] == [1e12, None]
    assert found["plan"]["num_steps"] == 40
    assert [run["problem"] for run in found["runs"]] == [race.lanes[0].problem, None]
    assert found["runs"][0]["test"] is None
    assert found["runs"][1]["test"]["loss"] == race.lanes[1].outcome.loss  # type: ignore[union-attr]

    rows = list(csv.DictReader(io.StringIO(race_files.records_csv(race))))
    assert [row["method"] for row in rows] == ["global"] * 2 + ["localized"] * 41
    assert [{k: float(r[k]) if r[k] else None for k in expected[0]} for r in rows] == expected

    # Where early stopping would have stopped: nowhere in a run that diverged.
    outcome = race.lanes[1].outcome
    assert outcome is not None
    at = [(row["method"], int(row["step"])) for row in rows if row["stopped"] == "True"]
    assert at == [("localized", outcome.stopped_step)]
    assert found["runs"][1]["test"]["stopped_loss"] == outcome.stopped_loss


def test_a_race_without_records_has_empty_files(make: Make) -> None:
    race = make(plan())
    assert race_files.records_csv(race).startswith("method,seed,lr,step,")
    assert len(race_files.records_csv(race).splitlines()) == 1
    assert json.loads(race_files.records_json(race))["records"] == []


@pytest.mark.parametrize("task", ["planted-blocks", "digits-transformer"])
def test_an_adapter_opens_on_a_fresh_base(make: Make, task: str, tmp_path: Path) -> None:
    methods = ("localized", "hybrid", "localized-rslora")
    race = finished(make(plan(*methods, task=task, grid=2, steps=2)))
    for lane in race.lanes:
        assert lane.adapter is not None
        folder = tmp_path / lane.method
        with zipfile.ZipFile(io.BytesIO(lane.adapter)) as archive:
            archive.extractall(folder)
        base = resolve_task(task).build(0)
        before = {name: weight.clone() for name, weight in base.weights().items()}
        model = load_adapters(base.model, folder)
        assert set(lane.deltas) == set(base.adapted)
        for name, delta in lane.deltas.items():
            layer: Any = model.get_submodule(name)
            assert np.abs(delta).max() > 0
            np.testing.assert_array_equal(layer.delta().detach().numpy(), delta)
            torch.testing.assert_close(layer.base.weight, before[name])
        assert json.loads((folder / "plan.json").read_text())["task"] == task
        assert (folder / "head.safetensors").exists() == bool(base.head)


def test_of_other_methods_the_file_holds_the_update(make: Make) -> None:
    methods = ("full", "frozen", "localized-permuted", "blast", "peft-lora")
    race = finished(make(plan(*methods, task="digits-transformer", steps=2)))
    for lane in race.lanes:
        assert lane.adapter is not None
        with zipfile.ZipFile(io.BytesIO(lane.adapter)) as archive:
            found = load_tensors(archive.read("delta.safetensors"))
        assert set(found) == set(lane.deltas)
        for name, delta in lane.deltas.items():
            np.testing.assert_array_equal(found[name].numpy(), delta)
            assert delta.any() == (lane.method != "frozen")
        shown = race.film.frames[-1].deltas[lane.method]
        for name, delta in lane.deltas.items():
            np.testing.assert_array_equal(
                shown[name].dense(), hold(torch.from_numpy(delta)).dense()
            )


def test_a_trained_head_lies_in_the_file(make: Make) -> None:
    with_head = [name for name in ("digits-shifted",) if resolve_task(name).build(0).head]
    assert with_head
    race = finished(make(plan("localized", task=with_head[0], steps=2)))
    run = fine_tune(with_head[0], "localized", steps=2)
    assert race.lanes[0].adapter is not None
    with zipfile.ZipFile(io.BytesIO(race.lanes[0].adapter)) as archive:
        head = load_tensors(archive.read("head.safetensors"))
    for name in run.problem.head:
        before = run.model.get_submodule(name).state_dict()
        assert {f"{name}.{part}" for part in before} <= set(head)
        assert any(not torch.equal(head[f"{name}.{part}"], before[part]) for part in before)


def test_a_spectrum_is_that_of_the_matrix() -> None:
    matrix = np.diag([3.0, 0.0, 1.0]).astype(np.float32)
    assert compute.spectrum(matrix, "a", 1).tolist() == [3, 1, 0]
    # The key tells matrices apart; what was computed is not computed again.
    assert compute.spectrum(2 * matrix, "a", 2).tolist() == [6, 2, 0]
    assert compute.spectrum(2 * matrix, "a", 1).tolist() == [3, 1, 0]
