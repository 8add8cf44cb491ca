"""What a process does for a race: steps of every method in turn, told as they are made.

Nothing here knows of the page, the line or the clock: what happens goes out as events, and a gate,
moved by words from outside, says when the next step may be made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from app.views.fine_tune.adapter_file import adapter_zip
from app.views.fine_tune.events import (
    Begun,
    Concluded,
    Entered,
    Event,
    Failed,
    Kept,
    Problem,
    Stepped,
)
from app.views.fine_tune.film import Frame, hold, interval
from app.views.fine_tune.gate import EndedError, Gate, Word
from app.views.fine_tune.lanes import Outcome, RacePlan
from app.views.fine_tune.troubles import explain, reason
from lolora_core.common.metrics import numerical_rank, relative_error
from lolora_core.training import DivergedError, Method, Record, Run, Snapshot, fine_tune

__all__ = ["Left", "train"]

#: How often the latest ΔW is copied for the page, in seconds.
SHOW_EVERY = 0.7
#: And how often, at most, steps are told.
TELL_EVERY = 0.05


class Talk(Protocol):
    """The other side, as `app.shared.worker` hands it in."""

    def tell(self, what: Any) -> None:
        """Say something."""

    def listen(self, hear: Callable[[Any], None]) -> None:
        """Have a function called with each word, and with None when the other side is gone."""


@dataclass(frozen=True, eq=False)
class _Standing:
    """Where the run of a method stands."""

    problem: str
    records: list[Record]
    now: Snapshot | None
    good: Snapshot | None
    best: Snapshot | None


@dataclass(frozen=True, eq=False)
class Left:
    """A race that was handed over: whoever trains it on makes the same numbers."""

    seeds_done: int
    #: Of the round that was begun: who comes next.
    next_at: int
    standings: tuple[_Standing, ...]


@dataclass(eq=False)
class _Entry:
    """A method with a seed, in training."""

    at: int
    method: str
    run: Run | None = None
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether it can make another step."""
        return self.run is not None and not self.problem and not self.run.finished


