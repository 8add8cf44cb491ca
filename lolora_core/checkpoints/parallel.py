"""Work on one matrix at a time, by joblib: threads, processes or a cluster."""

from __future__ import annotations

import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from typing import Any

from joblib import Parallel, delayed

from lolora_core.common.threads import one_thread

__all__ = ["NamedProgress", "run_jobs"]

#: ``progress(done, total, name)``; returning False stops.
NamedProgress = Callable[[int, int, str], object]


_running: Counter[str] = Counter()
_ended = threading.Condition()


def _counted(run: str, function: Callable[..., Any], *arguments: Any) -> Any:
    with _ended:
        _running[run] += 1
    try:
        return function(*arguments)
    finally:
        with _ended:
            _running[run] -= 1
            _ended.notify_all()


def run_jobs(
    calls: Iterable[tuple[Any, ...]],
    total: int,
    n_jobs: int,
    progress: NamedProgress | None,
    done: int = 0,
) -> Generator[tuple[str, Any]]:
    """Yield what each ``(function, *arguments)`` returns, a name and an answer, as they end.

    `done` of `total` were done before. Where `progress` returns False, the rest is left undone.
    """
    run = uuid.uuid4().hex
    pool = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
    # New threads take their number from the last call, so it is set here as well.
    with one_thread():
        results = pool(delayed(_counted)(run, *call) for call in calls)
        try:
            for name, answer in results:
                done += 1
                yield name, answer
                if progress is not None and progress(done, total, name) is False:
                    break
        finally:
            with warnings.catch_warnings():
                # joblib warns that a stop wastes what was begun, and a stop is what is wanted.
                warnings.simplefilter("ignore", UserWarning)
                if hasattr(results, "close"):
                    results.close()
            # A thread that still computes while Python ends would abort the process.
            with _ended:
                _ended.wait_for(lambda: not _running[run])
                del _running[run]
