"""What the committed experiment found: who trains best in each cell, and whether that is clear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lolora_core.families import FAMILIES
from lolora_core.training.compare import paired_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_trained", "read_experiment", "trained_duels"]

_FILE = Path(__file__).resolve().parents[2] / "docs" / "does-it-train-better.json"


def read_experiment(path: Path = _FILE) -> dict[str, Any]:
    """Return what `lolora_core.training.reproduce.reproduce` wrote; by default the committed file.

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


def best_trained(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return which family has the lowest mean test loss in each cell, and by how much.

    Only families compete: what trains the whole matrix, or nothing, has another budget.

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
    >>> best_trained(read_experiment())[["task", "rank", "winner", "clear"]].head(2)
                 task  rank    winner  clear
    0  digits-rotated     8  adaptive  False
    1  digits-rotated    16  adaptive  False
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


def trained_duels(found: Mapping[str, Any], first: str, second: str) -> pd.DataFrame:
    """Compare the test losses of two families in each cell, paired by seed.

    Returns
    -------
    DataFrame
        task, rank; difference, low, high of first − second; outcome: "lower" where the interval
        lies below 0, "higher" where it lies above, else "not clear".

    Examples
    --------
    >>> duels = trained_duels(read_experiment(), "localized", "global")
    >>> duels["outcome"].value_counts().to_dict()
    {'not clear': 6, 'lower': 5, 'higher': 4}
    """
    import pandas as pd

    rows = []
    for cell in found["results"]:
        mine, other = (cell["methods"][name]["test_losses"] for name in (first, second))
        pair = paired_interval(mine, other)
        outcome = "lower" if pair.high < 0 else "higher" if pair.low > 0 else "not clear"
        rows.append(
            {
                "task": cell["task"],
                "rank": cell["rank"],
                "difference": pair.mean,
                "low": pair.low,
                "high": pair.high,
                "outcome": outcome,
            }
        )
    return pd.DataFrame(rows)
