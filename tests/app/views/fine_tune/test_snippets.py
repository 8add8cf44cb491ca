"""What is copied as Python makes the numbers of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.views.fine_tune import compute, snippets
from app.views.fine_tune.race_end import _runs
from tests.app.views.fine_tune.race_tools import Make, finished, make, plan

__all__ = ["make"]


def run(code: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(code, found)
    return found


@pytest.mark.parametrize("seeds", [(3,), (3, 4)])
def test_the_table(make: Make, seeds: tuple[int, ...]) -> None:
    race = finished(make(plan("localized", "full", rates=(None, 0.02), seeds=seeds)))
    found = run(snippets.table(race.plan))["found"]
    shown = {(x.method, x.seed): x.outcome for x in race.lanes if x.outcome}
    if len(seeds) == 1:
        assert found == {
            key: {
                "stopped at": o.stopped_step,
                "stopped": (o.stopped_loss, o.stopped_metric),
                "last step": (o.loss, o.metric),
            }
            for key, o in shown.items()
        }
        return
    ours = _runs(race.lanes).sort_values(["method", "seed"])
    theirs = found.sort_values(["method", "seed"])
    for column in set(ours) - {"method", "seconds"}:
        assert ours[column].tolist() == theirs[column].tolist()


@pytest.mark.parametrize("field", ["eval_loss", "train_loss", "metric"])
def test_the_curves(make: Make, field: str) -> None:
    race = finished(make(plan("global", "frozen", seeds=(0, 2))))
    curves = run(snippets.curves(race.plan, field))["curves"]
    assert curves == {
        (lane.method, lane.seed): [
            (record.step, getattr(record, field))
            for record in lane.records
            if getattr(record, field) is not None
        ]
        for lane in race.lanes
    }


def test_updates_and_spectra_at_any_step(make: Make) -> None:
    race = finished(make(plan("global", "blast", "localized-lora-plus", "full", steps=4)))
    for step in (0, 2, 4):
        frame = race.film.at(step)
        assert frame is not None
        found = run(snippets.spectra(race.plan, "layer", step))
        for name, held in frame.deltas.items():
            delta = found["deltas"][name].numpy()
            shown = held["layer"].dense()
            np.testing.assert_allclose(delta, shown, atol=2**-11 * abs(delta).max())
            values = np.linalg.svd(delta, compute_uv=False)
            np.testing.assert_allclose(found["spectra"][name], values, atol=1e-5)
    lane = race.lanes[0]
    code = snippets.target(race.plan, lane.method, "layer", lane.step, "ΔW of layer")
    np.testing.assert_array_equal(run(code)["target"].array, lane.deltas["layer"])


@pytest.mark.parametrize("task", ["digits-rotated", "planted-blocks", "image"])
def test_the_base(task: str) -> None:
    found = compute.before(task, 1)
    made = run(snippets.base(task, 1, known=found.known is not None))
    assert made["new"] == (found.new.loss, found.new.metric)
    if found.known is not None:
        assert made["old"] == (found.known.loss, found.known.metric)


def test_methods_without_a_family_keep_their_budget() -> None:
    code = snippets.table(plan("peft-oft", "blast", "localized-permuted", "full", rank=3))
    for name in ("peft-oft", "blast", "localized-permuted"):
        assert f'Method("{name}", rank=3, grid=4)' in code
    assert 'Method("full")' in code
