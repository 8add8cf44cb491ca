"""Training in the background: a race of methods in a thread of its own, and the line for a turn.

Nothing here calls Streamlit. A race lives as long as somebody sends heartbeats: it holds after
`AWAY` seconds without one and ends after `GONE`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import torch

from app.shared.ending import at_the_end
from app.shared.line import LINE, Line
from app.views.fine_tune import limits
from app.views.fine_tune.adapter_file import adapter_zip
from app.views.fine_tune.film import Film, Frame, hold
from app.views.fine_tune.lanes import Lane, RacePlan, conclude
from app.views.fine_tune.shelf import Shelf
from app.views.fine_tune.troubles import explain, reason
from lolora_core.training import DivergedError, Method, fine_tune

__all__ = [
    "AWAY",
    "ENDED",
    "GONE",
    "BusyError",
    "Lane",
    "Race",
    "RacePlan",
    "close",
    "held",
    "start",
]

AWAY, GONE = 8.0, 20.0
#: How often the latest ΔW is copied for the page, in seconds.
SHOW_EVERY = 0.7
#: Of one record with its place in a list, about.
RECORD_BYTES = 400

State = Literal[
    "queued", "preparing", "running", "pausing", "paused", "away", "finished", "stopped", "failed"
]
ENDED: tuple[State, ...] = ("finished", "stopped", "failed")


class BusyError(RuntimeError):
    """A second start while a race still runs."""


class _EndedError(Exception):
    """Leaves the worker's loops; the state and the sentence to end with."""

    def __init__(self, state: State, message: str = "") -> None:
        super().__init__(message)
        self.state, self.message = state, message


