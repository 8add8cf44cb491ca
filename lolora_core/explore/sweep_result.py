"""What a sweep found, as rows, frames, winners and the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Float64, Int

from lolora_core.blocks.grid import Grid
from lolora_core.common.checks import check_budgets
from lolora_core.explore.compare import TIE
from lolora_core.explore.curves import answers
from lolora_core.families.base import Curve

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep", "SweepRow"]


class SweepRow(NamedTuple):
    """One family on one grid at one budget.

    Attributes
    ----------
    family : str
    grid_rows, grid_cols : int
        K_r and K_c of the grid that was asked for.
    budget : int
        Trainable parameters allowed, P.
    equivalent_rank : float
        P/(m + n).
    num_parameters, unused_parameters : int
        Used, and left over.
    relative_error : float
        ‖W − Ŵ‖_F/‖W‖_F.
    """

    family: str
    grid_rows: int
    grid_cols: int
    budget: int
    equivalent_rank: float
    num_parameters: int
    unused_parameters: int
    relative_error: float


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `sweep` found.

    A family that is not defined on a grid, as `diagonal` where K_r ≠ K_c, is absent from it.
    `global` is the same on every grid and is listed on each.

    Attributes
    ----------
    shape : (int, int)
        m and n.
    grids : tuple of Grid
        The grids that were finished, in the order they were asked for.
    families : tuple of str
    budgets : ndarray of int, shape (q,)
    curves : dict of (str, (int, int)) to Curve
        For each family and (K_r, K_c), what answers any budget.
    errors : dict of (str, (int, int)) to ndarray, shape (q,)
        Relative errors at `budgets`.
    num_parameters : dict of (str, (int, int)) to ndarray of int, shape (q,)
        Parameters used at `budgets`.
    complete : bool
        False where `progress` stopped the sweep before its last grid.
    """

    shape: tuple[int, int]
    grids: tuple[Grid, ...]
    families: tuple[str, ...]
    budgets: Int[np.ndarray, " q"]
    curves: dict[tuple[str, tuple[int, int]], Curve]
    errors: dict[tuple[str, tuple[int, int]], Float64[np.ndarray, " q"]]
    num_parameters: dict[tuple[str, tuple[int, int]], Int[np.ndarray, " q"]]
    complete: bool

    def frame(self) -> pd.DataFrame:
        """Return one row for each grid, family and budget; the columns are those of `SweepRow`.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> sweep(np.eye(4), grids=[2], families=["localized"]).frame()["relative_error"].round(3)
        0    1.000
        1    1.000
        2    0.707
        Name: relative_error, dtype: float64
        """
        import pandas as pd

        q = len(self.budgets)
        keys = list(self.errors)
        used = np.concatenate([self.num_parameters[key] for key in keys])
        budgets = np.tile(self.budgets, len(keys))
        return pd.DataFrame(
            {
                "family": np.repeat([family for family, _ in keys], q),
                "grid_rows": np.repeat([rows for _, (rows, _) in keys], q),
                "grid_cols": np.repeat([cols for _, (_, cols) in keys], q),
                "budget": budgets,
                "equivalent_rank": budgets / sum(self.shape),
                "num_parameters": used,
                "unused_parameters": budgets - used,
                "relative_error": np.concatenate([self.errors[key] for key in keys]),
            }
        )

    def row(self, family: str, grid: tuple[int, int], budget: SupportsIndex) -> SweepRow:
        """Return one family on one grid of the sweep at any budget, swept or not.

        Raises
        ------
        ValueError
            A family and grid that the sweep does not hold.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> sweep(np.eye(4), grids=[2]).row("diagonal", (2, 2), 17).unused_parameters
        1
        """
        if (family, grid) not in self.curves:
            raise ValueError(
                f"the sweep holds no family {family!r} on grid {grid!r}; it holds "
                f"{', '.join(self.families)} on {', '.join(g.label for g in self.grids)}"
            )
        at = check_budgets([budget])
        errors, parameters = answers(self.curves[family, grid], at)
        allowed, used = int(at[0]), int(parameters[0])
        rank = allowed / sum(self.shape)
        return SweepRow(family, *grid, allowed, rank, used, allowed - used, float(errors[0]))

    def best(self, budget: SupportsIndex) -> SweepRow:
        """Return the row with the lowest error at any budget, swept or not.

        Of rows within 1e-5 of it, the one with the fewest parameters, and of these the first.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> best = sweep(np.diag([1.0, 1.0, 0.0, 0.0]), grids=[1, 2, 4]).best(4)
        >>> best.family, best.grid_rows, best.num_parameters
        ('adaptive', 4, 4)
        """
        rows = [self.row(family, grid, budget) for family, grid in self.curves]
        lowest = min(row.relative_error for row in rows)
        tied = [row for row in rows if row.relative_error <= lowest + TIE]
        return min(tied, key=lambda row: row.num_parameters)

    def winners(self) -> pd.DataFrame:
        """Return who wins at each grid and budget.

        Columns: grid_rows, grid_cols, budget, equivalent_rank, winner, runner_up, relative_error
        and margin. `margin` is the error of the next family less that of the winner. Families
        within 1e-5 of the lowest error tie: the first of them by the order of `families` is
        named, and margin is 0 where it is not the lowest. Where a grid has one family,
        `runner_up` is None and margin NaN.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> found = sweep(np.eye(8), grids=[4], budgets=[0, 16]).winners()
        >>> found[["budget", "winner", "runner_up", "margin"]].round(3)
           budget    winner runner_up  margin
        0       0    global  diagonal     0.0
        1      16  diagonal  adaptive     0.0
        """
        import pandas as pd

        return pd.concat([self._winners_on(grid) for grid in self.grids], ignore_index=True)

    def _winners_on(self, grid: Grid) -> pd.DataFrame:
        import pandas as pd

        names = [name for name in self.families if (name, grid.blocks) in self.errors]
        errors = np.stack([self.errors[name, grid.blocks] for name in names])
        every = np.arange(len(self.budgets))
        # argmax finds the first that ties.
        first = (errors <= errors.min(0) + TIE).argmax(0)
        lowest = errors[first, every]
        others = errors.copy()
        others[first, every] = np.inf
        ties = others <= others.min(0) + TIE
        second = ties.argmax(0)
        alone = len(names) == 1
        labels = np.array(names, dtype=object)
        return pd.DataFrame(
            {
                "grid_rows": grid.blocks[0],
                "grid_cols": grid.blocks[1],
                "budget": self.budgets,
                "equivalent_rank": self.budgets / sum(self.shape),
                "winner": labels[first],
                "runner_up": None if alone else labels[second],
                "relative_error": lowest,
                "margin": np.nan if alone else np.maximum(others.min(0) - lowest, 0.0),
            }
        )

    def crossovers(self) -> pd.DataFrame:
        """Return the budgets at which the winner on a grid changes.

        Columns: grid_rows, grid_cols, budget (the first of the new winner), equivalent_rank,
        before and after.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> found = sweep(np.diag([2.0, 0.0, 0.0, 1.9]) + 0.01, grids=[2])
        >>> found.crossovers()[["budget", "before", "after"]]
           budget    before      after
        0       8    global   diagonal
        1      16  diagonal  localized
        """
        found = self.winners().sort_values(["grid_rows", "grid_cols", "budget"], kind="stable")
        found["before"] = found.groupby(["grid_rows", "grid_cols"])["winner"].shift()
        changed = found[found["before"].notna() & (found["before"] != found["winner"])]
        columns = ["grid_rows", "grid_cols", "budget", "equivalent_rank", "before", "winner"]
        return changed[columns].rename(columns={"winner": "after"}).reset_index(drop=True)

    def pareto(self) -> pd.DataFrame:
        """Return the rows that no other beats: at most their parameters and a lower error.

        By rising number of parameters and falling error. Errors are compared to 1e-12; of equal
        rows the first is kept.

        Examples
        --------
        >>> from lolora_core import sweep
        >>> sweep(np.eye(4), grids=[1, 2, 4]).pareto()[["family", "grid_rows", "num_parameters"]]
             family  grid_rows  num_parameters
        0    global          1               0
        1  diagonal          4               8
        """
        rows = self.frame()
        rounded = rows["relative_error"].round(12)
        rows = rows.assign(rounded=rounded).sort_values(
            ["num_parameters", "rounded"], kind="stable"
        )
        lowest_before = rows["rounded"].cummin().shift(fill_value=np.inf)
        front = rows[rows["rounded"] < lowest_before]
        return front.drop(columns="rounded").reset_index(drop=True)
