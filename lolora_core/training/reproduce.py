"""The experiment: where localized trains better than global and diagonal, and by how much.

``lolora reproduce`` in the repository root writes docs/does-it-train-better.json and .md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from lolora_core.families import FAMILIES
from lolora_core.families.diagonal import Diagonal
from lolora_core.families.global_ import Global
from lolora_core.families.localized import Localized
from lolora_core.training.compare import as_comparison
from lolora_core.training.methods import Method
from lolora_core.training.optimum import optimum
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import Task
from lolora_core.training.trials import LearningRateSearch, Progress, Trial, run_trials

__all__ = ["EXPERIMENT", "Cell", "reproduce", "table"]

#: What the question is about, and what it is compared with.
ASKED, RIVALS = Localized.name, (Global.name, Diagonal.name)
REFERENCES = ("full", "frozen")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
SEARCH_SEEDS = (100, 101)
SEEDS = (0, 1, 2, 3, 4)
GRID = 4


class Cell(NamedTuple):
    """One task at one budget."""

    task: str
    rank: int
    steps: int = 400


EXPERIMENT = (
    *(
        Cell(task, rank)
        for task in ("digits-rotated", "digits-inverted", "digits-noisy", "digits-shifted")
        for rank in (8, 16)
    ),
    Cell("digits-transformer", 8, steps=150),
    *(
        Cell(task, rank)
        for task in ("planted-blocks", "planted-global", "image")
        for rank in (8, 16)
    ),
)


def reproduce(
    cells: Sequence[Cell] = EXPERIMENT,
    *,
    seeds: Sequence[int] = SEEDS,
    rates: Sequence[float] = RATES,
    search_seeds: Sequence[int] = SEARCH_SEEDS,
    n_jobs: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Choose every learning rate on validation data, then compare on the test split.

    Parameters
    ----------
    cells : sequence of Cell
    seeds, search_seeds : sequence of int
        Of the comparison and of the search for learning rates.
    rates : sequence of float
        The grid of that search.
    n_jobs, progress
        As in `run_trials`; the progress counts the runs of both parts.

    Returns
    -------
    dict
        Values of JSON: settings, seconds, and for each cell its methods and paired differences.
    """
    began = time.perf_counter()
    pairs = [(cell, method) for cell in cells for method in _methods(cell)]

    def searched(cell: Cell, method: Method) -> list[Trial]:
        return [
            Trial(cell.task, method, rate, seed, cell.steps, "validation", "cpu")
            for rate in rates
            for seed in search_seeds
        ]

    def compared_with(cell: Cell, method: Method) -> list[Trial]:
        best = found[cell, method].best
        return [Trial(cell.task, method, best, s, cell.steps, "test", "cpu") for s in seeds]

    search = list(dict.fromkeys(trial for pair in pairs for trial in searched(*pair)))
    share = len(seeds) / (len(rates) * len(search_seeds))
    total = round(len(search) * (1 + share))

    def count(before: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(before + done, total)

    outcomes = dict(zip(search, run_trials(search, n_jobs=n_jobs, progress=count(0)), strict=True))
    found = {
        pair: LearningRateSearch.of(rates, [outcomes[trial] for trial in searched(*pair)])
        for pair in pairs
    }
    final = list(dict.fromkeys(trial for pair in pairs for trial in compared_with(*pair)))
    ended = dict(
        zip(final, run_trials(final, n_jobs=n_jobs, progress=count(len(search))), strict=True)
    )
    results = []
    for cell in cells:
        methods = _methods(cell)
        own = [ended[trial] for method in methods for trial in compared_with(cell, method)]
        compared = as_comparison(resolve_task(cell.task), methods, seeds, own)
        frame = compared.frame()
        localized = next(m.label for m in methods if m.name == ASKED)
        results.append(
            {
                **cell._asdict(),
                "metric": compared.task.metric_name,
                "methods": {
                    method.name: {
                        **frame[frame["method"] == method.label].iloc[0].to_dict(),
                        "lr_at_the_edge": found[cell, method].at_the_edge,
                        "validation_losses": found[cell, method].losses,
                        "optimum": _optimum(compared.task, method, seeds),
                        "test_losses": compared.runs.loc[
                            compared.runs["method"] == method.label, "test_loss"
                        ].tolist(),
                    }
                    for method in methods
                },
                "localized_minus": {
                    method.name: compared.paired(localized, method.label)._asdict()
                    for method in methods
                    if method.name != ASKED
                },
            }
        )
    return {
        "seeds": list(seeds),
        "search_seeds": list(search_seeds),
        "rates": list(rates),
        "grid": GRID,
        "seconds": time.perf_counter() - began,
        "results": results,
    }


def _methods(cell: Cell) -> list[Method]:
    families = [Method(name, rank=cell.rank, grid=GRID) for name in FAMILIES]
    # Without a rank of their own, so that they are trained once for all budgets of a task.
    return [*families, *(Method(name) for name in REFERENCES)]


def _optimum(task: Task, method: Method, seeds: Sequence[int]) -> float | None:
    """Return the mean over seeds, as each seed plants a ΔW of its own."""
    each = [optimum(task, method, seed) for seed in seeds]
    return None if None in each else sum(filter(None, each)) / len(each)


def _verdict(pair: dict[str, float]) -> str:
    low, high = pair["low"], pair["high"]
    word = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    return f"{word}: {pair['mean']:+.3g} [{low:+.3g}, {high:+.3g}]"


def table(found: dict[str, Any]) -> str:
    """Return the results as Markdown: what was done, who won where, and every figure."""
    results, count = found["results"], len(found["results"])
    lines = [
        "# Does it train better?",
        "",
        "Written by `lolora reproduce`; the same figures with the loss of every seed lie in "
        "[does-it-train-better.json](does-it-train-better.json).",
        "",
        f"At one equivalent rank r every family has the same number of trainable parameters, on a "
        f"{found['grid']}×{found['grid']} grid; the head, where there is one, is trained besides. "
        f"The peak learning rate of each method is the one of {_numbers(found['rates'])} with the "
        f"least mean validation loss over {len(found['search_seeds'])} seeds, which are not those "
        f"of the comparison. Then {len(found['seeds'])} seeds draw the training examples, their "
        "order and the first factors, the same for every method; the test split is read once, "
        "at the end. Differences are paired by seed; brackets hold the 95 % t-interval. "
        f"There are {2 * count} such intervals below, so about one in twenty would leave out 0 by "
        "chance alone.",
        "",
        *(line for note in found.get("notes", ()) for line in (note, "")),
        "## The answer",
        "",
        *(_answer(results, other) for other in RIVALS),
        f"- Lowest mean test loss of the five families: {_winners(results)}.",
        "",
        "A rate chosen from so few seeds can be off: where a family does worse with the greater "
        "r, or a star stands in the last table, look at its learning rate first.",
        "",
        "## localized − other, mean test loss",
        "",
        "Negative: localized is better.",
        "",
        "| task | r | global | diagonal |",
        "| --- | ---: | --- | --- |",
    ]
    for cell in results:
        minus = cell["localized_minus"]
        words = " | ".join(_verdict(minus[other]) for other in RIVALS)
        lines.append(f"| {cell['task']} | {cell['rank']} | {words} |")
    lines += [
        "",
        "## Every method",
        "",
        "Test loss and metric as mean ± standard deviation over seeds. The optimum is the mean "
        "relative error of the best ΔW by SVD, where that is known. A star marks a learning rate "
        "at the edge of the grid: a better one may lie beyond.",
        "",
        "| task | r | method | parameters | learning rate | test loss | metric | optimum |",
        "| --- | ---: | --- | ---: | ---: | --- | --- | ---: |",
    ]
    for cell in results:
        for name, row in cell["methods"].items():
            star = "*" if row["lr_at_the_edge"] else ""
            optimum = "" if row["optimum"] is None else f"{row['optimum']:.3g}"
            lines.append(
                f"| {cell['task']} | {cell['rank']} | {name} | {int(row['num_parameters']):,} | "
                f"{row['lr']:g}{star} | {row['loss_mean']:.3g} ± {row['loss_sd']:.2g} | "
                f"{cell['metric']} {row['metric_mean']:.3g} ± {row['metric_sd']:.2g} | {optimum} |"
            )
    return "\n".join(lines) + "\n"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _answer(results: Sequence[dict[str, Any]], other: str) -> str:
    pairs = {f"{c['task']} (r = {c['rank']})": c["localized_minus"][other] for c in results}
    better = [name for name, pair in pairs.items() if pair["high"] < 0]
    worse = [name for name, pair in pairs.items() if pair["low"] > 0]
    unclear = [name for name in pairs if name not in (*better, *worse)]
    return (
        f"- Against {other}: localized is clearly better in {len(better)} of {len(pairs)}"
        f"{_listed(better)}; clearly worse in {len(worse)}{_listed(worse)}; "
        f"no clear difference in {len(unclear)}{_listed(unclear)}."
    )


def _winners(results: Sequence[dict[str, Any]]) -> str:
    best = [min(FAMILIES, key=lambda name: cell["methods"][name]["loss_mean"]) for cell in results]
    return ", ".join(f"{name} in {best.count(name)}" for name in FAMILIES)


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
