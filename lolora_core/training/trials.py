"""Whole runs, many at a time: what each ends with, and the choice of a learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lolora_core.common.threads import one_thread
from lolora_core.training.loop import fine_tune
from lolora_core.training.methods import Method
from lolora_core.training.records import DivergedError
from lolora_core.training.tasks.base import Split, Task

__all__ = ["LearningRateSearch", "Progress", "Trial", "TrialEnd", "run_trials", "search_lr"]

Progress = Callable[[int, int], None]


class Trial(NamedTuple):
    """One run to be made; evaluated on `split` at its end only."""

    task: str | Task
    method: str | Method
    lr: float | None
    seed: int
    steps: int | None
    split: Split
    device: str = "auto"


class TrialEnd(NamedTuple):
    """How a run ended: loss and metric on its split; infinite and NaN where it diverged."""

    loss: float
    metric: float
    num_parameters: int
    seconds: float
    lr: float
    delta_norm: float


def _run(trial: Trial) -> TrialEnd:
    run = fine_tune(
        trial.task,
        trial.method,
        steps=trial.steps,
        lr=trial.lr,
        seed=trial.seed,
        device=trial.device,
        evaluate_every=10**9,
        split="validation",
    )
    try:
        for _ in run:
            pass
        loss, metric = run.evaluate(trial.split)
    except DivergedError:
        loss, metric = math.inf, math.nan
    seconds = run.records[-1].seconds if run.records else 0.0
    return TrialEnd(loss, metric, run.num_parameters, seconds, run.lr, run.delta_norm())


def _run_alone(trial: Trial) -> TrialEnd:
    with one_thread():
        return _run(trial)


def run_trials(
    trials: Sequence[Trial], *, n_jobs: int = 1, progress: Progress | None = None
) -> list[TrialEnd]:
    """Make every run and return how each ended, in order.

    Parameters
    ----------
    trials : sequence of Trial
    n_jobs : int
        Processes, each with one torch thread; with 1 the runs are made here, one after another.
    progress : callable, optional
        ``(done, total) -> None`` after each run.

    Examples
    --------
    >>> trial = Trial("planted-blocks", "frozen", None, 0, 1, "test", "cpu")
    >>> round(run_trials([trial])[0].metric, 4)
    1.0
    """
    from joblib import Parallel, delayed

    call = _run if n_jobs == 1 else _run_alone
    jobs = (delayed(call)(trial) for trial in trials)
    outcomes = []
    for outcome in Parallel(n_jobs=n_jobs, return_as="generator")(jobs):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(trials))
    return outcomes


class LearningRateSearch(NamedTuple):
    """The best rate of a grid, and the mean validation loss of each (infinite: diverged)."""

    best: float
    losses: dict[float, float]

    @property
    def at_the_edge(self) -> bool:
        """Whether the best rate is the least or the greatest of the grid."""
        return self.best in (min(self.losses), max(self.losses))

    @classmethod
    def of(cls, rates: Sequence[float], outcomes: Sequence[TrialEnd]) -> LearningRateSearch:
        """Choose among rates from their outcomes, an equal number of each in the rates' order."""
        each = len(outcomes) // len(rates)
        losses = {
            rate: sum(o.loss for o in outcomes[at * each : (at + 1) * each]) / each
            for at, rate in enumerate(rates)
        }
        best = min(
            losses, key=lambda rate: losses[rate] if losses[rate] == losses[rate] else math.inf
        )
        return cls(best, losses)


def search_lr(
    task: str | Task,
    method: str | Method,
    grid: Sequence[float] = (1e-3, 3e-3, 1e-2, 3e-2),
    *,
    steps: int | None = None,
    seeds: Sequence[int] = (100, 101),
    device: str = "auto",
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> LearningRateSearch:
    """Choose the peak learning rate whose mean validation loss is least; no test example is read.

    Parameters
    ----------
    task, method, steps, device
        As in `fine_tune`.
    grid : sequence of float
        The rates to try.
    seeds : sequence of int
        One run for each rate and seed; others than those of the comparison keep the two apart.
    n_jobs, progress
        As in `run_trials`.

    Raises
    ------
    ValueError
        An empty grid or no seeds, or every rate diverges.

    Examples
    --------
    >>> search_lr("planted-blocks", "localized", (1e-5, 1e-2), steps=40, device="cpu").best
    0.01
    """
    if not grid or not seeds:
        raise ValueError(f"grid and seeds must not be empty; they are {grid!r} and {seeds!r}")
    trials = [Trial(task, method, lr, s, steps, "validation", device) for lr in grid for s in seeds]
    found = LearningRateSearch.of(grid, run_trials(trials, n_jobs=n_jobs, progress=progress))
    if math.isinf(found.losses[found.best]):
        rates = ", ".join(f"{rate:g}" for rate in grid)
        raise ValueError(f"every rate of the grid diverges: {rates}; go lower")
    return found
