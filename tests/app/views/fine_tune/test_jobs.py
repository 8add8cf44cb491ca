"""Races: what they train, when they hold, how they end."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from app.shared import ending
from app.shared.line import Line
from app.shared.places import ProcessPlace
from app.shared.pool import Pool
from app.views.fine_tune import events, jobs, trainer
from app.views.fine_tune import sentences as prose
from app.views.fine_tune.gate import EndedError, Gate
from app.views.fine_tune.jobs import Race, RacePlan
from app.views.fine_tune.shelf import Shelf
from app.views.fine_tune.trainer import Left
from app.views.fine_tune.troubles import explain
from lolora_core.training import Method, Record, Run, fine_tune
from tests.app.views.fine_tune.race_tools import (
    LONG,
    Clock,
    Make,
    finished,
    make,
    numbers,
    plan,
    wait,
)

__all__ = ["make"]

Step = Callable[[Run], Record]
#: At so high a rate the last step is not the best.
WILD = plan("full", task="digits-rotated", steps=40, rates=(0.3,))


def state(race: Race) -> str:
    """Return the state; mypy does not know that another thread changes it."""
    return race.state


@pytest.mark.parametrize("task", ["planted-blocks", "digits-rotated"])
def test_a_race_trains_what_the_library_trains(make: Make, task: str) -> None:
    race = finished(make(plan("localized", "full", task=task, seeds=(3,))))
    assert (race.state, race.message, race.progress) == ("finished", "", (1.0, 0.0))
    for lane in race.lanes:
        own = list(fine_tune(task, Method(lane.method, rank=4, grid=4), steps=3, seed=3))
        expected = replace(lane, records=own)
        assert numbers([lane]) == numbers([expected])
        assert [record.step for record in lane.records] == [0, 1, 2, 3]
    localized, full = race.lanes
    assert full.outcome is not None
    assert full.outcome.distance == 0
    assert localized.outcome is not None
    joined = [np.concatenate([d.ravel() for d in lane.deltas.values()]) for lane in race.lanes]
    distance = np.linalg.norm(joined[0] - joined[1]) / np.linalg.norm(joined[1])
    assert localized.outcome.distance == pytest.approx(distance, rel=1e-5)
    ranks = tuple(int(np.linalg.matrix_rank(delta)) for delta in localized.deltas.values())
    assert localized.outcome.ranks == ranks
    norm = np.linalg.norm(joined[0])
    assert localized.records[-1].delta_norm == pytest.approx(norm, rel=1e-5)
    assert [frame.step for frame in race.film.frames] == [0, 1, 2, 3]


def test_an_outcome_is_also_that_of_early_stopping(make: Make) -> None:
    (lane,) = finished(make(WILD)).lanes
    assert lane.outcome is not None
    validation = {record.step: record.eval_loss or 0.0 for record in lane.evaluated}
    best = min(validation, key=validation.__getitem__)
    assert lane.outcome.stopped_step == best < 40
    run = fine_tune("digits-rotated", "full", steps=40, lr=0.3)
    while run.step < best:
        next(run)
    assert run.evaluate("test") == (lane.outcome.stopped_loss, lane.outcome.stopped_metric)
    list(run)
    assert run.evaluate("test") == (lane.outcome.loss, lane.outcome.metric)
    assert lane.outcome.loss != lane.outcome.stopped_loss


def test_equal_plans_give_equal_numbers(make: Make) -> None:
    once, again, other = (
        finished(make(plan("global", "adaptive", steps=5, seeds=seeds)))
        for seeds in ((7, 8), (7, 8), (8, 9))
    )
    assert numbers(once.lanes) == numbers(again.lanes)
    assert once.lanes[0].adapter is not None
    for first, second in zip(once.lanes, again.lanes, strict=True):
        for name, delta in first.deltas.items():
            np.testing.assert_array_equal(delta, second.deltas[name])
    # A seed gives the same numbers wherever it stands in the plan.
    assert numbers(once.lanes[2:]) == numbers(other.lanes[:2])
    assert numbers(once.lanes[:2]) != numbers(once.lanes[2:])
    # The pictures and the downloads are those of the first seed.
    assert [bool(lane.deltas) for lane in once.lanes] == [True, True, False, False]
    assert [lane.adapter is not None for lane in once.lanes] == [True, True, False, False]


def test_silence_holds_a_race_and_then_ends_it(make: Make) -> None:
    clock = Clock()
    race = make(plan(steps=LONG), clock=clock)

    def made() -> int:
        return len(race.lanes[0].records) if race.lanes else 0

    race.start()
    wait(made)
    clock.now = jobs.AWAY - 0.1
    seen = made()
    wait(lambda: made() > seen + 3)
    assert state(race) == "running"
    clock.now = jobs.AWAY
    wait(lambda: race.state == "away")
    seen = made()
    clock.wait_for_looks()
    assert made() == seen
    assert "training holds until it is" in prose.state(race)

    race.beat("")
    wait(lambda: race.state == "running" and made() > seen)
    clock.now += jobs.GONE - 0.1
    wait(lambda: race.state == "away")
    clock.now += 0.1
    assert race.join(60)
    assert state(race) == "stopped"
    assert race.message == (
        "The race ended because this page was not heard from for 20 s. What was trained until "
        "then is kept."
    )
    assert race.lanes[0].adapter is not None
    assert race.lanes[0].outcome is None


def test_races_take_turns_where_others_wait(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SLICE", 0.0)
    asked, line = plan("global", "localized", steps=12, seeds=(0, 1)), Line(1)
    alone = finished(make(asked))
    both = [make(asked, line, visitor=name) for name in "ab"]
    places = []
    for race in both:
        train = race._train

        def noted(left: Left | None, race: Race = race, train: Any = train) -> Left | None:
            places.append(race)
            found: Left | None = train(left)
            return found

        monkeypatch.setattr(race, "_train", noted)
        race.start()
    for race in both:
        assert race.join(60)
        assert state(race) == "finished"
        assert numbers(race.lanes) == numbers(alone.lanes)
    assert len(places) > 2


def test_a_closed_page_makes_room_at_once_until_it_is_open_again(make: Make) -> None:
    pages, line = {"first"}, Line(1)
    race = make(plan(steps=LONG), line, visitor="first", is_open=lambda who: who in pages)
    race.start()
    wait(lambda: race.state == "running")
    pages.clear()
    assert finished(make(plan(), line)).state == "finished"
    assert state(race) == "away"
    # The page was loaded anew: its visitor has another name.
    pages.add("second")
    race.beat("second")
    seen = len(race.lanes[0].records)
    wait(lambda: race.state == "running" and len(race.lanes[0].records) > seen)


def test_pause_step_resume_stop(make: Make) -> None:
    clock = Clock()
    race = make(plan(steps=LONG), clock=clock)
    race.pause()
    race.start()
    wait(lambda: race.state == "paused")
    assert race.pausing is True
    assert [len(lane.records) for lane in race.lanes] == [0, 0]
    assert prose.state(race) == "Paused: step 0 of 1,000,000."
    for made in (1, 2, 3):
        race.step()
        wait(lambda: min(len(lane.records) for lane in race.lanes) >= made)  # noqa: B023
        clock.wait_for_looks()
        assert state(race) == "paused"
        assert [len(lane.records) for lane in race.lanes] == [made, made]
        assert race.film.frames[-1].step == made - 1

    race.resume()
    wait(lambda: race.state == "running" and len(race.lanes[-1].records) > 5)
    assert race._wish == "run"
    race.pause()
    wait(lambda: race.state == "paused")
    first, second = (len(lane.records) for lane in race.lanes)
    # It holds between methods too.
    assert first - second in (0, 1)
    race.stop()
    assert race.join(60)
    assert (state(race), race.message, race.ended) == ("stopped", "", True)
    assert [len(lane.records) for lane in race.lanes] == [first, second]
    assert all(lane.adapter and lane.deltas["layer"].any() for lane in race.lanes)
    assert all(lane.outcome is None for lane in race.lanes)


def test_a_gate_holds_between_methods_and_a_step_levels_them() -> None:
    passed, said, gate = [], [], Gate("go", lambda halted: said.append(halted.waits))

    def work() -> None:
        with suppress(EndedError):
            while True:
                gate.wait("round")
                for method in "abc":
                    gate.wait("step")
                    passed.append(method)
                    if passed == ["a"]:
                        gate.hear("hold")

    thread = Thread(target=work)
    thread.start()
    wait(lambda: said == [True])
    assert passed == ["a"]
    gate.hear("step")
    wait(lambda: len(said) == 2)
    # It ends the round that was begun, and makes one more.
    assert "".join(passed) == "abcabc"
    gate.hear("step")
    wait(lambda: len(said) == 3)
    assert "".join(passed) == "abc" * 3
    gate.hear(None)
    thread.join()
    assert said == [True] * 3


def test_a_paused_step_is_the_step_of_a_race_without_pauses(make: Make) -> None:
    whole = finished(make(plan()))
    race = make(plan())
    race.pause()
    race.start()
    for _ in range(4):
        race.step()
    assert race.join(60)
    assert race.state == "finished"
    assert numbers(race.lanes) == numbers(whole.lanes)


def test_the_second_waits_for_the_first(make: Make) -> None:
    line = Line(1)
    first, second = make(plan(steps=LONG), line), make(plan(), line)
    first.start()
    wait(lambda: first.state == "running")
    second.start()
    wait(lambda: second.state == "queued" and second.before == 1)
    assert second.lanes == []
    assert prose.short_state(second) == "Fine-tune: queued, 1 before you"
    assert "Queued, 1 before you: training starts when a place is free." in prose.state(second)
    first.stop()
    assert second.join(60)
    assert (first.state, second.state) == ("stopped", "finished")


def test_a_paused_race_gives_its_place_away(make: Make) -> None:
    line = Line(1)
    first, second = make(plan(steps=LONG), line), make(plan(steps=LONG), line)
    first.start()
    wait(lambda: first.state == "running")
    second.start()
    wait(lambda: second.state == "queued")
    first.pause()
    wait(lambda: first.state == "paused" and second.state == "running")
    first.resume()
    wait(lambda: first.state == "queued" and first.before == 1)
    second.stop()
    wait(lambda: first.state == "running")


def test_one_race_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_STEPS", str(LONG))
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    race = jobs.start(plan(steps=LONG), None)
    another = None
    try:
        with pytest.raises(jobs.BusyError, match=r"still running\. Stop it, or wait for its end"):
            jobs.start(plan(), race)
        assert not race.pausing
        assert not race.ended
        another = jobs.start(plan(), race, replace=True)
        assert another.join(60)
        assert (race.state, another.state) == ("stopped", "finished")
        third = jobs.start(plan(), another)
        assert third.join(60)
    finally:
        for started in filter(None, (race, another)):
            started.stop()
            assert started.join(60)


def test_an_ended_race_is_held_when_nobody_looks_at_it() -> None:
    race = jobs.start(plan(), None)
    assert race.join(60)
    key, records = race.key, len(race.lanes[0].records)
    adapters = sum(len(lane.adapter or b"") for lane in race.lanes)
    assert race.nbytes > adapters + records
    del race
    gc.collect()
    found = jobs.held(key)
    assert found is not None
    assert (found.state, len(found.lanes[0].records)) == ("finished", records)
    assert jobs.held("unknown") is None


def test_a_plan_without_methods_or_of_no_task() -> None:
    empty = RacePlan("planted-blocks", (), (), 4, 4, (0,), 3)
    with pytest.raises(ValueError, match=r"Choose at least one method\."):
        jobs.start(empty, None)
    with pytest.raises(ValueError, match="there is no task 'planted-block'; did you mean"):
        jobs.start(plan(task="planted-block"), None)


def test_one_diverges_and_the_others_go_on(make: Make) -> None:
    race = finished(make(plan("global", "localized", steps=40, rates=(1e12, None))))
    bad, good = race.lanes
    # Evaluated at every second step: the loss of step 2 is seen, the last good one is step 0.
    assert bad.problem.startswith("global: loss became ")
    assert bad.problem.endswith(
        " at step 2; its records are kept, and its last good snapshot, of step 0, is what you see "
        "and can download. A smaller learning rate may help."
    )
    assert [record.step for record in bad.records] == [0, 1]
    assert bad.outcome is None
    assert bad.adapter is not None
    assert bad.step == 0
    assert not bad.deltas["layer"].any()
    assert (race.state, good.problem, good.step) == ("finished", "", 40)
    assert numbers([good]) == numbers(finished(make(plan("localized", steps=40))).lanes)
    assert prose.problems(race) == [bad.problem]
    assert race.progress == (1.0, 0.0)


def test_when_all_diverge_the_last_good_snapshot_is_shown(make: Make) -> None:
    race = finished(make(plan("global", steps=40, rates=(1e12,))))
    assert race.state == "finished"
    assert [frame.step for frame in race.film.frames] == [0]


def test_one_takes_no_part(make: Make) -> None:
    race = finished(make(plan("global", "peft-gralora", rank=3)))
    good, bad = race.lanes
    assert good.outcome is not None
    assert bad.problem.startswith("peft-gralora takes no part: ")
    assert race.state == "finished"

    race = finished(make(plan("peft-gralora", rank=3)))
    assert race.state == "failed"
    assert race.message.startswith("No method could start: peft-gralora takes no part: ")


def _fails_at(step: int, error: Exception, original: Step) -> Step:
    def advance(run: Run) -> Record:
        if run.step + 1 == step and run.method.name == "localized":
            raise error
        return original(run)

    return advance


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            MemoryError("cpu ran out of memory at step 2"),
            "The race ended: cpu ran out of memory at step 2. What was trained until then is kept. "
            "Try fewer methods, a smaller rank or another device.",
        ),
        (
            RuntimeError("CUDA error: the device is lost.\nCompile with …"),
            "The race ended: CUDA error: the device is lost. What was trained until then is kept. "
            "If the device is gone, choose another one and start again.",
        ),
    ],
)
def test_an_error_ends_a_race_with_a_sentence(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    monkeypatch.setattr(Run, "__next__", _fails_at(2, error, Run.__next__))
    race = finished(make(plan()))
    assert (race.state, race.message) == ("failed", sentence)
    assert [len(lane.records) for lane in race.lanes] == [3, 2]
    assert all(lane.adapter and lane.deltas["layer"].any() for lane in race.lanes)
    assert [lane.outcome for lane in race.lanes] == [None, None]
    # The place is free again.
    line = race._line
    assert finished(make(plan("global"), line)).state == "finished"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_is_called_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "__next__", _fails_at(1, KeyError("fault"), Run.__next__))
    race = finished(make(plan()))
    assert race.state == "failed"
    assert race.message.startswith("The race ended by a fault of this program")
    assert [len(lane.records) for lane in race.lanes] == [2, 1]


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left"), RuntimeError("x")])
def test_an_adapter_that_cannot_be_kept_costs_nothing_else(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(run: Run, plan: RacePlan) -> bytes:
        raise error

    monkeypatch.setattr(trainer, "adapter_zip", fail)
    race = finished(make(plan()))
    assert race.state == "finished"
    for lane in race.lanes:
        assert lane.outcome is not None
        assert lane.adapter is None
        assert lane.problem.startswith(f"{lane.method}: its adapter cannot be offered: ")


def test_explain_needs_no_message() -> None:
    assert explain(MemoryError()).startswith("The race ended: memory ran out. What was")
    assert explain(RuntimeError()).startswith("The race ended: RuntimeError. What was")
    assert "smaller rank" in explain(torch.OutOfMemoryError("CUDA out of memory."))


def test_progress_does_not_jump_while_a_seed_is_prepared(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    hear = Race._hear

    def look(race: Race, event: events.Event) -> None:
        hear(race, event)
        if isinstance(event, events.Entered):
            seen.append(race.progress[0])

    monkeypatch.setattr(Race, "_hear", look)
    race = finished(make(plan("global", "frozen", seeds=(0, 1, 2))))
    assert seen == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert race.progress == (1.0, 0.0)


def test_what_is_handed_over_knows_where_it_would_have_stopped(make: Make) -> None:
    whole, line = finished(make(WILD)), Line(1)
    (lane,) = whole.lanes
    assert lane.outcome is not None
    best = lane.outcome.stopped_step
    race = make(WILD, line)
    race.pause()
    race.start()
    # Past its best evaluation, which no later one can make again.
    made = best + 3
    for _ in range(made):
        race.step()
    wait(lambda: race.lanes and len(race.lanes[0].records) >= made and race._halted)
    assert finished(make(plan("global"), line)).state == "finished"
    race.resume()
    assert race.join(60)
    assert numbers(race.lanes) == numbers(whole.lanes)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_race_that_made_room_gives_the_same_numbers(make: Make, seeds: tuple[int, ...]) -> None:
    asked = plan("global", "full", "localized", steps=30, rates=(None, 1e12, None), seeds=seeds)
    whole, line = finished(make(asked)), Line(1)
    race = make(asked, line)
    race.pause()
    race.start()
    for number in (3, 8):
        for _ in range(number):
            race.step()
        wait(lambda: race.lanes and len(race.lanes[0].records) >= number and race._halted)  # noqa: B023
        # Somebody waits: the paused race hands its place over, and later trains on in another.
        assert finished(make(plan("global"), line)).state == "finished"
    race.resume()
    assert race.join(60)
    assert state(race) == "finished"
    assert numbers(race.lanes) == numbers(whole.lanes)
    assert [lane.problem for lane in race.lanes] == [lane.problem for lane in whole.lanes]
    for one, other in zip(race.lanes, whole.lanes, strict=True):
        assert (one.adapter is None) == (other.adapter is None)
        for name, delta in one.deltas.items():
            np.testing.assert_array_equal(delta, other.deltas[name])


def test_a_race_trains_in_a_process_and_can_lose_it(
    monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    line, place = Line(1), ProcessPlace()
    places = Pool(line, [place])
    try:
        asked = plan("global", "localized")
        race = finished(make(asked, line, places=places))
        assert (race.state, race.message) == ("finished", "")
        assert numbers(race.lanes) == numbers(finished(make(asked, line)).lanes)
        race = make(plan(steps=LONG), line, places=places)
        race.start()
        wait(lambda: race.state == "running" and race.film.frames)
        assert place._executor is not None
        (worker,) = place._executor._processes
        os.kill(worker, signal.SIGKILL)
        assert race.join(60)
        assert state(race) == "failed"
        assert "the process that trained it ended" in race.message
        assert "The curves and pictures until then are kept" in race.message
        assert race.lanes[0].records
    finally:
        places.close()


def test_the_end_of_the_server_stops_every_race(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SHELF", Shelf[Race](max_races=4, max_bytes=2**20))
    race = make(plan(steps=LONG))
    jobs.SHELF.put(race)
    race.start()
    wait(lambda: race.state == "running")
    ending.end()
    assert (race.state, race.join(0)) == ("stopped", True)
