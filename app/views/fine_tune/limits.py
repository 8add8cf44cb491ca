"""What the host allows a race or a search: steps and seconds, said before it starts."""

from __future__ import annotations

from functools import cache
from time import perf_counter

from app.shared.host import host
from app.views.fine_tune.lanes import RacePlan
from lolora_core.common.threads import one_thread
from lolora_core.training import Method, fine_tune, resolve_task
from lolora_core.training.rates import RATES

__all__ = ["ended", "refused", "search_ended", "search_steps", "seconds_a_step"]

_NO_METHOD = "Choose at least one method."
#: No step of a task takes more seconds, whatever the machine: short races are not timed.
_SLOWEST = 0.05
#: Steps that are timed: at least, and at most where they are quick, which the first are not.
_TIMED = (3, 30)
#: Seconds after which no further step is timed.
_ENOUGH = 0.3
#: A search for learning rates is to be done in about so many seconds, with fewer steps if need be,
SEARCH_SECONDS = 60.0
#: but with no fewer than these: so short a run says nothing.
_FEWEST = 20
#: Of a search and one method: those that it begins with, and one further out.
_RATES = len(RATES) + 1


@cache
def seconds_a_step(task: str) -> float:
    """Return about how long a step takes on this machine, from the fastest of a few."""
    least, most = _TIMED
    taken: list[float] = []
    # As the process does that trains.
    with one_thread():
        # Only the first and the last are evaluated.
        run = fine_tune(task, Method("global"), steps=most + 1, evaluate_every=most + 1,
                        device="cpu")  # fmt: skip
        next(run)
        while len(taken) < least or (len(taken) < most and sum(taken) < _ENOUGH):
            began = perf_counter()
            next(run)
            taken.append(perf_counter() - began)
    return min(taken)


def refused(plan: RacePlan) -> str:
    """Return why a race cannot be run here, and what to change; empty where it can."""
    limits = host()
    if not plan.methods:
        return _NO_METHOD
    if plan.num_steps > limits.max_steps:
        return (
            f"This race has {plan.num_steps:,} steps; this server runs at most "
            f"{limits.max_steps:,}. Set a smaller number of steps."
        )
    steps = plan.num_steps * len(plan.methods) * len(plan.seeds)
    if steps * _SLOWEST <= limits.max_race_seconds:
        return ""
    seconds = steps * seconds_a_step(resolve_task(plan.task).name)
    if seconds <= limits.max_race_seconds:
        return ""
    return (
        f"This race would take about {_minutes(seconds)}: {len(plan.methods)} methods × "
        f"{len(plan.seeds)} seeds × {plan.num_steps:,} steps. This server runs a race for at most "
        f"{_minutes(limits.max_race_seconds)}. Choose fewer methods or seeds, or at most "
        f"{int(plan.num_steps * limits.max_race_seconds / seconds):,} steps."
    )


def search_steps(plan: RacePlan) -> int:
    """Return how many steps a search for the learning rates of a plan makes with each rate.

    Raises
    ------
    ValueError
        No methods, or more than the host has time for.
    """
    if not plan.methods:
        raise ValueError(_NO_METHOD)
    limits, runs = host(), len(plan.methods) * _RATES
    steps = min(plan.num_steps, limits.max_steps)
    seconds = min(SEARCH_SECONDS, limits.max_race_seconds)
    if runs * steps * _SLOWEST <= seconds:
        return steps
    each = runs * seconds_a_step(resolve_task(plan.task).name)
    steps = min(steps, max(_FEWEST, int(seconds / each)))
    if steps * each > limits.max_race_seconds:
        raise ValueError(
            f"This search would take about {_minutes(steps * each)}: {len(plan.methods)} methods × "
            f"{_RATES} rates × {steps} steps. This server trains for at most "
            f"{_minutes(limits.max_race_seconds)}. Choose fewer methods."
        )
    return steps


def search_ended() -> str:
    """Return why a search is ended that has trained for too long."""
    return (
        f"The search ended after {_minutes(host().max_race_seconds)} of training, the most that "
        "this server runs. What was found until then is kept."
    )


def ended(seconds: float) -> str:
    """Return why a race is ended that has trained for so long; empty where it may go on."""
    most = host().max_race_seconds
    if seconds <= most:
        return ""
    return (
        f"The race ended after {_minutes(most)} of training, the most that this server runs. What "
        "was trained until then is kept."
    )


def _minutes(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> _minutes(90), _minutes(300)
    ('90 s', '5 minutes')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"