class _Trainer:
    def __init__(self, plan: RacePlan, tell: Callable[[Event], None], gate: Gate) -> None:
        self._plan, self._tell, self._gate = plan, tell, gate
        self._every = interval(plan.num_steps)
        self._shown = 0.0
        self._entries: list[_Entry] = []
        self._seeds_done, self._next_at = 0, 0

    def run(self, left: Left | None) -> Left | None:
        """Train to the end, or until it is to be handed over; then return that."""
        seeds = self._plan.seeds
        try:
            for number in range(left.seeds_done if left else 0, len(seeds)):
                self._seeds_done = number
                self._train(seeds[number], left)
                left = None
        except EndedError as end:
            if end.leave:
                return self._leave()
            self._keep()
        except (MemoryError, RuntimeError, OSError) as error:
            self._keep()
            self._tell(Failed(explain(error)))
        return None

    def _train(self, seed: int, left: Left | None) -> None:
        if left is None:
            self._gate.wait("seed")
            self._tell(Begun(seed))
        entries = [_Entry(at, method) for at, method in enumerate(self._plan.methods)]
        self._entries = entries
        for entry in entries:
            self._prepare(entry, seed, left)
            self._gate.wait("seed")
        if left is None and all(entry.problem for entry in entries):
            self._tell(Failed(f"No method could start: {entries[0].problem}"))
            raise EndedError(leave=False)
        start = left.next_at if left else 0
        while any(entry.active for entry in entries):
            if not start:
                self._gate.wait("round")
            for entry in entries[start:]:
                if entry.active:
                    self._next_at = entry.at
                    self._gate.wait("step")
                    self._advance(entry)
            start = self._next_at = 0
            self._show()
        self._conclude()
        self._keep()
        self._entries = []

    def _prepare(self, entry: _Entry, seed: int, left: Left | None) -> None:
        plan = self._plan
        standing = left.standings[entry.at] if left else None
        if standing is not None and standing.now is None:
            entry.problem = standing.problem
            return
        try:
            method = Method(entry.method, rank=plan.rank, grid=plan.grid)
            rate = plan.rates[entry.at]
            entry.run = run = fine_tune(
                plan.task, method, steps=plan.steps, lr=rate, seed=seed, device=plan.device
            )
        except (ValueError, TypeError, ImportError, ConnectionError) as error:
            self._problem(entry, f"{entry.method} takes no part: {error}")
            return
        if standing is None:
            self._tell(Entered(entry.at, run.num_parameters, float(run.lr), run.size, run.share))
        elif standing.now is not None:
            run.records, run.last_good = list(standing.records), standing.good
            run.best = standing.best
            run.restore(standing.now)
            entry.problem = standing.problem

    def _problem(self, entry: _Entry, text: str) -> None:
        entry.problem = text
        self._tell(Problem(entry.at, text))

    def _advance(self, entry: _Entry) -> None:
        assert entry.run is not None
        began, record = time.perf_counter(), None
        try:
            record = next(entry.run)
        except DivergedError as error:
            text = f"{entry.method}: {error}"
            good = entry.run.last_good
            if good is not None:
                entry.run.restore(good)
                text += (
                    f"; its records are kept, and its last good snapshot, of step {good.step}, is "
                    "what you see and can download"
                )
            self._problem(entry, f"{text}. A smaller learning rate may help.")
        self._tell(Stepped(entry.at, record, time.perf_counter() - began))

    @property
    def _first(self) -> bool:
        """Whether it is the first seed, of which the page has pictures and files."""
        return self._seeds_done == 0

    def _show(self) -> None:
        """Copy ΔW of the first seed where a frame is due."""
        if not self._first:
            return
        runs = {entry.method: entry.run for entry in self._entries if entry.run is not None}
        step = max(run.step for run in runs.values())
        now = time.monotonic()
        due = step % self._every == 0 or step == self._plan.num_steps or self._gate.holding
        if not due and now - self._shown < SHOW_EVERY:
            return
        self._shown = now
        deltas = {}
        for method, run in runs.items():
            # One that is about to diverge has no ΔW to show; the page says so.
            with suppress(ValueError):
                deltas[method] = {name: hold(delta) for name, delta in run.deltas().items()}
        self._tell(Frame(step, deltas))

    def _conclude(self) -> None:
        """Evaluate the whole runs of one seed on the test split, and compare their ΔW."""
        whole = {e.method: (e.at, e.run) for e in self._entries if e.run and not e.problem}
        deltas = {name: run.deltas() for name, (_, run) in whole.items()}
        full = _flat(deltas["full"]) if "full" in deltas else None
        for name, (at, run) in whole.items():
            best = run.best
            assert best is not None
            ranks = tuple(numerical_rank(delta) for delta in deltas[name].values())
            distance = None if full is None else relative_error(full, _flat(deltas[name]))
            loss, metric = run.evaluate("test")
            stopped_loss, stopped_metric = run.evaluate("test", best)
            outcome = Outcome(
                loss, metric, ranks, distance, best.step, stopped_loss, stopped_metric
            )
            self._tell(Concluded(at, outcome))

    def _keep(self) -> None:
        """Hand out what the page offers afterwards, of the first seed."""
        for entry in self._entries if self._first else ():
            if entry.run is None or entry.run.step < 0:
                continue
            try:
                deltas = {
                    name: delta.float().numpy(force=True).copy()
                    for name, delta in entry.run.deltas().items()
                }
                adapter = adapter_zip(entry.run, self._plan)
            # The device is gone, or there is no room left.
            except (MemoryError, RuntimeError, OSError) as error:
                why = f"{entry.method}: its adapter cannot be offered: {reason(error)}."
                self._tell(Problem(entry.at, why))
            else:
                self._tell(Kept(entry.at, entry.run.step, deltas, adapter))

    def _leave(self) -> Left:
        standings = tuple(
            _Standing(
                entry.problem,
                entry.run.records if entry.run else [],
                entry.run.snapshot() if entry.run else None,
                entry.run.last_good if entry.run else None,
                entry.run.best if entry.run else None,
            )
            for entry in self._entries
        )
        return Left(self._seeds_done, self._next_at, standings)


def _flat(deltas: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([delta.flatten() for delta in deltas.values()])


class _Batch:
    """Passes events on: steps a few at a time, for each wakes the page's process."""

    def __init__(self, talk: Talk) -> None:
        self._talk, self._held, self._sent = talk, list[Event](), 0.0

    def tell(self, event: Event) -> None:
        """Pass on what is held and this, unless it is a step soon after the last."""
        self._held.append(event)
        if not isinstance(event, Stepped) or time.monotonic() - self._sent >= TELL_EVERY:
            self.flush()

    def flush(self) -> None:
        """Pass on what is held."""
        held, self._held, self._sent = self._held, [], time.monotonic()
        self._talk.tell(held)


def train(plan: RacePlan, left: Left | None, word: Word, talk: Talk) -> Left | None:
    """Train a race, or train on one that was handed over.

    Parameters
    ----------
    plan : RacePlan
    left : Left or None
        What an earlier call returned.
    word : Word
        To begin with.
    talk : Talk
        Takes lists of `Event`, and gives each further `Word`.

    Returns
    -------
    Left or None
        The race, where the word was "leave" and it had not ended.
    """
    batch = _Batch(talk)
    gate = Gate(word, batch.tell)
    talk.listen(gate.hear)
    try:
        return _Trainer(plan, batch.tell, gate).run(left)
    finally:
        batch.flush()
