"""Where work is done: a process of this machine, or a worker of a dask cluster."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Protocol

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError

from app.shared import worker
from app.shared.host import host

__all__ = ["ClusterPlace", "Place", "ProcessPlace", "Run"]

#: How a future says that its worker is gone.
_GONE = (BrokenExecutor, ShutdownExecutorError, CancelledError)


class Run:
    """A piece of work that was begun.

    Attributes
    ----------
    done : Event
    """

    def __init__(self, future: Any, pipe: tuple[Connection, Connection] | None = None) -> None:
        self.done = threading.Event()
        self._future, self._pipe = future, pipe
        self._heard: list[Any] = []
        self._lock = threading.Lock()

    def listen(self, seconds: float = 0.0) -> list[Any]:
        """Return what was said since, and wait so long for it."""
        if self._pipe is not None and not self._heard:
            with suppress(EOFError, OSError):
                self._pipe[0].poll(seconds)
        with self._lock:
            self._take()
            heard, self._heard = self._heard, []
        return heard

    def _take(self) -> None:
        if self._pipe is None:
            return
        ours, theirs = self._pipe
        with suppress(EOFError, OSError):
            while ours.poll():
                said = ours.recv()
                # The worker has its end: when it is gone, this one hears of it.
                theirs.close()
                if said is not None:
                    self._heard.append(said)

    def say(self, word: Any) -> None:
        """Send a word to work that listens."""
        with self._lock:
            if self._pipe is not None:
                with suppress(OSError):
                    self._pipe[0].send(word)

    def stop(self) -> None:
        """Say that nobody waits any more."""
        with self._lock:
            if self._pipe is not None:
                self._pipe[0].close()
        if self._pipe is None:
            self._future.cancel()

    def end(self, then: Callable[[], object]) -> None:
        """Call `then` at the end, however it comes."""

        def ended(_: object) -> None:
            with self._lock:
                self._take()
                for end in self._pipe or ():
                    end.close()
            then()
            self.done.set()

        self._future.add_done_callback(ended)

    @property
    def lost(self) -> bool:
        """Whether it ended with its worker."""
        if self._future.cancelled():
            return True
        error = self._future.exception()
        # A cluster has many words for it.
        return isinstance(error, _GONE) or type(error).__module__.startswith("distributed.")

    def result(self) -> bytes:
        """Return the pickled answer, or raise what the work raised."""
        answer: bytes = self._future.result()
        return answer


class Place(Protocol):
    """Room for one piece of work at a time."""

    def start(self, packed: bytes) -> Run:
        """Begin a piece of work, as `app.shared.worker.run` takes it."""

    def warm(self, function: Callable[[], object]) -> None:
        """Have a function called before the next work; its answer is not asked for."""

    def kill(self) -> None:
        """End what is done here, now; the next work finds the place made anew."""

    def forget(self) -> None:
        """Take it that the worker is gone."""


class ProcessPlace:
    """A process, made when it is first needed and kept."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None

    def start(self, packed: bytes) -> Run:
        """Begin a piece of work."""
        ours, theirs = Pipe()
        try:
            future = self._made().submit(worker.run, packed, theirs)
        except BrokenExecutor:
            # The process ended while it had nothing to do.
            self.forget()
            future = self._made().submit(worker.run, packed, theirs)
        return Run(future, (ours, theirs))

    def warm(self, function: Callable[[], object]) -> None:
        """Have a function called before the next work."""
        with suppress(BrokenExecutor):
            self._made().submit(function)

    def _made(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # Loky ends a process whose work left more than 300 MB, which is well, and starts
            # another for what was given it meanwhile; nobody needs to hear of it.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            self._executor = ProcessPoolExecutor(
                max_workers=1, initializer=worker.begin, initargs=(host().hosted,)
            )
        return self._executor

    def kill(self) -> None:
        """End the process."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)

    def forget(self) -> None:
        """Let go of a process that is gone."""
        self._executor = None


class ClusterPlace:
    """A worker that a dask scheduler chooses.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def at(cls, address: str, count: int) -> list[ClusterPlace]:
        """Return places of the cluster at an address, as many as may be used at once."""
        client = importlib.import_module("distributed").Client(address, set_as_default=False)
        return [cls(client) for _ in range(count)]

    def start(self, packed: bytes) -> Run:
        """Begin a piece of work."""
        return Run(self._client.submit(worker.run, packed, pure=False))

    def warm(self, function: Callable[[], object]) -> None:
        """Nothing: which worker the scheduler will choose is not known."""

    def kill(self) -> None:
        """Nothing: a future that was cancelled is left to the cluster."""

    def forget(self) -> None:
        """Nothing: the scheduler knows its workers."""
