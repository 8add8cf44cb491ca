"""Whole runs, many at a time: where early stopping stops each, and what it ends with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lolora_core.common.threads import one_thread
from lolora_core.training.loop import Run, fine_tune
from lolora_core.training.methods import Method, resolve_method
from lolora_core.training.records import DivergedError, Snapshot
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import Data, Split, Task

__all__ = ["Progress", "Reading", "Trial", "TrialEnd", "run_trials", "trials_as_made"]

Progress = Callable[[int, int], None]


class Trial(NamedTuple):
    """One run to be made.

    Attributes
    ----------
    task, method, lr, seed, steps, device
        As in `fine_tune`.
    split : {"validation", "test"}
        What is read when the run has ended; with "validation" no test example is read.
    evaluations : int, optional
        Of the validation split on the way; the task's own number by default.
    """

    task: str | Task
    method: str | Method
    lr: float | None
    seed: int
    steps: int | None
    split: Split
    device: str = "auto"
    evaluations: int | None = None


class Reading(NamedTuple):
    """A model read on `Trial.split` and on examples of what the base was made for.

    Attributes
    ----------
    step : int
    loss, metric : float
        Of the split; infinite and NaN where the run diverged.
    retained : float or None
        Metric on the source domain; None where the task has none, or no test example is read.
    """

    step: int
    loss: float
    metric: float
    retained: float | None


class TrialEnd(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    stopped : Reading
        At the least validation loss: early stopping.
    final : Reading
        After the last step.
    validation_loss : float
        The least one; infinite where the run diverged, also where it was lower before.
    num_parameters : int
    seconds, took : float
        Spent in steps, and in all: with what was built and evaluated.
    lr : float
    delta_norm : float
    curve : tuple of Reading
        Evaluations of validation data on the way.
    """

    stopped: Reading
    final: Reading
    validation_loss: float
    num_parameters: int
    seconds: float
    took: float
    lr: float
    delta_norm: float
    curve: tuple[Reading, ...]


def _source(task: Task, trial: Trial, run: Run) -> Data | None:
    """Return examples of what the base was made for, where forgetting has a meaning."""
    if trial.split != "test" or task.known is None or not task.can_forget:
        return None
    return Data(*(part.to(run.device) for part in task.known(trial.seed)))


def _run(trial: Trial) -> TrialEnd:
    began = time.perf_counter()
    task, method = resolve_task(trial.task), resolve_method(trial.method)
    steps = task.steps if trial.steps is None else trial.steps
    run = fine_tune(
        task,
        method,
        steps=steps,
        lr=trial.lr,
        seed=trial.seed,
        device=trial.device,
        evaluate_every=max(1, steps // (trial.evaluations or task.evaluations)),
        split="validation",
    )
    source = _source(task, trial, run)

    def retained(at: Snapshot | None = None) -> float | None:
        return None if source is None else run.evaluate(source, at)[1]

    curve, least = [], math.inf
    try:
        for record in run:
            if record.eval_loss is not None and record.metric is not None:
                curve.append(Reading(record.step, record.eval_loss, record.metric, retained()))
        final = Reading(run.step, *run.evaluate(trial.split), retained())
        least = min(point.loss for point in curve)
    except DivergedError:
        final = Reading(run.step, math.inf, math.nan, None)
    stopped = final
    at = run.best
    if at is not None:
        stopped = Reading(at.step, *run.evaluate(trial.split, at), retained(at))
    seconds = run.records[-1].seconds if run.records else 0.0
    norm = run.delta_norm()
    took = time.perf_counter() - began
    return TrialEnd(
        stopped, final, least, run.num_parameters, seconds, took, run.lr, norm, tuple(curve)
    )


def _run_alone(trial: Trial) -> TrialEnd:
    with one_thread():
        return _run(trial)


def trials_as_made(trials: Sequence[Trial], *, n_jobs: int = 1) -> Iterator[TrialEnd]:
    """Make every run and yield how each ended, in order, as soon as it is known.

    Each has one torch thread, so the numbers are the same with any ``n_jobs`` and any backend of
    joblib (``with joblib.parallel_config("dask"): ...``).
    """
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run_alone)(trial) for trial in trials
    )


def run_trials(
    trials: Sequence[Trial], *, n_jobs: int = 1, progress: Progress | None = None
) -> list[TrialEnd]:
    """Make every run and return how each ended, in order.

    Parameters
    ----------
    trials : sequence of Trial
    n_jobs : int
        Runs at a time; each has one torch thread.
    progress : callable, optional
        ``(done, total) -> None`` after each run.

    Examples
    --------
    >>> trial = Trial("planted-blocks", "frozen", None, 0, 1, "test", "cpu")
    >>> round(run_trials([trial])[0].final.metric, 4)
    1.0
    """
    outcomes = []
    for outcome in trials_as_made(trials, n_jobs=n_jobs):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(trials))
    return outcomes
