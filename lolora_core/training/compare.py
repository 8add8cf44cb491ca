"""Methods side by side on one task: the same base, the same examples in the same order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lolora_core.training.methods import Method, resolve_method
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import Task
from lolora_core.training.trials import Progress, Trial, TrialEnd, run_trials

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Lead", "MethodComparison", "Paired", "compare_methods", "paired_interval"]

LEVEL = 0.95
_STOPPED = "Every run was stopped where its validation loss was lowest."


class Paired(NamedTuple):
    """Mean of the paired differences, their standard deviation, and a 95 % t-interval."""

    mean: float
    sd: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0: the difference is larger than chance over seeds."""
        return self.low > 0 or self.high < 0


class Lead(NamedTuple):
    """The best method and the second, their mean test losses, and second − best over the seeds.

    The losses are those where early stopping stopped.
    """

    best: str
    second: str
    best_loss: float
    second_loss: float
    pair: Paired


def paired_interval(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Return the paired differences first − second: mean ± t(0.975, n − 1)·sd/√n.

    Raises
    ------
    ValueError
        Fewer than two pairs, or sequences of different length.

    Examples
    --------
    >>> found = paired_interval([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (1.333, -0.101, 2.768)
    """
    from scipy.stats import t

    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            "two pairs or more are needed, of the same seeds; "
            f"there are {len(first)} and {len(second)} values"
        )
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    half = float(t.ppf(0.5 + LEVEL / 2, len(differences) - 1)) * sd / math.sqrt(len(differences))
    return Paired(mean, sd, mean - half, mean + half)


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """What every method reached on the test split, seed by seed.

    Methods are compared where early stopping stopped them: at the least validation loss. What they
    had after the last step stands beside it.

    Attributes
    ----------
    task : Task
    runs : DataFrame
        One row a run: method, seed, num_parameters, lr, test_loss, test_metric (after the last
        step), stopped_step, stopped_loss, stopped_metric (at the least validation loss),
        delta_norm, seconds.
    """

    task: Task
    runs: pd.DataFrame

    def paired(self, first: str, second: str, column: str = "stopped_loss") -> Paired:
        """Return first − second over the seeds; the names are those of `runs.method`.

        With ``column="test_loss"`` of the losses after the last step.
        """
        table = self.runs.pivot(index="seed", columns="method", values=column)
        return paired_interval(table[first].tolist(), table[second].tolist())

    def frame(self, reference: str | None = None) -> pd.DataFrame:
        """Return one row a method, lowest mean test loss first.

        Columns: method, num_parameters, lr, seeds; loss_mean, loss_sd, metric_mean, metric_sd on
        test data where early stopping stopped, on average at step stopped_at; final_loss_mean,
        final_metric_mean after the last step; seconds; and the paired difference of the stopped
        loss to `reference` (the first method by default): difference, difference_low,
        difference_high.
        """
        reference = self.runs["method"].iloc[0] if reference is None else reference
        groups = self.runs.groupby("method", sort=False)
        table = groups.agg(
            num_parameters=("num_parameters", "first"),
            lr=("lr", "first"),
            seeds=("seed", "count"),
            loss_mean=("stopped_loss", "mean"),
            loss_sd=("stopped_loss", "std"),
            metric_mean=("stopped_metric", "mean"),
            metric_sd=("stopped_metric", "std"),
            stopped_at=("stopped_step", "mean"),
            final_loss_mean=("test_loss", "mean"),
            final_metric_mean=("test_metric", "mean"),
            seconds=("seconds", "mean"),
        ).reset_index()
        pairs = [self.paired(name, reference) for name in table["method"]]
        table["difference"] = [pair.mean for pair in pairs]
        table["difference_low"] = [pair.low for pair in pairs]
        table["difference_high"] = [pair.high for pair in pairs]
        return table.sort_values("loss_mean", kind="stable").reset_index(drop=True)

    def lead(self) -> Lead:
        """Return the two methods of the lowest mean test loss, and their paired difference."""
        best, second = (row for _, row in self.frame().head(2).iterrows())
        pair = self.paired(second["method"], best["method"])
        return Lead(best["method"], second["method"], best["loss_mean"], second["loss_mean"], pair)

    def sentence(self) -> str:
        """Say which method has the lowest mean test loss, and whether that is clear."""
        best, second = self.frame().iloc[0], self.frame().iloc[1]
        pair = self.lead().pair
        if f"{best['loss_mean']:.3g}" == f"{second['loss_mean']:.3g}" and not pair.is_clear:
            return (
                f"{best['method']} and {second['method']} tie with the lowest mean test loss, "
                f"{best['loss_mean']:.3g}. Their difference is not larger than the spread over "
                f"{best['seeds']} seeds allows for: {pair.mean:.3g}, 95 % interval {pair.low:.3g} "
                f"to {pair.high:.3g}. {_STOPPED}"
            )
        verdict = "larger than" if pair.is_clear else "not larger than"
        return (
            f"{best['method']} has the lowest mean test loss, {best['loss_mean']:.3g}; "
            f"{second['method']} follows with {second['loss_mean']:.3g}. The difference is "
            f"{verdict} the spread over {best['seeds']} seeds allows for: "
            f"{pair.mean:.3g}, 95 % interval {pair.low:.3g} to {pair.high:.3g}. {_STOPPED}"
        )


def as_comparison(
    task: Task, methods: Sequence[Method], seeds: Sequence[int], outcomes: Sequence[TrialEnd]
) -> MethodComparison:
    """Gather outcomes, in the order of methods and then of seeds."""
    import pandas as pd

    rows = [
        {
            "method": method.label,
            "seed": seed,
            "num_parameters": outcome.num_parameters,
            "lr": outcome.lr,
            "test_loss": outcome.final.loss,
            "test_metric": outcome.final.metric,
            "stopped_step": outcome.stopped.step,
            "stopped_loss": outcome.stopped.loss,
            "stopped_metric": outcome.stopped.metric,
            "delta_norm": outcome.delta_norm,
            "seconds": outcome.seconds,
        }
        for (method, seed), outcome in zip(
            ((method, seed) for method in methods for seed in seeds), outcomes, strict=True
        )
    ]
    return MethodComparison(task, pd.DataFrame(rows))


def compare_methods(
    task: str | Task,
    methods: Sequence[str | Method],
    seeds: Sequence[int] = range(5),
    *,
    steps: int | None = None,
    lr: Mapping[str, float] | None = None,
    device: str = "auto",
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> MethodComparison:
    """Train every method with every seed, and compare what they reach on the test split.

    Parameters
    ----------
    task, steps, device
        As in `fine_tune`.
    methods : sequence of str or Method
        Two or more.
    seeds : sequence of int
        Two or more; a seed gives every method the same examples in the same order.
    lr : mapping of str to float, optional
        Rates by method name or label; `LEARNING_RATES` for those left out.
    n_jobs, progress
        As in `run_trials`.

    Raises
    ------
    ValueError
        Fewer than two methods or seeds, or a method or seed given twice.

    Examples
    --------
    >>> found = compare_methods("planted-blocks", ["localized", "frozen"], range(2), steps=20)
    >>> found.frame()["method"].tolist()
    ['localized r=16 K=4', 'frozen']
    """
    chosen, rates = [resolve_method(method) for method in methods], lr or {}
    labels = [method.label for method in chosen]
    for name, values in (("methods", labels), ("seeds", list(seeds))):
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(f"{name} must be two or more, none twice; they are {values}")
    trials = [
        Trial(task, m, rates.get(m.label, rates.get(m.name)), seed, steps, "test", device)
        for m in chosen
        for seed in seeds
    ]
    outcomes = run_trials(trials, n_jobs=n_jobs, progress=progress)
    return as_comparison(resolve_task(task), chosen, seeds, outcomes)