class Race:
    """A plan in training: one step of every method in turn, one seed after the other.

    Parameters
    ----------
    plan : RacePlan
    visitor : str
        Whose turn it is in the line.
    line : Line, optional
    clock : callable, optional
        Seconds; for tests.

    Attributes
    ----------
    state : str
    before : int
        While queued: how many come first.
    message : str
        Why it ended, where that needs a sentence.
    lanes : list of Lane
        Those of a seed are added when its turn comes.
    film : Film
        ΔW of the first seed.
    key : str
        Of this race alone, and not to be guessed: who knows it may take the race up.
    """

    def __init__(
        self,
        plan: RacePlan,
        *,
        visitor: str = "",
        line: Line = LINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.num_steps, self.key = plan, plan.num_steps, secrets.token_hex(16)
        self.film = Film(self.num_steps)
        self.lanes: list[Lane] = []
        self.state: State = "queued"
        self.before, self.message = 0, ""
        self._visitor, self._line = visitor, line
        self._clock, self._heard = clock, clock()
        self._wish: Literal["run", "pause", "stop"] = "run"
        self._granted, self._stepping = 0, False
        self._changed = threading.Condition()
        self._shown = 0.0
        self._busy_seconds, self._steps_done = 0.0, 0
        self._thread = threading.Thread(target=self._work, name="race", daemon=True)

    def start(self) -> None:
        """Begin, or take a place in the line."""
        self._thread.start()

    def beat(self) -> None:
        """Say that somebody is still looking."""
        self._heard = self._clock()

    def pause(self) -> None:
        """Hold after the step that is being made."""
        self._wants("pause")

    def resume(self) -> None:
        """Go on."""
        self._wants("run")

    def step(self) -> None:
        """Let every method make one step, then hold."""
        with self._changed:
            self._granted += 1
        self._wants("pause")

    def stop(self) -> None:
        """End the race; what was trained is kept."""
        self._wants("stop")

    def join(self, seconds: float) -> bool:
        """Wait for the worker; return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED

    @property
    def pausing(self) -> bool:
        """Whether it holds, or will as soon as the step is done."""
        return self._wish == "pause"

    @property
    def seed(self) -> int:
        """The seed in training."""
        return self.lanes[-1].seed if self.lanes else self.plan.seeds[0]

    @property
    def nbytes(self) -> int:
        """Memory of snapshots, updates, adapters and records, about."""
        held = sum(frame.nbytes for frame in self.film.frames)
        for lane in self.lanes:
            held += sum(delta.nbytes for delta in lane.deltas.values())
            held += len(lane.adapter or b"") + RECORD_BYTES * len(lane.records)
        return held

    def lanes_of(self, method: str) -> list[Lane]:
        """Return the lanes of one method, in the order of the seeds."""
        return [lane for lane in self.lanes if lane.method == method]

    @property
    def progress(self) -> tuple[float, float | None]:
        """Return the share that is done, and about how many seconds are left (None at first)."""
        out = sum(bool(lane.problem) for lane in self.lanes if lane.seed == self.seed)
        seeds_left = len(self.plan.seeds) - len({lane.seed for lane in self.lanes})
        now = [lane for lane in self.lanes if lane.seed == self.seed and not lane.problem]
        live = sum(self.num_steps + 1 - len(lane.records) for lane in now)
        left = live + seeds_left * (len(self.plan.methods) - out) * (self.num_steps + 1)
        done = self._steps_done
        # The first rounds say little: step 0 is an evaluation alone.
        known = done > 3 * len(self.plan.methods) or not left
        seconds = left * self._busy_seconds / max(1, done) if known else None
        return done / max(1, done + left), seconds

    def _wants(self, wish: Literal["run", "pause", "stop"]) -> None:
        with self._changed:
            self._wish = wish
            if wish != "pause":
                self._granted = 0
            elif self.state == "running":
                self.state = "pausing"
            self._changed.notify_all()

    def _wait_for_turn(self, what: Literal["seed", "round", "step"]) -> None:
        with self._changed:
            while True:
                silence = self._clock() - self._heard
                if self._wish == "stop":
                    raise _EndedError("stopped")
                if over := limits.ended(self._busy_seconds):
                    raise _EndedError("stopped", over)
                if silence >= GONE:
                    raise _EndedError(
                        "stopped",
                        f"The race ended because this page was not heard from for {GONE:.0f} s. "
                        "What was trained until then is kept.",
                    )
                # A granted step is a whole round; a round that was held is ended before it.
                free = what == "seed" or (what == "step" and self._stepping)
                wanted = self._wish == "run" or self._granted > 0 or free
                if silence < AWAY and wanted:
                    self.before = self._line.enter(self, self._visitor)
                    if self.before == 0:
                        break
                    self.state = "queued"
                else:
                    self._line.leave(self)
                    self.state = "away" if silence >= AWAY else "paused"
                self._changed.wait(0.05)
            if what == "round":
                self._stepping = self._wish == "pause"
                self._granted -= self._stepping
            if self._wish == "run":
                self.state = "running"

    def _work(self) -> None:
        # With one thread equal plans give equal numbers, and small products are done sooner.
        torch.set_num_threads(1)
        try:
            for seed in self.plan.seeds:
                self._train(seed)
            self._finish("finished")
        except _EndedError as end:
            self._finish(end.state, end.message)
        except (MemoryError, RuntimeError, OSError) as error:
            self._finish("failed", explain(error))
        finally:
            self._line.leave(self)
            if not self.ended:
                self.state = "failed"
                self.message = "The race ended by a fault of this program; its log has the details."
            SHELF.tidy()

    def _finish(self, state: State, message: str = "") -> None:
        """Keep what the page offers afterwards, and let go of the models."""
        self._keep()
        for lane in self.lanes:
            lane.run = None
        self.message, self.state = message, state

    def _keep(self) -> None:
        for lane in self.lanes:
            if lane.run is not None and lane.seed == self.plan.seeds[0] and lane.records:
                try:
                    lane.deltas = {
                        name: delta.float().numpy(force=True).copy()
                        for name, delta in lane.run.deltas().items()
                    }
                    lane.step = lane.run.step
                    lane.adapter = adapter_zip(lane.run, self.plan)
                # The device is gone, or there is no room left.
                except (MemoryError, RuntimeError, OSError) as error:
                    lane.problem = lane.problem or (
                        f"{lane.method}: its adapter cannot be offered: {reason(error)}."
                    )

    def _train(self, seed: int) -> None:
        self._wait_for_turn("seed")
        self.state = "preparing"
        plan = self.plan
        lanes = [Lane(method, seed) for method in plan.methods]
        self.lanes.extend(lanes)
        for lane, rate in zip(lanes, plan.rates, strict=True):
            self._prepare(lane, rate)
            if self._wish == "stop":
                raise _EndedError("stopped")
        if not any(lane.active for lane in lanes):
            raise _EndedError("failed", "No method could start: " + lanes[0].problem)
        while any(lane.active for lane in lanes):
            self._wait_for_turn("round")
            for lane in lanes:
                if lane.active:
                    self._wait_for_turn("step")
                    began = time.perf_counter()
                    self._advance(lane)
                    self._busy_seconds += time.perf_counter() - began
                    self._steps_done += 1
            self._show(lanes)
            # Lets the threads of the pages in.
            time.sleep(0.0005)
        self._conclude(lanes)

    def _prepare(self, lane: Lane, rate: float | None) -> None:
        plan = self.plan
        try:
            method = Method(lane.method, rank=plan.rank, grid=plan.grid)
            lane.run = fine_tune(
                plan.task, method, steps=plan.steps, lr=rate, seed=lane.seed, device=plan.device
            )
        except (ValueError, TypeError, ImportError, ConnectionError) as error:
            lane.problem = f"{lane.method} takes no part: {error}"
            return
        lane.records = lane.run.records
        lane.num_parameters, lane.lr = lane.run.num_parameters, float(lane.run.lr)

    def _advance(self, lane: Lane) -> None:
        assert lane.run is not None
        try:
            next(lane.run)
        except DivergedError as error:
            lane.problem = f"{lane.method}: {error}"
            good = lane.run.last_good
            if good is not None:
                # The run goes on with a list of its own; the lane keeps all records.
                lane.run.restore(good)
                lane.problem += (
                    f"; its records are kept, and its last good snapshot, of step {good.step}, is "
                    "what you see and can download"
                )
            lane.problem += ". A smaller learning rate may help."

    def _show(self, lanes: list[Lane]) -> None:
        """Copy ΔW of the first seed where a frame is due."""
        if lanes[0].seed != self.plan.seeds[0]:
            return
        runs = {lane.method: lane.run for lane in lanes if lane.run is not None}
        step = max(run.step for run in runs.values())
        now = time.monotonic()
        due = step % self.film.every == 0 or step == self.num_steps or self._wish == "pause"
        if not due and now - self._shown < SHOW_EVERY:
            return
        self._shown = now
        deltas = {}
        for method, run in runs.items():
            # One that is about to diverge has no ΔW to show; the page says so.
            with suppress(ValueError):
                deltas[method] = {name: hold(delta) for name, delta in run.deltas().items()}
        self.film.put(Frame(step, deltas))

    def _conclude(self, lanes: list[Lane]) -> None:
        """Evaluate one seed, keep what the page offers of it, and let go of the models."""
        conclude(lanes)
        self._keep()
        for lane in lanes:
            lane.run = None


def start(
    plan: RacePlan, running: Race | None, *, replace: bool = False, visitor: str = ""
) -> Race:
    """Start a race of a visitor, unless one still runs; with `replace` that one is stopped.

    Raises
    ------
    BusyError
        A race still runs.
    ValueError
        No method, or more than the host allows.
    """
    if refused := limits.refused(plan):
        raise ValueError(refused)
    if running is not None and not running.ended:
        if not replace:
            raise BusyError(
                "A race is still running. Stop it, or wait for its end, before you start another; "
                "nothing of it was changed."
            )
        running.stop()
    race = Race(plan, visitor=visitor)
    SHELF.put(race)
    race.start()
    return race


#: Ended races of all visitors, as many as a reload can find again.
SHELF: Shelf[Race] = Shelf(max_races=32, max_bytes=256 * 2**20)


def held(key: str) -> Race | None:
    """Return the race of a key, as long as it is held."""
    return SHELF.get(key)


def close(seconds: float = 3.0) -> None:
    """Stop all races and wait for each: one that trains while Python ends would abort it."""
    races = SHELF.held()
    for race in races:
        race.stop()
    for race in races:
        race.join(seconds)


at_the_end(close)
