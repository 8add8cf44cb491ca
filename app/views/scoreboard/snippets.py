"""Lines of `lolora_core` that make the numbers of the scoreboard again. No streamlit here."""

from __future__ import annotations

from collections.abc import Sequence

from lolora_core.explore.scoreboard import CLAIMED
from lolora_core.targets import catalogue

__all__ = ["cells", "duel", "one_task", "trained", "verdicts", "wins"]

_START = """import pandas as pd

from lolora_core.explore.scoreboard import {names}
{more}
rows = pd.concat(scoreboard({what}), ignore_index=True)"""


def _start(names: Sequence[str], kinds: Sequence[str] | None = None) -> str:
    every = {entry.kind for entry in catalogue()}
    if kinds is None or set(kinds) == every:
        more, what = "", ""
    else:
        more = "from lolora_core.targets import catalogue, load\n"
        what = f"load(e.id) for e in catalogue() if e.kind in {list(kinds)}"
    return _START.format(names=", ".join(sorted(names)), more=more, what=what)


def duel(rival: str) -> str:
    """Return the lines of the paragraph: `found`, localized against a rival, cell by cell.

    Examples
    --------
    >>> print(duel("global"))
    import pandas as pd
    <BLANKLINE>
    from lolora_core.explore.scoreboard import duels, scoreboard
    <BLANKLINE>
    rows = pd.concat(scoreboard(), ignore_index=True)
    found = duels(rows, 'localized', 'global')
    print(found["outcome"].value_counts())
    """
    return (
        f"{_start(['duels', 'scoreboard'])}\nfound = duels(rows, {CLAIMED!r}, {rival!r})\n"
        'print(found["outcome"].value_counts())'
    )


def cells(
    kinds: Sequence[str],
    families: Sequence[str],
    grids: Sequence[int],
    ranks: Sequence[int],
    exact: bool,
    *names: str,
) -> str:
    """Return the lines of the map and the table: `cells`, who wins each.

    Parameters
    ----------
    kinds, families, grids, ranks, exact
        What the page shows.
    *names : str
        What else to import from the module.
    """
    fair = '\ncells = cells[cells["exact"]]' if exact else ""
    shown = f'cells["grid"].isin({list(grids)}) & cells["rank"].isin({list(ranks)})'
    return (
        f"{_start(['scoreboard', 'winners', *names], kinds)}\n"
        f"cells = winners(rows, {list(families)})\n"
        f"cells = cells[{shown}]{fair}"
    )


def wins(
    kinds: Sequence[str],
    families: Sequence[str],
    grids: Sequence[int],
    ranks: Sequence[int],
    exact: bool,
) -> str:
    """Return the lines of the bars: `wins`, by kind of target."""
    return f"{cells(kinds, families, grids, ranks, exact, 'shares')}\nwins = shares(cells)"


def trained() -> str:
    """Return the lines of the table of training: `best`.

    Examples
    --------
    >>> print(trained())
    from lolora_core.training.experiment.findings import best_trained, read_experiment
    <BLANKLINE>
    best = best_trained(read_experiment())
    """
    return (
        "from lolora_core.training.experiment.findings import best_trained, read_experiment\n\n"
        "best = best_trained(read_experiment())"
    )


def verdicts() -> str:
    """Return the lines of the table of verdicts: `table`."""
    return (
        "from lolora_core.training.experiment.findings import read_experiment, verdicts\n\n"
        "table = verdicts(read_experiment())"
    )


def one_task(name: str, task: str, rank: int) -> str:
    """Return the lines of a chart of one task: `found`, of `sensitivity` or `retention`.

    Examples
    --------
    >>> print(one_task("retention", "digits-rotated", 8))
    from lolora_core.training.experiment.findings import read_experiment, retention
    <BLANKLINE>
    found = retention(read_experiment(), 'digits-rotated', 8)
    """
    names = ", ".join(sorted(["read_experiment", name]))
    return (
        f"from lolora_core.training.experiment.findings import {names}\n\n"
        f"found = {name}(read_experiment(), {task!r}, {rank})"
    )
