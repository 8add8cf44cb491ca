"""Races: who trains when, and what came of it.

Each trains in a process of the pool (see `app.views.fine_tune.trainer`), and a thread here listens
to it. Nothing here calls Streamlit. A race lives as long as somebody sends heartbeats: it holds
when the page is closed or after `AWAY` seconds without one, and ends after `GONE`.
"""

from __future__ import annotations

import pickle
import secrets
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from app.shared import pool
from app.shared.ending import at_the_end
from app.shared.host import MEGABYTE, host
from app.shared.line import LINE, Line
from app.shared.places import Place, Run
from app.views.fine_tune import events, limits
from app.views.fine_tune.film import Film, Frame
from app.views.fine_tune.gate import Word
from app.views.fine_tune.lanes import Lane, RacePlan
from app.views.fine_tune.moment import ENDED, Moment, State
from app.views.fine_tune.shelf import Shelf
from app.views.fine_tune.trainer import Left, train
from app.views.fine_tune.troubles import lost

__all__ = [
    "AWAY",
    "GONE",
    "BusyError",
    "Lane",
    "Places",
    "Race",
    "RacePlan",
    "close",
    "held",
    "start",
]

AWAY, GONE = 8.0, 20.0
#: Seconds between two looks at who is there and what is wished.
_LOOK_EVERY = 0.05
#: After so many in a place others go first, where they wait.
SLICE = 15.0
#: For a process to hand out what it has trained, once it is to end; then it is killed.
_GRACE = 5.0
#: Of one record with its place in a list, about.
RECORD_BYTES = 400


class BusyError(RuntimeError):
    """A second start while a race still runs."""


class Places(Protocol):
    """Where races train."""

    def take(self) -> Place:
        """Return a free place; the line has said that there is one."""

    def give(self, place: Place) -> None:
        """Take it back."""


