"""Timing helpers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def median_seconds(call: Callable[[], object], runs: int = 5) -> float:
    """Return the median wall time of `runs` calls after one that is not counted."""
    call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def interleaved_medians(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each call; they take turns, so drift of the machine cancels."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            # Once uncounted: each call finds the caches as its own last run left them.
            call()
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: statistics.median(found) for name, found in times.items()}
