"""The choice of a learning rate: half-decades, further out until the best lies inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lolora_core.training.methods import Method
from lolora_core.training.tasks.base import Task
from lolora_core.training.trials import Progress, Trial, TrialEnd, run_trials

__all__ = ["LIMITS", "RATES", "LearningRateSearch", "next_rate", "search_lr"]

#: Where a search begins.
RATES = (1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1)
#: And where it gives up.
LIMITS = (1e-6, 1e3)


class LearningRateSearch(NamedTuple):
    """The best rate, and the mean validation loss of each that was tried (infinite: diverged)."""

    best: float
    losses: dict[float, float]

    @property
    def at_the_edge(self) -> bool:
        """Whether the best rate is the least or the greatest that was tried."""
        return self.best in (min(self.losses), max(self.losses))

    @classmethod
    def of(cls, outcomes: Mapping[float, Sequence[TrialEnd]]) -> LearningRateSearch:
        """Choose from the outcomes of each rate; the lowest of equals."""
        losses = {
            rate: sum(end.validation_loss for end in ends) / len(ends)
            for rate, ends in sorted(outcomes.items())
        }
        return cls(min(losses, key=losses.__getitem__), losses)


def next_rate(losses: Mapping[float, float]) -> float | None:
    """Return the half-decade to try next: beyond the best, where that is the last one tried.

    None where the best lies inside, or the limits are reached. An infinite loss (diverged) counts
    as greater than any other; where all are, the search goes down.

    Examples
    --------
    >>> next_rate({0.001: 0.5, 0.00316: 0.4, 0.01: 0.3})
    0.0316
    >>> next_rate({0.001: 0.5, 0.00316: 0.4, 0.01: 0.4})
    """
    best = min(sorted(losses), key=losses.__getitem__)
    if best == min(losses):
        way = -1
    elif best == max(losses):
        way = 1
    else:
        return None
    beyond = float(f"{10 ** ((round(2 * math.log10(best)) + way) / 2):.3g}")
    return beyond if LIMITS[0] <= beyond <= LIMITS[1] else None


def search_lr(
    task: str | Task,
    method: str | Method,
    rates: Sequence[float] = RATES,
    seeds: Sequence[int] = (100, 101),
    *,
    steps: int | None = None,
    device: str = "auto",
    extend: bool = True,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> LearningRateSearch:
    """Choose the peak learning rate by the mean validation loss; no test example is read.

    The loss of a run is its least on validation data, as early stopping would find it.

    Parameters
    ----------
    task, method, steps, device
        As in `fine_tune`.
    rates : sequence of float
        The rates to begin with.
    seeds : sequence of int
        One run for each rate and seed; others than those of the comparison keep the two apart.
    extend : bool
        Whether to go on by half-decades (a factor of √10) until the best lies inside.
    n_jobs, progress
        As in `run_trials`.

    Raises
    ------
    ValueError
        No rates or no seeds, or every rate diverges.

    Examples
    --------
    >>> search_lr("planted-blocks", "localized", (1e-5, 1e-2), steps=40, extend=False).best
    0.01
    """
    if not rates or not seeds:
        raise ValueError(f"rates and seeds must not be empty; they are {rates!r} and {seeds!r}")
    ends: dict[float, list[TrialEnd]] = {}
    wanted = [*rates]
    while True:
        trials = [
            Trial(task, method, rate, s, steps, "validation", device)
            for rate in wanted
            for s in seeds
        ]
        found = run_trials(trials, n_jobs=n_jobs, progress=progress)
        for at, rate in enumerate(wanted):
            ends[rate] = found[at * len(seeds) : (at + 1) * len(seeds)]
        search = LearningRateSearch.of(ends)
        beyond = next_rate(search.losses) if extend else None
        if beyond is None:
            break
        wanted = [beyond]
    if math.isinf(search.losses[search.best]):
        tried = ", ".join(f"{rate:g}" for rate in search.losses)
        raise ValueError(f"every rate diverges: {tried}; go lower")
    return search