class _EndedError(Exception):
    """Leaves the thread's loops; the state and the sentence to end with."""

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
    places : Places, optional
        As many as the line grants.
    is_open : callable, optional
        Whether the page of a visitor is connected.
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
        places: Places | None = None,
        is_open: Callable[[str], bool] = lambda visitor: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.num_steps, self.key = plan, plan.num_steps, secrets.token_hex(16)
        self.film = Film(self.num_steps)
        self.lanes: list[Lane] = []
        self.state: State = "queued"
        self.before, self.message = 0, ""
        self._visitor, self._is_open = visitor, is_open
        self._line, self._places = line, places
        self._clock, self._heard = clock, clock()
        self._wish: Literal["run", "pause", "stop"] = "run"
        # Steps wished for, and whether the process waits for a word.
        self._granted, self._halted = 0, False
        self._failure = ""
        self._now: list[Lane] = []
        self._changed = threading.Condition()
        self._busy_seconds, self._steps_done = 0.0, 0
        self._thread = threading.Thread(target=self._work, name="race", daemon=True)

    def start(self) -> None:
        """Begin, or take a place in the line."""
        self._thread.start()

    def beat(self, visitor: str) -> None:
        """Say that somebody is still looking, and who."""
        self._heard, self._visitor = self._clock(), visitor

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
    def moment(self) -> Moment:
        """Where it stands now."""
        return Moment(self.state, self.before, self._steps_done)

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

    def _work(self) -> None:
        try:
            left: Left | None = None
            begun = False
            while left is not None or not begun:
                self._stand_in_line(begun=begun)
                left, begun = self._train(left), True
            self._finish("finished")
        except _EndedError as end:
            self._finish(end.state, end.message)
        finally:
            self._line.leave(self)
            if not self.ended:
                fault = "The race ended by a fault of this program; its log has the details."
                self._finish("failed", fault)
            SHELF.tidy()

    def _finish(self, state: State, message: str = "") -> None:
        self.message, self.state = message, state

    def _look(self) -> bool:
        """Return whether somebody is there; leave where the race is to end."""
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
        return silence < AWAY and self._is_open(self._visitor)

    def _stand_in_line(self, *, begun: bool) -> None:
        with self._changed:
            while True:
                there = self._look()
                if there and (not begun or self._wish == "run" or self._granted):
                    self.before = self._line.enter(self, self._visitor)
                    if self.before == 0:
                        return
                    self.state = "queued"
                else:
                    self._line.leave(self)
                    self.state = "paused" if there else "away"
                self._changed.wait(_LOOK_EVERY)

    def _train(self, left: Left | None) -> Left | None:
        """Have a process train until the race ends, or until it makes room for others."""
        places = self._places or pool.processes()
        place, told = places.take(), self._word()
        self._halted = False
        end = None
        try:
            work = (train, (self.plan, left, told), True)
            run = place.start(pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL))
            run.end(lambda: None)
            try:
                self._attend(run, told)
            except _EndedError as ended:
                end = ended
                self._end(run, place)
            self._listen(run)
            if run.lost:
                place.forget()
        finally:
            places.give(place)
            self._line.leave(self)
        if end is not None:
            raise end
        if run.lost:
            raise _EndedError("failed", lost(trained=self._steps_done > 0))
        answer: Left | None = pickle.loads(run.result())
        if self._failure:
            raise _EndedError("failed", self._failure)
        return answer

    def _attend(self, run: Run, told: Word) -> None:
        """Listen to a process, and tell it what is wished, until it is done."""
        until, before = time.monotonic() + SLICE, self._steps_done
        while not run.done.is_set() and told != "leave":
            self._listen(run, _LOOK_EVERY)
            word, steps = self._word(), 0
            if word == "hold":
                steps = self._take_steps()
            idle = self._halted and not steps
            # Not before it has come further: to begin in a place takes time.
            late = time.monotonic() > until and self._steps_done > before
            if self._line.waited_for and (idle or late):
                word = "leave"
            if word != told:
                run.say(word)
                told = word
            for _ in range(steps):
                self._halted = False
                run.say("step")
        while not run.done.is_set():
            self._listen(run, _LOOK_EVERY)
            self._look()

    def _word(self) -> Word:
        there = self._look()
        if self._halted:
            self.state = "paused" if there else "away"
        return "go" if there and self._wish == "run" else "hold"

    def _take_steps(self) -> int:
        with self._changed:
            steps, self._granted = (self._granted, 0) if self._look() else (0, self._granted)
            return steps

    def _end(self, run: Run, place: Place) -> None:
        """Have what was trained handed out."""
        run.say("stop")
        last = time.monotonic() + _GRACE
        while not run.done.is_set():
            self._listen(run, _LOOK_EVERY)
            if time.monotonic() > last:
                place.kill()

    def _listen(self, run: Run, seconds: float = 0.0) -> None:
        """Take in what a process told since, and wait so long for it."""
        for told in run.listen(seconds):
            for event in told:
                self._hear(event)

    def _hear(self, event: events.Event) -> None:
        match event:
            case events.Begun(seed):
                self._now = [Lane(method, seed) for method in self.plan.methods]
                self.lanes.extend(self._now)
                self.state = "preparing"
            case events.Entered(at, num_parameters, lr, size, share):
                lane = self._now[at]
                lane.num_parameters, lane.lr = num_parameters, lr
                lane.size, lane.share = size, share
            case events.Stepped(at, record, seconds):
                if record is not None:
                    self._now[at].records.append(record)
                self._busy_seconds += seconds
                self._steps_done += 1
                self._goes_on()
            case events.Halted(waits):
                self._halted = waits
                self._goes_on()
            case Frame():
                self.film.put(event)
            case events.Problem(at, text):
                self._now[at].problem = self._now[at].problem or text
            case events.Concluded(at, outcome):
                self._now[at].outcome = outcome
            case events.Kept(at, step, deltas, adapter):
                lane = self._now[at]
                lane.step, lane.deltas, lane.adapter = step, deltas, adapter
            case events.Failed(text):
                self._failure = text

    def _goes_on(self) -> None:
        with self._changed:
            if self._wish == "run" and not self._halted:
                self.state = "running"


def start(
    plan: RacePlan,
    running: Race | None,
    *,
    replace: bool = False,
    visitor: str = "",
    is_open: Callable[[str], bool] = lambda visitor: True,
) -> Race:
    """Start a race of a visitor, unless one still runs; with `replace` that one is stopped.

    The other parameters are those of `Race`.

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
    race = Race(plan, visitor=visitor, is_open=is_open)
    SHELF.put(race)
    race.start()
    return race


#: Ended races of all visitors, as many as a reload can find again.
SHELF: Shelf[Race] = Shelf(max_races=32, max_bytes=host().cache_mb * MEGABYTE // 4)


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
