"""Who has the lowest error at matched budgets: every family on many targets, grids and budgets.

A budget is matched where every family that is compared can spend it. On K×K blocks `localized`
buys one rank for every block at a time, so it leaves parameters over at an equivalent rank that K
does not divide (`lolora_core.explore.compare.matched_step`), and `diagonal` finds nothing left to
buy once its blocks have full rank.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.explore.compare import TIE
from lolora_core.explore.sweep import sweep
from lolora_core.families import REFERENCE
from lolora_core.families.diagonal import Diagonal
from lolora_core.families.localized import Localized
from lolora_core.targets import Target, catalogue, load

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLAIMED",
    "GRIDS",
    "RANKS",
    "RIVALS",
    "at_best_grid",
    "duels",
    "scoreboard",
    "shares",
    "winners",
]

#: The claim of arXiv 2506.00236: the first has a consistently lower error than the others.
CLAIMED, RIVALS = Localized.name, (REFERENCE.name, Diagonal.name)
#: Blocks a side.
GRIDS: tuple[int, ...] = (2, 4, 8, 16, 32)
#: Equivalent ranks of the budgets.
RANKS: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)

_CELL = ["target", "kind", "grid", "rank", "budget"]
#: A sweep may return an error that is truly 0 as up to this.
_FLOOR = 1e-6


def scoreboard(
    targets: Iterable[Target] | None = None,
    *,
    grids: Sequence[int] = GRIDS,
    ranks: Sequence[int] = RANKS,
    families: Sequence[str] | None = None,
) -> Generator[pd.DataFrame, None, None]:
    """Yield one target after the other: the error of every family on each grid at each budget.

    All follows from the singular values of the blocks, see `sweep`. Left out are grids that do
    not fit the target, and budgets of more than half of its entries.

    Parameters
    ----------
    targets : iterable of Target, optional
        Of one channel each. By default those of the catalogue, colour images in grey; each is
        loaded when its turn comes.
    grids : sequence of int
        K for K×K blocks.
    ranks : sequence of int
        Equivalent ranks r, for budgets of r·(m + n) parameters.
    families : sequence of str, optional
        By default every family that is read from singular values.

    Yields
    ------
    DataFrame
        One row for each grid, family and budget: target, kind, grid (K), rank, budget, family,
        num_parameters, unused_parameters, relative_error, and spent: whether what is left over
        would buy no further rank in any block, or none is needed because the error is 0.

    Raises
    ------
    ValueError
        A target of several channels; a grid or family that `sweep` refuses.

    Examples
    --------
    >>> rows = next(scoreboard([load("gaussian-noise", size=32)], grids=[2], ranks=[2, 3]))
    >>> rows[["rank", "family", "unused_parameters", "spent"]].tail(4)
       rank     family  unused_parameters  spent
    4     2  localized                  0   True
    5     3  localized                 64  False
    6     2   adaptive                  0   True
    7     3   adaptive                  0   True
    """
    every = (load(entry.id) for entry in catalogue()) if targets is None else targets
    for target in every:
        if len(target.channels) > 1:
            raise ValueError(f"targets must have one channel each; {target.id} has 3, load it grey")
        (m, n), entries = target.shape, target.array.size
        at = [rank for rank in ranks if 2 * budget_for_rank((m, n), rank) <= entries]
        cuts = [Grid.regular((m, n), k) for k in grids if k <= min(m, n)]
        if at and cuts:
            yield _rows(target, cuts, at, families)


def _rows(
    target: Target, cuts: Sequence[Grid], ranks: Sequence[int], families: Sequence[str] | None
) -> pd.DataFrame:
    budgets = [budget_for_rank(target.shape, rank) for rank in ranks]
    rows = sweep(target.channels[0], cuts, families, budgets).frame()
    least = rows["grid_rows"].map({cut.blocks[0]: int(cut.costs.min()) for cut in cuts})
    # Which of the families needs no more is told by the error alone.
    spent = (rows["unused_parameters"] < least) | (rows["relative_error"] <= TIE)
    rows = rows.assign(
        target=target.id,
        kind=target.kind,
        grid=rows["grid_rows"],
        rank=rows["budget"] // sum(target.shape),
        spent=spent,
    )
    figures = ["num_parameters", "unused_parameters", "relative_error", "spent"]
    return rows[[*_CELL, "family", *figures]]


def winners(rows: pd.DataFrame, families: Sequence[str] | None = None) -> pd.DataFrame:
    """Return who has the lowest error in each cell: on one target, one grid, at one budget.

    Parameters
    ----------
    rows : DataFrame
        Frames of `scoreboard`, joined.
    families : sequence of str, optional
        Who competes; by default all that the rows hold.

    Returns
    -------
    DataFrame
        target, kind, grid, rank, budget; exact: whether every competitor spends the budget;
        winner, of those within 1e-5 of the lowest error the first in the order of the registry;
        outcome: the winner, or "tie" where there are several; runner_up; relative_error of the
        winner; ahead: the error of the runner-up over that of the winner; over_global: the error
        of the winner over that of `global`; and error_NAME for each competitor. Where one competes
        alone, runner_up is None and ahead NaN; where rows hold no `global`, over_global is NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.concat(scoreboard([load("low-rank", size=64)], grids=[4], ranks=[4, 8]))
    >>> winners(rows, ["global", "localized"])[["rank", "exact", "winner", "runner_up"]]
       rank  exact  winner  runner_up
    0     4   True  global  localized
    1     8   True  global  localized
    """
    import pandas as pd

    names = [n for n in rows["family"].unique() if families is None or n in families]
    if not names:
        raise ValueError(f"families must name one of the rows' at least; it is {families!r}")
    cells = rows[_CELL].drop_duplicates(ignore_index=True)
    errors = _wide(rows, cells, "relative_error", [*names, REFERENCE.name])
    reference, errors = errors[:, -1], errors[:, :-1]
    spent = _wide(rows, cells, "spent", names)
    every, alone = np.arange(len(cells)), len(names) == 1
    # A family that is not defined on a grid does not compete there; argmax finds the first tie.
    open_ = np.where(np.isnan(errors), np.inf, errors)
    lowest = open_.min(1)
    first = (open_ <= lowest[:, None] + TIE).argmax(1)
    others = open_.copy()
    others[every, first] = np.inf
    second = others.argmin(1)
    mine, next_ = open_[every, first], others[every, second]
    labels = np.array(names, dtype=object)
    return cells.assign(
        exact=((spent == 1) | np.isnan(errors)).all(1),
        winner=labels[first],
        outcome=np.where(next_ <= mine + TIE, "tie", labels[first]),
        runner_up=None if alone else labels[second],
        relative_error=mine,
        ahead=np.nan if alone else _ratio(next_, mine),
        over_global=_ratio(mine, reference),
        **pd.DataFrame(errors, columns=[f"error_{name}" for name in names]),
    )


def _wide(rows: pd.DataFrame, cells: pd.DataFrame, column: str, names: Sequence[str]) -> np.ndarray:
    import pandas as pd

    wide = rows.pivot(index=_CELL, columns="family", values=column)
    found = wide.reindex(index=pd.MultiIndex.from_frame(cells), columns=list(names))
    return found.to_numpy(dtype=np.float64)


def _ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Divide errors, of which those that are 0 but for rounding count as 0; a tie is 1."""
    zero = second < _FLOOR
    ratio = np.where(zero, np.inf, first / np.where(zero, 1.0, second))
    ratio = np.where(first < _FLOOR, 0.0, ratio)
    return np.where(np.abs(first - second) <= TIE, 1.0, ratio)


