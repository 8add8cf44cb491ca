"""Races without a page: heartbeats on a clock of the test's own, turns, steps, divergence."""

from __future__ import annotations

import dataclasses
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import torch

from app import jobs, race_files
from app.film import MAX_FRAMES, Film, Frame, hold
from app.jobs import AWAY, GONE, BusyError, Race
from app.lanes import Lane, Line, Plan
from lolora_core.adapters import adapter_delta, load_adapters
from lolora_core.training import fine_tune, resolve_task

PLAN = Plan("digits-rotated", ("global", "localized", "full"), (None,) * 3, 8, 4, (0,), 12)
#: Longer than any test waits.
LONG = dataclasses.replace(PLAN, steps=100_000)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Starter = Callable[..., Race]


@pytest.fixture
def begin() -> Iterator[Starter]:
    """Start races that are stopped at the end of the test."""
    made: list[Race] = []

    def starter(plan: Plan, line: Line | None = None, clock: Clock | None = None) -> Race:
        race = Race(plan, line=line or Line(1), clock=clock or Clock())
        made.append(race)
        race.start()
        return race

    yield starter
    for race in made:
        race.stop()
    assert all(race.join(30) for race in made)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in 30 s")


def finished(race: Race) -> Race:
    wait_for(lambda: race.ended)
    assert race.state == "finished", race.message
    return race


def steps(race: Race) -> list[int]:
    return [lane.records[-1].step for lane in race.lanes if lane.records]


def test_a_race_gives_the_numbers_of_the_library(begin: Starter) -> None:
    race = finished(begin(PLAN))
    for lane in race.lanes:
        method = jobs.Method(lane.method, rank=8, grid=4)
        alone = list(fine_tune(PLAN.task, method, steps=12, seed=0, device="cpu"))
        assert [r.train_loss for r in lane.records] == [r.train_loss for r in alone]
        assert [r.eval_loss for r in lane.records] == [r.eval_loss for r in alone]
        assert lane.run is None
        assert lane.outcome is not None
    distances = {lane.method: lane.outcome.distance for lane in race.lanes if lane.outcome}
    assert distances["full"] == 0.0
    full, found = race.lanes[-1].deltas, race.lanes[0].deltas
    apart = sum(float(((full[name] - found[name]) ** 2).sum()) for name in full)
    norm = sum(float((delta**2).sum()) for delta in full.values())
    assert distances["global"] == pytest.approx((apart / norm) ** 0.5, rel=1e-6)


def test_the_same_plan_gives_the_same_numbers_and_another_seed_others(begin: Starter) -> None:
    first, again = (finished(begin(PLAN)) for _ in range(2))
    other = finished(begin(dataclasses.replace(PLAN, seeds=(1,))))
    losses = [[r.train_loss for lane in race.lanes for r in lane.records] for race in
              (first, again, other)]  # fmt: skip
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_methods_train_in_turn_and_seeds_one_after_the_other(begin: Starter) -> None:
    race = begin(LONG)
    wait_for(lambda: len(steps(race)) == 3 and min(steps(race)) > 20)
    found = steps(race)
    assert max(found) - min(found) <= 1
    both = finished(begin(dataclasses.replace(PLAN, seeds=(3, 4)), line=Line(1)))
    assert [lane.seed for lane in both.lanes] == [3, 3, 3, 4, 4, 4]
    assert [bool(lane.deltas) for lane in both.lanes] == [True] * 3 + [False] * 3


def test_pause_step_resume_stop(begin: Starter) -> None:
    race = begin(LONG)
    wait_for(lambda: len(steps(race)) == 3)
    race.pause()
    wait_for(lambda: race.state == "paused")
    at = max(steps(race))
    for count in (1, 2):
        race.step()
        wait_for(lambda count=count: steps(race) == [at + count] * 3)  # type: ignore[misc]
    time.sleep(0.2)
    assert steps(race) == [at + 2] * 3
    latest = race.film.at(race.num_steps)
    assert latest is not None
    assert latest.step == at + 2
    race.resume()
    wait_for(lambda: min(steps(race)) > at + 5)
    race.stop()
    wait_for(lambda: race.ended)
    assert race.state == "stopped"
    assert race.message == ""
    assert all(lane.records and lane.adapter and lane.deltas for lane in race.lanes)
    assert all(lane.outcome is None for lane in race.lanes)


