"""What tests of races share: a clock that tests move, and races that end with the test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from app.shared import worker
from app.shared.line import Line
from app.shared.places import Place, Run
from app.views.fine_tune.jobs import Lane, Places, Race, RacePlan

__all__ = ["Clock", "Make", "finished", "make", "numbers", "plan", "wait"]

#: Of steps; no test sees the end of it.
LONG = 1_000_000


class Clock:
    """Seconds that only a test moves. A race looks at it every 50 ms."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now

    def wait_for_looks(self, number: int = 8) -> None:
        """Wait while a race that does not hold would have made rounds."""
        before = self.looks
        wait(lambda: self.looks >= before + number)


class ThreadPlace:
    """Trains in a thread of this process, so that a test can reach what it does."""

    def start(self, packed: bytes) -> Run:
        ours, theirs = Pipe()
        # The run closes its own copy, as it does that of a process.
        copy = Connection(os.dup(theirs.fileno()))
        # As a process of the pool: two threads add in another order.
        executor = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        future = executor.submit(worker.run, packed, copy)
        executor.shutdown(wait=False)
        return Run(future, (ours, theirs))

    def warm(self, function: Callable[[], object]) -> None:
        raise AssertionError("nothing warms a thread")

    def kill(self) -> None:
        raise AssertionError("a thread cannot be killed")

    def forget(self) -> None:
        raise AssertionError("a thread is not lost")


class Threads:
    """A thread for every race that the line lets in."""

    def take(self) -> Place:
        return ThreadPlace()

    def give(self, place: Place) -> None:
        pass


Make = Callable[..., Race]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make races that are stopped when the test ends, however it ends."""
    made: list[Race] = []

    def new(
        plan: RacePlan,
        line: Line | None = None,
        clock: Callable[[], float] | None = None,
        places: Places | None = None,
        **more: Any,
    ) -> Race:
        race = Race(
            plan, line=line or Line(1), places=places or Threads(), clock=clock or Clock(), **more
        )
        made.append(race)
        return race

    # A race trains on one thread; two threads add in another order, and bits are compared.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield new
    torch.set_num_threads(before)
    for race in made:
        race.stop()
    for race in made:
        assert race._thread.ident is None or race.join(60)


def plan(
    *methods: str, steps: int = 3, rates: tuple[float | None, ...] | None = None, **changes: Any
) -> RacePlan:
    """Return a plan that is trained in a fraction of a second."""
    names = methods or ("global", "localized")
    fields: dict[str, Any] = {
        "task": "planted-blocks",
        "rank": 4,
        "grid": 4,
        "seeds": (0,),
    } | changes
    return RacePlan(methods=names, rates=rates or (None,) * len(names), steps=steps, **fields)


def finished(race: Race) -> Race:
    """Run a race to its end."""
    race.start()
    assert race.join(60)
    return race


def wait(condition: Callable[[], object]) -> None:
    """Wait until something holds; what never does ends with the test's time."""
    while not condition():
        time.sleep(0.01)


def numbers(lanes: list[Lane]) -> list[tuple[Any, ...]]:
    """Return all that equal plans must repeat: no seconds, no memory."""
    left_out = {"seconds", "samples_per_second", "memory_bytes"}
    return [
        (
            lane.method,
            lane.seed,
            lane.outcome,
            *({k: v for k, v in asdict(r).items() if k not in left_out} for r in lane.records),
        )
        for lane in lanes
    ]
