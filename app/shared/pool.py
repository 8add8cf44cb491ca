"""Heavy work in a bounded pool of processes, behind the line: shared, stopped, and never lost.

A function of `lolora_core`, or of a module that imports no Streamlit, goes to the pool with its
arguments while somebody watches. Equal work is done once, for all who watch it, and it is stopped
when the last of them goes.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from app.shared import sentences
from app.shared.ending import at_the_end
from app.shared.host import host
from app.shared.line import LINE, Line
from app.shared.places import ClusterPlace, Place, ProcessPlace, Run

__all__ = [
    "LostError",
    "Pool",
    "Progress",
    "call",
    "is_held",
    "kept_call",
    "part",
    "processes",
    "unseen",
    "visiting",
]

#: Seconds between two looks at a piece of work, and two chances for Streamlit to stop the page.
_LOOK_EVERY = 0.1
#: For work to end by itself after its stop; then its process is killed.
_GRACE = 1.0

#: Takes the share that is done, from 0 to 1, and words on it; what it raises stops the work.
Progress = Callable[[float, str], None]
_VISITOR: ContextVar[str | None] = ContextVar("visitor", default=None)


class LostError(RuntimeError):
    """The process that did the work is gone; the message says what to do."""


@dataclass(eq=False)
class _Job:
    """A piece of work and where it stands."""

    key: object
    visitor: str
    work: tuple[Callable[..., Any], Sequence[Any], bool]
    #: Equal work that was stopped and has not ended.
    after: _Job | None
    watchers: int = 0
    before: int = 0
    place: Place | None = None
    run: Run | None = None
    said: tuple[float, str] = (0.0, "")
    over: threading.Event = field(default_factory=threading.Event)


class Pool:
    """Places behind a line.

    Parameters
    ----------
    line : Line
        It grants at most as many places as there are.
    places : sequence of Place
    grace : float
        Seconds that work has to end after its stop.
    """

    def __init__(self, line: Line, places: Sequence[Place], grace: float = _GRACE) -> None:
        self._line, self._places, self._grace = line, places, grace
        self._free = list(places)
        self._jobs: dict[object, _Job] = {}
        # Work may be done before its end can be waited for, and then that is heard at once.
        self._lock = threading.RLock()

    def call(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        *,
        key: object,
        visitor: str,
        progress: Progress,
        reports: bool = False,
    ) -> Any:
        """Do a piece of work for a visitor, and return its answer.

        Parameters
        ----------
        function : callable
            At the top of a module; it and its arguments are pickled.
        arguments : sequence
        key : object
            Equal for equal work.
        visitor : str
        progress : callable
            ``progress(share, words)``, several times a second; what it raises stops the work,
            unless somebody else waits for it too.
        reports : bool
            The function takes a `app.shared.worker.Report` after its arguments.

        Raises
        ------
        LostError
            The process ended in the middle of the work.
        Exception
            What the work raised.
        """
        job = self._join(key, visitor, (function, arguments, reports))
        try:
            while not self._advance(job):
                progress(*self._said(job))
            return _answer(job)
        finally:
            self._leave(job)

    def take(self) -> Place:
        """Return a place for work of one's own, for whom the line has one; see `give`."""
        with self._lock:
            return self._free.pop()

    def give(self, place: Place) -> None:
        """Give a place back, before one leaves the line."""
        with self._lock:
            self._free.append(place)

    def warm(self, function: Callable[[], object]) -> None:
        """Have the process that comes next call a function before it does any work."""
        with self._lock:
            if self._free:
                self._free[-1].warm(function)

    def close(self) -> None:
        """End every process, whatever it does."""
        for place in self._places:
            place.kill()

    def _join(
        self, key: object, visitor: str, work: tuple[Callable[..., Any], Sequence[Any], bool]
    ) -> _Job:
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.watchers:
                job = self._jobs[key] = _Job(key, visitor, work, after=job)
            job.watchers += 1
            return job

    def _advance(self, job: _Job) -> bool:
        """Go on with a piece of work, wait a moment, and return whether it has ended."""
        if job.after is not None:
            if not job.after.over.wait(_LOOK_EVERY):
                return False
            job.after = None
        with self._lock:
            if job.run is None:
                job.before = self._line.enter(job, job.visitor)
                if job.before == 0:
                    self._start(job)
        if job.run is None:
            time.sleep(_LOOK_EVERY)
            return False
        for said in job.run.listen():
            job.said = said
        return job.run.done.wait(_LOOK_EVERY)

    def _start(self, job: _Job) -> None:
        packed = pickle.dumps(job.work, protocol=pickle.HIGHEST_PROTOCOL)
        job.place = self.take()
        try:
            job.run = job.place.start(packed)
        except BaseException:
            self.give(job.place)
            raise
        job.run.end(lambda: self._free_place(job))

    def _said(self, job: _Job) -> tuple[float, str]:
        if job.run is not None:
            return job.said
        if not job.before:
            return 0.0, ""
        own = self._line.full(job.visitor)
        return 0.0, sentences.OWN_FIRST if own else sentences.in_line(job.before)

    def _free_place(self, job: _Job) -> None:
        assert job.place is not None
        assert job.run is not None
        if job.run.lost:
            job.place.forget()
        self.give(job.place)
        self._over(job)

    def _over(self, job: _Job) -> None:
        self._line.leave(job)
        job.over.set()

    def _leave(self, job: _Job) -> None:
        with self._lock:
            job.watchers -= 1
            if job.watchers:
                return
            ended = job.run is None or job.run.done.is_set()
            if ended and self._jobs.get(job.key) is job:
                del self._jobs[job.key]
        if job.run is None:
            self._over(job)
        elif not ended:
            stopping = threading.Thread(target=self._stop, args=(job,), daemon=True)
            stopping.start()
            if job.work[2]:
                # It hears of the stop at its next report, and what it wrote is then whole.
                stopping.join()

    def _stop(self, job: _Job) -> None:
        assert job.run is not None
        assert job.place is not None
        job.run.stop()
        if not job.run.done.wait(self._grace):
            job.place.kill()
        with self._lock:
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]