def test_a_pause_holds_between_methods_and_a_step_levels_them(
    begin: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Race._advance

    def pause_at_the_first(race: Race, lane: Lane) -> None:
        advance(race, lane)
        if lane.method == "global" and lane.records[-1].step == 5:
            race.pause()

    monkeypatch.setattr(Race, "_advance", pause_at_the_first)
    race = begin(LONG)
    wait_for(lambda: race.state == "paused")
    assert steps(race) == [5, 4, 4]
    race.step()
    wait_for(lambda: steps(race) == [6, 6, 6] and race.state == "paused")


def test_without_heartbeats_it_holds_and_then_ends(begin: Starter) -> None:
    clock, line = Clock(), Line(1)
    race = begin(LONG, line=line, clock=clock)
    wait_for(lambda: race.state == "running")
    clock.now = AWAY
    wait_for(lambda: race.state == "away")
    at = steps(race)
    time.sleep(0.2)
    assert steps(race) == at
    assert line.enter("another") == 0
    line.leave("another")
    race.beat()
    wait_for(lambda: race.state == "running" and steps(race) > at)
    clock.now += GONE
    wait_for(lambda: race.ended)
    assert race.state == "stopped"
    assert "not heard from for 20 s" in race.message
    assert all(lane.records for lane in race.lanes)


def test_a_pause_ends_without_heartbeats_too(begin: Starter) -> None:
    clock = Clock()
    race = begin(LONG, clock=clock)
    race.pause()
    wait_for(lambda: race.state == "paused")
    clock.now = GONE
    wait_for(lambda: race.ended)


def test_visitors_wait_in_line(begin: Starter) -> None:
    line = Line(1)
    races = [begin(LONG, line=line)]
    wait_for(lambda: races[0].state == "running")
    for _ in range(2):
        races.append(begin(LONG, line=line))
        wait_for(lambda: races[-1].state == "queued" and races[-1].before == len(races) - 1)
    assert races[2].lanes == []
    races[0].stop()
    wait_for(lambda: races[1].state == "running" and races[2].before == 1)
    races[1].pause()
    wait_for(lambda: races[2].state == "running")
    races[1].resume()
    wait_for(lambda: races[1].state == "queued")
    races[2].stop()
    wait_for(lambda: races[1].state == "running")


def test_places_in_line() -> None:
    line = Line(2)
    assert [line.enter(who) for who in "abcd"] == [0, 0, 1, 2]
    line.leave("a")
    assert [line.enter(who) for who in "bcd"] == [0, 0, 1]
    line.leave("nobody")


def test_one_that_diverges_leaves_its_records_and_its_last_good_snapshot(begin: Starter) -> None:
    plan = dataclasses.replace(PLAN, task="planted-blocks", rates=(None, 1e12, None), steps=40)
    race = finished(begin(plan))
    lost = race.lanes[1]
    assert "localized: loss became" in lost.problem
    assert f"last good snapshot, of step {lost.kept_step}" in lost.problem
    assert lost.outcome is None
    assert lost.records[-1].step >= lost.kept_step
    assert all(np.isfinite(delta).all() for delta in lost.deltas.values())
    assert lost.adapter
    assert [len(lane.records) for lane in race.lanes[::2]] == [41, 41]
    assert all(lane.outcome for lane in race.lanes[::2])


def test_a_method_that_cannot_start_stands_aside(begin: Starter) -> None:
    plan = dataclasses.replace(PLAN, methods=("global", "localized"), rates=(None,) * 2, rank=2)
    race = finished(begin(plan))
    assert race.lanes[1].problem.startswith("localized takes no part: ")
    assert race.lanes[0].outcome is not None
    alone = dataclasses.replace(plan, methods=("localized",), rates=(None,))
    race = begin(alone)
    wait_for(lambda: race.ended)
    assert race.state == "failed"
    assert "No method could start: localized takes no part" in race.message


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError("cuda ran out of memory at step 3"), "ran out of memory at step 3. What was"),
        (RuntimeError("CUDA error: device lost\nmore"), "CUDA error: device lost. What was"),
    ],
)
def test_a_fault_of_the_device_loses_nothing(
    begin: Starter, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    advance = Race._advance

    def fail(race: Race, lane: Lane) -> None:
        if len(lane.records) == 5:
            raise error
        advance(race, lane)

    monkeypatch.setattr(Race, "_advance", fail)
    race = begin(PLAN)
    wait_for(lambda: race.ended)
    assert race.state == "failed"
    assert sentence in race.message
    assert [len(lane.records) for lane in race.lanes] == [5, 5, 5]


def test_a_second_start_is_refused_with_a_sentence(begin: Starter) -> None:
    race = begin(LONG)
    with pytest.raises(BusyError, match="still running"):
        jobs.start(PLAN, race)
    assert not race.ended
    other = jobs.start(PLAN, race, replace=True)
    finished(other)
    wait_for(lambda: race.ended)
    with pytest.raises(ValueError, match="at least one method"):
        jobs.start(dataclasses.replace(PLAN, methods=(), rates=()), None)


def test_progress_reaches_one(begin: Starter) -> None:
    race = begin(dataclasses.replace(PLAN, seeds=(0, 1)))
    wait_for(lambda: race.ended)
    assert race.progress == (1.0, 0.0)


def test_the_adapter_in_the_zip_is_the_one_that_was_learned(
    begin: Starter, tmp_path: pytest.TempPathFactory
) -> None:
    race = finished(begin(PLAN))
    lane = race.lanes[1]
    assert lane.adapter is not None
    with zipfile.ZipFile(io.BytesIO(lane.adapter)) as archive:
        assert {"head.safetensors", "plan.json"} <= set(archive.namelist())
        archive.extractall(str(tmp_path))
    model = load_adapters(resolve_task(PLAN.task).build(0).model, str(tmp_path))
    for name, delta in adapter_delta(model).items():
        np.testing.assert_allclose(delta.detach().numpy(), lane.deltas[name], atol=1e-6)


def test_records_as_files(begin: Starter) -> None:
    race = finished(begin(PLAN))
    table = pd.read_csv(io.StringIO(race_files.records_csv(race)))
    assert table.groupby("method").size().tolist() == [13, 13, 13]
    found = json.loads(race_files.records_json(race))
    assert found["plan"]["num_steps"] == 12
    assert [run["method"] for run in found["runs"]] == list(PLAN.methods)
    assert found["records"][1]["train_loss"] == race.lanes[0].records[1].train_loss


def test_held_matrices_are_close_however_small_or_large() -> None:
    matrix = torch.randn(16, 24, generator=torch.Generator().manual_seed(0))
    for factor in (1e-9, 1.0, 1e9):
        found = hold(matrix * factor).dense() / factor
        # Half a unit in the last place of float16, relative to the largest entry.
        assert abs(found - matrix.numpy()).max() <= 2**-11 * float(matrix.abs().max())
    assert hold(torch.zeros(2, 2)).dense().tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="finite"):
        hold(torch.tensor([[float("nan")]]))


def test_a_film_thins_out_and_keeps_both_ends() -> None:
    def frame(step: int) -> Frame:
        return Frame(step, {"full": {"fc1": hold(torch.full((8, 8), float(step)))}})

    film = Film(1000)
    for step in range(1001):
        film.put(frame(step))
    kept = [found.step for found in film.frames]
    assert len(kept) <= MAX_FRAMES + 1
    assert (kept[0], kept[-1]) == (0, 1000)
    small = Film(1000, max_bytes=5 * 128)
    for step in range(1001):
        small.put(frame(step))
    kept = [found.step for found in small.frames]
    assert len(kept) <= 6
    assert (kept[0], kept[-1]) == (0, 1000)
    at = small.at(kept[1] + 1)
    assert at is not None
    assert at.step == kept[1]
    assert small.limit(["full"], "fc1") == 1000.0
