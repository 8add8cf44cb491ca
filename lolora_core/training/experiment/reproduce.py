"""The experiment: search every learning rate, train with ten seeds, read the test split once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lolora_core.training.experiment.protocol import (
    ABLATIONS,
    CELLS,
    GRID,
    MARGIN,
    REFERENCES,
    SEARCH_SEEDS,
    SEEDS,
    SPENDS,
    Cell,
    chooses_ranks,
    methods_of,
    steps_of,
    tasks_of,
)
from lolora_core.training.experiment.store import Store, machine
from lolora_core.training.experiment.verdicts import is_learnable, judged
from lolora_core.training.loop import fine_tune
from lolora_core.training.methods import Method
from lolora_core.training.optimum import optimum
from lolora_core.training.rates import RATES, LearningRateSearch, next_rate
from lolora_core.training.tasks import resolve_task
from lolora_core.training.trials import Trial, TrialEnd, trials_as_made

__all__ = ["reproduce"]

#: ``(what is being made, runs made) -> None``
Told = Callable[[str, int], None]
_Pair = tuple[Cell, Method]


class _Runs:
    """Makes the runs that are not kept yet."""

    def __init__(self, store: Store, n_jobs: int, told: Told | None) -> None:
        self._store, self._n_jobs, self._told = store, n_jobs, told
        self.made, self.all = 0, dict[Trial, TrialEnd]()

    def ends(self, what: str, trials: Iterable[Trial]) -> dict[Trial, TrialEnd]:
        wanted = list(dict.fromkeys(trials))
        missing = [trial for trial in wanted if self._store.get(trial) is None]
        made = trials_as_made(missing, n_jobs=self._n_jobs)
        for trial, end in zip(missing, made, strict=True):
            self._store.put(trial, end)
            self.made += 1
            if self._told is not None:
                self._told(what, self.made)
        found = {trial: self._store.get(trial) for trial in wanted}
        ends = {trial: end for trial, end in found.items() if end is not None}
        self.all.update(ends)
        return ends

    def searched(
        self, pairs: Sequence[_Pair], seeds: Sequence[int]
    ) -> dict[_Pair, LearningRateSearch]:
        """Search all pairs at once, each further out until its best rate lies inside."""
        tried: dict[_Pair, list[float]] = {pair: [*pair[0].rates] for pair in pairs}
        found: dict[_Pair, LearningRateSearch] = {}
        pending = list(pairs)
        while pending:
            ends = self.ends(
                f"{pending[0][0].task}: learning rates",
                [
                    _trial(*p, rate, s, "validation")
                    for p in pending
                    for rate in tried[p]
                    for s in seeds
                ],
            )
            for pair in pending:
                of = {
                    rate: [ends[_trial(*pair, rate, seed, "validation")] for seed in seeds]
                    for rate in tried[pair]
                }
                found[pair] = LearningRateSearch.of(of)
            beyond = {pair: next_rate(found[pair].losses) for pair in pending}
            pending = [pair for pair in pending if beyond[pair] is not None]
            for pair in pending:
                tried[pair] += [rate for rate in (beyond[pair],) if rate is not None]
        return found


def _trial(cell: Cell, method: Method, rate: float, seed: int, split: Any) -> Trial:
    steps = steps_of(cell, method)
    return Trial(cell.task, method, rate, seed, steps, split, "cpu", cell.evaluations)


def reproduce(
    cells: Sequence[Cell] = (*CELLS, *ABLATIONS),
    *,
    seeds: Sequence[int] = SEEDS,
    search_seeds: Sequence[int] = SEARCH_SEEDS,
    store: Store | None = None,
    n_jobs: int = 2,
    told: Told | None = None,
) -> dict[str, Any]:
    """Choose every learning rate on validation data, then compare on the test split.

    A task on which full fine-tuning is not clearly better than the frozen base is dropped before
    any family is trained on it.

    Parameters
    ----------
    cells : sequence of Cell
    seeds, search_seeds : sequence of int
        Of the comparison and of the search for learning rates.
    store : Store, optional
        Holds the runs that were made; by default in memory.
    n_jobs : int
        Runs at a time, of whatever backend joblib is set to.
    told : callable, optional
        ``(what is being made, runs made so far) -> None`` after each run.

    Returns
    -------
    dict
        Values of JSON: the protocol's settings, the machine, and for each task whether it can be
        learnt, for each cell its methods, for each question its verdict.
    """
    for cell in cells:
        # Whatever a task needs is asked for now, not hours later.
        resolve_task(cell.task)
    runs = _Runs(Store() if store is None else store, n_jobs, told)
    options = {"search_seeds": search_seeds, "seeds": seeds}
    tasks, results = {}, []
    for name, first in tasks_of(cells).items():
        whole = first._replace(methods=REFERENCES)
        references = _trained(runs, [(whole, Method(r)) for r in REFERENCES], **options)
        rows = {pair[1].name: row for pair, row in references.items()}
        task = resolve_task(name)
        learnable, lead = is_learnable(rows["full"], rows["frozen"])
        tasks[name] = {
            "metric": task.metric_name,
            "higher_is_better": task.higher_is_better,
            "forgets": task.can_forget,
            "base": _base(name),
            "full_minus_frozen": lead,
            "learnable": learnable,
            "methods": rows,
        }
        if not learnable:
            continue
        own = [cell for cell in cells if cell.task == name]
        pairs = [(cell, method) for cell in own for method in methods_of(cell)]
        out = {pair: why for pair in pairs if (why := _left_out(*pair))}
        found = _trained(runs, [pair for pair in pairs if pair not in out], **options)
        for rank in dict.fromkeys(cell.rank for cell in own):
            here = [pair for pair in pairs if pair[0].rank == rank]
            results.append(
                {
                    "task": name,
                    "rank": rank,
                    "methods": {p[1].name: found[p] for p in here if p in found},
                    "left_out": {p[1].name: out[p] for p in here if p in out},
                }
            )
    told_all = {"tasks": tasks, "results": results}
    return {
        "seeds": list(seeds),
        "search_seeds": list(search_seeds),
        "rates": list(RATES),
        "grid": GRID,
        "margin": MARGIN,
        "machine": machine(),
        "runs": len(runs.all),
        # Of one core each; kept runs count as well.
        "core_seconds": round(sum(end.took for end in runs.all.values())),
        **told_all,
        **judged(told_all),
    }


def _trained(
    runs: _Runs,
    pairs: Sequence[_Pair],
    *,
    search_seeds: Sequence[int],
    seeds: Sequence[int],
) -> dict[_Pair, dict[str, Any]]:
    """Search and compare some pairs; return a row for each."""
    idle = {pair for pair in pairs if _trains_nothing(*pair)}
    found = runs.searched([p for p in pairs if p not in idle], search_seeds)
    best = {pair: found[pair].best if pair in found else pair[0].rates[0] for pair in pairs}
    compared = {pair: [_trial(*pair, best[pair], seed, "test") for seed in seeds] for pair in pairs}
    what = f"{pairs[0][0].task}: {len(seeds)} seeds" if pairs else ""
    ends = runs.ends(what, [trial for trials in compared.values() for trial in trials])
    return {
        pair: _row(pair, found.get(pair), [ends[trial] for trial in trials], seeds)
        for pair, trials in compared.items()
    }


def _trains_nothing(cell: Cell, method: Method) -> bool:
    """Return whether there is no learning rate to search: no head, and a frozen base."""
    if method.kind.has_budget:
        return False
    return fine_tune(cell.task, method, steps=1, lr=1e-3, device="cpu").num_parameters == 0


def _base(task: str) -> dict[str, float | None]:
    """Return what the base reads before any step, on the new data and on the old."""
    run = fine_tune(task, "frozen", steps=1, lr=1e-3, device="cpu")
    source = run.task.known
    old = None if source is None or not run.task.can_forget else run.evaluate(source(0))[1]
    return {"metric": run.evaluate("test")[1], "retained": old}


def _left_out(cell: Cell, method: Method) -> str:
    """Return why a method has no place in a cell; empty where it has."""
    if chooses_ranks(method):
        # Rank by rank, as long as the budget lasts.
        return ""
    try:
        run = fine_tune(cell.task, method, steps=1, lr=1e-3, device="cpu")
    except ValueError as error:
        return str(error)
    budget = method.rank * sum(sum(weight.shape) for weight in run.problem.weights().values())
    heads = [run.model.get_submodule(name) for name in run.problem.head]
    spent = run.num_parameters - sum(p.numel() for head in heads for p in head.parameters())
    if spent < SPENDS * budget:
        return f"its largest size has {spent:,} of the budget's {budget:,} parameters"
    return ""


def _row(
    pair: _Pair, search: LearningRateSearch | None, ends: Sequence[TrialEnd], seeds: Sequence[int]
) -> dict[str, Any]:
    cell, method = pair
    stopped, final = [end.stopped for end in ends], [end.final for end in ends]
    forgets = stopped[0].retained is not None
    points = list(zip(*(end.curve for end in ends), strict=True))
    return {
        "num_parameters": ends[0].num_parameters,
        "steps": steps_of(cell, method),
        "lr": ends[0].lr if search else None,
        "lr_at_the_edge": bool(search and search.at_the_edge),
        "validation_losses": {f"{r:g}": _number(v) for r, v in search.losses.items()}
        if search
        else {},
        "loss_mean": _mean([r.loss for r in stopped]),
        "loss_sd": _sd([r.loss for r in stopped]),
        "metric_mean": _mean([r.metric for r in stopped]),
        "metric_sd": _sd([r.metric for r in stopped]),
        "stopped_at": _mean([r.step for r in stopped]),
        "final_loss_mean": _mean([r.loss for r in final]),
        "final_metric_mean": _mean([r.metric for r in final]),
        "retained_mean": _mean([r.retained for r in stopped]),
        "final_retained_mean": _mean([r.retained for r in final]),
        "test_losses": [_number(r.loss) for r in stopped],
        "final_losses": [_number(r.loss) for r in final],
        "retained": [r.retained for r in stopped] if forgets else None,
        "curve": [[at[0].step, *(_mean([p[k] for p in at]) for k in (1, 2, 3))] for at in points],
        "seconds": _mean([end.seconds for end in ends]),
        "optimum": _optimum(cell.task, method, seeds),
    }


def _number(value: float) -> float | None:
    """Return a number as JSON can hold it, with eight digits."""
    return float(f"{value:.8g}") if math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _number(sum(known) / len(known)) if len(known) == len(values) else None


def _sd(values: Sequence[float]) -> float | None:
    mean = sum(values) / len(values)
    return _number((sum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5)


def _optimum(task: str, method: Method, seeds: Sequence[int]) -> float | None:
    """Return the mean over seeds, as each seed plants a ΔW of its own."""
    return _mean([optimum(task, method, seed) for seed in seeds])