def _answer(job: _Job) -> Any:
    assert job.run is not None
    if job.run.lost:
        raise LostError(sentences.LOST)
    try:
        return pickle.loads(job.run.result())
    except MemoryError:
        raise LostError(sentences.LOST) from None


@cache
def _pool() -> Pool:
    address, count = host().dask, LINE.places
    places: Sequence[Place] = (
        ClusterPlace.at(address, count) if address else [ProcessPlace() for _ in range(count)]
    )
    made = Pool(LINE, places)
    at_the_end(made.close)
    return made


@cache
def processes() -> Pool:
    """Return the pool, or one of processes where a cluster takes its place.

    For work that is talked with while it is done: a cluster has no pipe to it.
    """
    if not host().dask:
        return _pool()
    made = Pool(LINE, [ProcessPlace() for _ in range(LINE.places)])
    at_the_end(made.close)
    return made


@contextmanager
def visiting(visitor: str) -> Iterator[None]:
    """Let the work of this thread go to the pool, in the name of a visitor who can stop it."""
    token = _VISITOR.set(visitor)
    try:
        yield
    finally:
        _VISITOR.reset(token)


def call(
    function: Callable[..., Any],
    *arguments: Any,
    key: object,
    progress: Progress,
    reports: bool = False,
) -> Any:
    """Do a piece of work: in the pool for a visitor (see `visiting`), else in this thread.

    The parameters are those of `Pool.call`.
    """
    visitor = _VISITOR.get()
    if visitor is None:
        return function(*arguments, progress) if reports else function(*arguments)
    return _pool().call(
        function, arguments, key=key, visitor=visitor, progress=progress, reports=reports
    )


def kept_call(
    kept: Any,
    asked: Sequence[Any],
    function: Callable[..., Any],
    *arguments: Any,
    progress: Progress,
    reports: bool = False,
) -> Any:
    """Return what a cached function does: from its cache, from the pool for a visitor, from itself.

    No lock is held while the pool works, so who stops holds up nobody.

    Parameters
    ----------
    kept : callable
        Of ``cachetools.cached`` with a condition.
    asked : sequence
        What it is called with.
    function, arguments, progress, reports
        See `Pool.call`.
    """
    if is_held(kept, *asked) or _VISITOR.get() is None:
        return kept(*asked)
    key = kept.cache_key(*asked)
    name = (kept.__module__, kept.__qualname__, key)
    found = call(function, *arguments, key=name, progress=progress, reports=reports)
    # What is larger than the cache is refused with a ValueError.
    with kept.cache_condition, suppress(ValueError):
        kept.cache.setdefault(key, found)
    return found


def is_held(kept: Any, *asked: Any) -> bool:
    """Return whether a function of ``cachetools.cached`` with a condition holds an answer."""
    with kept.cache_condition:
        return kept.cache_key(*asked) in kept.cache


def unseen(share: float, words: str) -> None:
    """Show no progress, of work that is quick."""


def part(progress: Progress, at: float, to: float, words: str) -> Progress:
    """Return the progress of one part of a piece of work, from one share of the whole to another.

    Examples
    --------
    >>> part(print, 0.5, 1.0, "grid 2 of 2")(0.5, "waiting")
    0.75 grid 2 of 2, waiting
    """

    def show(share: float, done: str) -> None:
        progress(at + share * (to - at), f"{words}, {done}" if done else words)

    return show