def duels(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Compare two families wherever both spend the whole budget.

    Parameters
    ----------
    rows : DataFrame
        Frames of `scoreboard`, joined.
    first, second : str
        Families.

    Returns
    -------
    DataFrame
        target, kind, grid, rank, budget; the error of each under its name; ratio, that of the
        first over that of the second; outcome: "lower" where the first has the lower error,
        "higher", or "tie" within 1e-5.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.concat(scoreboard([load("low-rank", size=64)], grids=[4], ranks=[2, 4]))
    >>> duels(rows, "localized", "global")[["rank", "outcome"]]
       rank outcome
    0     4  higher
    """
    found = winners(rows, [first, second])
    found = found[found["exact"]].reset_index(drop=True)
    mine, other = (found[f"error_{name}"].to_numpy() for name in (first, second))
    near = np.abs(mine - other) <= TIE
    outcome = np.select([near, mine < other], ["tie", "lower"], "higher")
    return found[_CELL].assign(
        **{first: mine, second: other}, ratio=_ratio(mine, other), outcome=outcome
    )


def at_best_grid(found: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return of some duels those on the grid that suits `family` best, for each target and budget.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.concat(scoreboard([load("camera")], grids=[2, 4, 8], ranks=[32]))
    >>> at_best_grid(duels(rows, "localized", "global"), "localized")["grid"].tolist()
    [2]
    """
    best = found.groupby(["target", "rank"], sort=False)[family].idxmin()
    return found.loc[best].reset_index(drop=True)


def shares(found: pd.DataFrame) -> pd.DataFrame:
    """Count outcomes by kind of target.

    Parameters
    ----------
    found : DataFrame
        Of `winners` or `duels`.

    Returns
    -------
    DataFrame
        kind, outcome, cells, share (of the cells of its kind); kinds and outcomes in the order in
        which they come.

    Examples
    --------
    >>> import pandas as pd
    >>> found = pd.DataFrame({"kind": ["image"] * 4, "outcome": ["lower"] * 3 + ["tie"]})
    >>> shares(found)
        kind outcome  cells  share
    0  image   lower      3   0.75
    1  image     tie      1   0.25
    """
    counted = found.groupby(["kind", "outcome"], sort=False).size().reset_index(name="cells")
    return counted.assign(
        share=counted["cells"] / counted.groupby("kind")["cells"].transform("sum")
    )
