"""A small search for learning rates: run after run by the pool, each kept. No streamlit here."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd
from cachetools import LRUCache

from app.shared.host import host
from app.shared.pool import LostError, Progress, call, part
from app.shared.worker import Report
from app.views.fine_tune import rates_words
from app.views.fine_tune.lanes import RacePlan
from app.views.fine_tune.limits import search_ended
from app.views.fine_tune.troubles import reason
from lolora_core.common.threads import one_thread
from lolora_core.training import DivergedError, Method, fine_tune
from lolora_core.training.rates import RATES, next_rate

__all__ = ["Tried", "best", "curves", "is_done", "problems", "search"]


class _One(NamedTuple):
    """A run to be made."""

    task: str
    method: str
    rank: int
    grid: int
    seed: int
    steps: int
    device: str
    rate: float


class Tried(NamedTuple):
    """What a run came to.

    Attributes
    ----------
    loss : float
        The least validation loss; infinite where the run diverged.
    problem : str
        Why the method takes no part.
    seconds : float
    """

    loss: float
    problem: str
    seconds: float


def _try(one: _One, most: float, report: Report) -> Tried:
    """Make a run; a `TimeoutError` ends it after `most` seconds."""
    began, loss, problem = time.perf_counter(), math.inf, ""
    try:
        method = Method(one.method, rank=one.rank, grid=one.grid)
        with one_thread():
            run = fine_tune(
                one.task, method, steps=one.steps, lr=one.rate, seed=one.seed, device=one.device
            )
            if not run.num_parameters:
                return Tried(loss, f"{one.method} trains nothing on this task: no rate matters", 0)
            for record in run:
                report(record.step / one.steps, "")
                if time.perf_counter() - began > most:
                    raise TimeoutError(search_ended())
        loss = min(r.eval_loss for r in run.records if r.eval_loss is not None)
    except DivergedError:
        pass
    except (ValueError, TypeError, ImportError, ConnectionError) as error:
        problem = f"{one.method} takes no part: {error}"
    return Tried(loss, problem, time.perf_counter() - began)


_held: LRUCache[_One, Tried] = LRUCache(4096)
_lock = threading.Lock()


def _one(plan: RacePlan, method: str, rate: float) -> _One:
    (seed,) = plan.seeds
    return _One(plan.task, method, plan.rank, plan.grid, seed, plan.num_steps, plan.device, rate)


def _found(plan: RacePlan, method: str) -> dict[float, Tried]:
    """Return what is known of a method by rate, as far as a search went."""
    found: dict[float, Tried] = {}
    rates = list(RATES)
    while rates:
        with _lock:
            tried = {rate: _held.get(_one(plan, method, rate)) for rate in rates}
        found |= {rate: one for rate, one in tried.items() if one is not None}
        rates = _beyond(found) if None not in tried.values() else []
    return found


def _beyond(found: Mapping[float, Tried]) -> list[float]:
    beyond = next_rate({rate: tried.loss for rate, tried in found.items()})
    return [] if beyond is None else [beyond]


def _missing(plan: RacePlan) -> list[_One]:
    """Return the runs that are still to be made, as far as that is known, rate by rate."""
    missing = []
    for method in plan.methods:
        found = _found(plan, method)
        if not any(tried.problem for tried in found.values()):
            rates = [rate for rate in RATES if rate not in found] or _beyond(found)
            missing += [_one(plan, method, rate) for rate in rates]
    return sorted(missing, key=lambda one: one.rate)


def is_done(plan: RacePlan) -> bool:
    """Return whether the best rate of every method is known."""
    return not _missing(plan)


def curves(plan: RacePlan) -> pd.DataFrame:
    """Return what is known so far: method, lr, loss; NaN where a run diverged."""
    rows = [
        {"method": method, "lr": rate, "loss": tried.loss if math.isfinite(tried.loss) else None}
        for method in plan.methods
        for rate, tried in sorted(_found(plan, method).items())
        if not tried.problem
    ]
    return pd.DataFrame(rows, columns=["method", "lr", "loss"]).astype({"loss": float})


def problems(plan: RacePlan) -> list[str]:
    """Return a sentence on every method that takes no part."""
    found = [_found(plan, method).values() for method in plan.methods]
    return [tried.problem for known in found for tried in known if tried.problem]


def best(plan: RacePlan) -> dict[str, float]:
    """Return the best rate by method, where one does not diverge; the lowest of equals."""
    known = curves(plan).dropna(subset="loss")
    lowest = known.loc[known.groupby("method", sort=False)["loss"].idxmin()]
    return dict(zip(lowest["method"], lowest["lr"], strict=True))


def search(plan: RacePlan, progress: Progress, drawn: Callable[[], None]) -> None:
    """Make the runs that are missing, one after the other.

    Parameters
    ----------
    plan : RacePlan
        Of one seed.
    progress : callable
        ``progress(share, words)``; what it raises ends the search, and what is known stays.
    drawn : callable
        Called after each run.

    Raises
    ------
    LostError
        A run failed, or all have trained for as long as the host lets a race train; the message
        says so.
    """
    try:
        _search(plan, progress, drawn)
    except LostError:
        raise
    except TimeoutError as error:
        raise LostError(str(error)) from error
    except (MemoryError, RuntimeError, OSError) as error:
        raise LostError(rates_words.failed(reason(error))) from error


def _search(plan: RacePlan, progress: Progress, drawn: Callable[[], None]) -> None:
    made = 0
    while missing := _missing(plan):
        spent = sum(one.seconds for name in plan.methods for one in _found(plan, name).values())
        most = host().max_race_seconds - spent
        if most <= 0:
            raise TimeoutError(search_ended())
        one, total = missing[0], made + len(missing)
        words = f"run {made + 1} of {total}: {one.method} at {one.rate:g}"
        shown = part(progress, made / total, (made + 1) / total, words)
        shown(0.0, "")
        tried = call(_try, one, most, key=("rate", one), progress=shown, reports=True)
        with _lock:
            _held[one] = tried
        made += 1
        drawn()
