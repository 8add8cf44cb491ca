"""What the committed experiment found, as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lolora_core.families import FAMILIES
from lolora_core.training.compare import paired_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "best_trained",
    "compared",
    "methods_table",
    "read_experiment",
    "retention",
    "sensitivity",
    "verdicts",
]

_FILE = Path(__file__).resolve().parents[3] / "docs" / "does-it-train-better.json"


def read_experiment(path: Path = _FILE) -> dict[str, Any]:
    """Return what `reproduce` wrote; by default the committed file.

    Raises
    ------
    FileNotFoundError
        No such file: the committed one lies in the repository, not in the installed package.

    Examples
    --------
    >>> read_experiment()["grid"]
    4
    """
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def verdicts(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a question: claim, stated, verdict, counts of cells, mean, low, high, tasks.

    The mean is that of first − second over cells: of the test loss in units of the frozen base's
    loss, or of the accuracy left on the source domain (column ``value``); with its 95 %
    t-interval over the seeds.

    Examples
    --------
    >>> verdicts(read_experiment())["question"].tolist()[:2]
    ['localized-global', 'localized-diagonal']
    """
    import pandas as pd

    return pd.DataFrame(found["verdicts"])


def compared(found: Mapping[str, Any], question: str) -> pd.DataFrame:
    """Return the comparisons of one question, cell by cell.

    Returns
    -------
    DataFrame
        task, rank, first, second; mean, low, high of first − second (see `verdicts`); effect:
        Cohen's d of paired values; p_holm: corrected over all comparisons; outcome: better, worse,
        even or unclear, of the first.

    Raises
    ------
    ValueError
        A question that the experiment did not ask.

    Examples
    --------
    >>> set(compared(read_experiment(), "localized-global")["second"])
    {'global'}
    """
    import pandas as pd

    rows = [row for row in found["comparisons"] if row["question"] == question]
    if not rows:
        asked = ", ".join(dict.fromkeys(row["question"] for row in found["comparisons"]))
        raise ValueError(f"question must be one of {asked}; it is {question!r}")
    names = ["task", "rank", "first", "second", "mean", "low", "high"]
    return pd.DataFrame(rows)[[*names, "effect", "p_holm", "outcome"]]


def best_trained(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return which family has the lowest mean test loss in each cell, and by how much.

    Only families compete: what trains the whole matrix, or nothing, has another budget. The loss
    is the one where early stopping stopped.

    Parameters
    ----------
    found : mapping
        Of `read_experiment` or `reproduce`.

    Returns
    -------
    DataFrame
        task, rank, num_parameters, winner, loss, runner_up, runner_up_loss; difference: the mean
        over seeds of runner-up less winner, with its 95 % t-interval, low and high; clear: whether
        that leaves out 0.

    Examples
    --------
    >>> best = best_trained(read_experiment())
    >>> best["task"].iloc[0], sorted(set(best["rank"]))
    ('digits-rotated', [4, 8, 16, 32])
    """
    import pandas as pd

    rows = []
    for cell in found["results"]:
        methods = {name: row for name, row in cell["methods"].items() if name in FAMILIES}
        # sorted keeps the order of the registry where two are equal.
        best, second, *_ = sorted(methods, key=lambda name: methods[name]["loss_mean"])
        pair = paired_interval(methods[second]["test_losses"], methods[best]["test_losses"])
        rows.append(
            {
                "task": cell["task"],
                "rank": cell["rank"],
                "num_parameters": methods[best]["num_parameters"],
                "winner": best,
                "loss": methods[best]["loss_mean"],
                "runner_up": second,
                "runner_up_loss": methods[second]["loss_mean"],
                "difference": pair.mean,
                "low": pair.low,
                "high": pair.high,
                "clear": pair.is_clear,
            }
        )
    return pd.DataFrame(rows)


def _methods(found: Mapping[str, Any], task: str, rank: int) -> dict[str, Any]:
    """Return the rows of a cell with those of full and frozen; of a dropped task only these."""
    if task not in found["tasks"]:
        return {}
    cells = [c for c in found["results"] if (c["task"], c["rank"]) == (task, rank)]
    own = cells[0]["methods"] if cells else {}
    return {**own, **found["tasks"][task]["methods"]}


def methods_table(found: Mapping[str, Any], task: str, rank: int) -> pd.DataFrame:
    """Return a row a method that was trained on a task at a budget, lowest mean test loss first.

    Returns
    -------
    DataFrame
        method, num_parameters, lr, loss (where early stopping stopped), loss_sd, metric,
        final_loss, stopped_at, retained (accuracy on the source domain; NaN where there is none).
        Empty where the experiment has no such task.

    Examples
    --------
    >>> table = methods_table(read_experiment(), "digits-rotated", 8)
    >>> set(table["method"]) > {"full", "frozen", "localized", "global"}
    True
    """
    import pandas as pd

    columns = {
        "num_parameters": "num_parameters",
        "lr": "lr",
        "loss_mean": "loss",
        "loss_sd": "loss_sd",
        "metric_mean": "metric",
        "final_loss_mean": "final_loss",
        "stopped_at": "stopped_at",
        "retained_mean": "retained",
    }
    rows = [
        {"method": name, **{to: row[key] for key, to in columns.items()}}
        for name, row in _methods(found, task, rank).items()
    ]
    table = pd.DataFrame(rows, columns=["method", *columns.values()])
    return table.sort_values("loss", kind="stable").reset_index(drop=True)


def sensitivity(found: Mapping[str, Any], task: str, rank: int) -> pd.DataFrame:
    """Return the search for every learning rate: method, lr, loss (mean on validation data).

    A loss is NaN where a run diverged.

    Examples
    --------
    >>> curve = sensitivity(read_experiment(), "digits-rotated", 8)
    >>> curve[curve["method"] == "localized"]["lr"].nunique() >= 5
    True
    """
    import pandas as pd

    rows = [
        {"method": name, "lr": float(rate), "loss": loss}
        for name, row in _methods(found, task, rank).items()
        for rate, loss in row["validation_losses"].items()
    ]
    return pd.DataFrame(rows, columns=["method", "lr", "loss"]).astype({"loss": float})


def retention(found: Mapping[str, Any], task: str, rank: int) -> pd.DataFrame:
    """Return what was learnt and what was kept, over steps: method, step, metric, retained.

    The metric is that of validation data, retained the one on the source domain, both means over
    the seeds. Empty where the task has no source domain.

    Examples
    --------
    >>> kept = retention(read_experiment(), "digits-rotated", 8)
    >>> (kept[kept["step"] == 0]["retained"] > 0.96).all().item()
    True
    """
    import pandas as pd

    rows = [
        {"method": name, "step": step, "metric": metric, "retained": kept}
        for name, row in _methods(found, task, rank).items()
        for step, _, metric, kept in row["curve"]
        if kept is not None
    ]
    return pd.DataFrame(rows, columns=["method", "step", "metric", "retained"])
