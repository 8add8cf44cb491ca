"""Every grid, every family and every budget at once, from singular values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Float64, Int

from lolora_core.curves import Curve, PooledCurve, answers, curve
from lolora_core.families import FAMILIES, Family, resolve_family
from lolora_core.gram import gram_spectra, normalized
from lolora_core.grid import Grid, GridLike, all_budgets
from lolora_core.spectra import Spectra
from lolora_core.validation import Matrix, as_matrix, check_budget

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GRIDS", "Sweep", "SweepRow", "pool", "sweep", "sweep_spectra"]

#: The grids of a sweep unless others are named.
GRIDS: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

#: Two errors closer than this are a tie: the contract promises errors to 1e-5.
TIE = 1e-5

#: ``progress(done, total)``, grids; returning False stops.
Progress = Callable[[int, int], object]


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
        >>> sweep(np.eye(4), grids=[2]).row("diagonal", (2, 2), 17).unused_parameters
        1
        """
        if (family, grid) not in self.curves:
            raise ValueError(
                f"the sweep holds no family {family!r} on grid {grid!r}; it holds "
                f"{', '.join(self.families)} on {', '.join(g.label for g in self.grids)}"
            )
        at = _check_budgets([budget])
        errors, parameters = answers(self.curves[family, grid], at)
        allowed, used = int(at[0]), int(parameters[0])
        rank = allowed / sum(self.shape)
        return SweepRow(family, *grid, allowed, rank, used, allowed - used, float(errors[0]))

    def best(self, budget: SupportsIndex) -> SweepRow:
        """Return the row with the lowest error at any budget, swept or not.

        Of rows within 1e-5 of it, the one with the fewest parameters, and of these the first.

        Examples
        --------
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


def _check_families(families: Sequence[str] | None) -> tuple[Family, ...]:
    if families is None:
        return tuple(f for f in FAMILIES.values() if getattr(f, "from_spectra", True))
    chosen = tuple(resolve_family(name) for name in families)
    if not chosen:
        raise ValueError("families must name at least one family; it is empty")
    for family in chosen:
        if not getattr(family, "from_spectra", True):
            raise ValueError(
                f"families may not hold {family.name!r}: it is fitted to the matrix, and a sweep "
                f"reads singular values only. Use decompose(W, grid).errors({family.name!r}, "
                "budgets)"
            )
    return chosen


def _check_grids(
    grids: Iterable[GridLike], shape: tuple[int, int], families: tuple[Family, ...]
) -> tuple[Grid, ...]:
    found: dict[tuple[int, int], Grid] = {}
    for asked in grids:
        grid = Grid.resolve(asked, shape)
        if found.setdefault(grid.blocks, grid) != grid:
            raise ValueError(
                f"grids holds two grids of {grid.label} blocks with different edges; "
                "sweep them one at a time"
            )
    if not found:
        raise ValueError("grids must hold at least one grid; it is empty")
    for grid in found.values():
        if not any(family.fits(grid) for family in families):
            raise ValueError(
                f"none of the families {', '.join(f.name for f in families)} is defined on the "
                f"grid {grid.label}"
            )
    return tuple(found.values())


def _check_budgets(budgets: Iterable[SupportsIndex]) -> Int[np.ndarray, " q"]:
    values = [check_budget(budget) for budget in budgets]
    if not values:
        raise ValueError("budgets must hold at least one budget; it is empty")
    largest = np.iinfo(np.int64).max
    if max(values) > largest:
        raise ValueError(f"budget must be at most {largest}; it is {max(values)}")
    return np.array(values, dtype=np.int64)


def sweep(
    target: Matrix,
    grids: Iterable[GridLike] = GRIDS,
    families: Sequence[str] | None = None,
    budgets: Iterable[SupportsIndex] | None = None,
    *,
    progress: Progress | None = None,
) -> Sweep:
    """Return the relative error of every family on every grid at every budget.

    The singular values of all blocks of a grid answer every budget (Eckart–Young, block by
    block), and no dense approximation is made. They are the square roots of the eigenvalues of
    X·Xᵀ or XᵀX of each block X, whichever is smaller, in float64 and batched by block shape
    (`lolora_core.gram`). That ends at singular values of about 10⁻⁸ of the largest of a block:
    an error that is truly 0 is returned as up to about 10⁻⁶. `Decomposition.errors` has no such
    floor, and takes several times as long.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        W; see `as_matrix`.
    grids : iterable of int, (int, int) or Grid
        K, (K_r, K_c) or any cut; `divisor_grids` lists those with equal blocks. A grid named
        twice is swept once.
    families : sequence of str, optional
        By default every registered family that is read from singular values.
    budgets : iterable of int, optional
        Trainable parameters; by default those of every integer equivalent rank, `all_budgets`.
    progress : callable, optional
        ``progress(done, total)`` is called after each grid; where it returns False, the sweep
        stops and holds the grids that are done.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        Bad input: see `as_matrix`, `Grid.regular` and `check_budget`; no grid, family or budget;
        a grid on which none of the families is defined; two grids with the same numbers of
        blocks and different edges; a family that is not read from singular values; a target on
        the meta device, which has no values.

    Examples
    --------
    >>> found = sweep(np.diag([3.0, 1.0, 1.0, 1.0]), grids=(1, 2))
    >>> found.errors["global", (1, 1)].round(3)
    array([1.   , 0.5  , 0.408])
    """
    matrix = as_matrix(target)
    if matrix.is_meta:
        raise ValueError("target is on the meta device and has no values; sweep reads them")
    work, _ = normalized(matrix)
    return sweep_spectra(
        (matrix.shape[0], matrix.shape[1]),
        partial(gram_spectra, work),
        grids,
        families,
        budgets,
        progress=progress,
    )


def sweep_spectra(
    shape: tuple[int, int],
    spectra: Callable[[Grid], Spectra],
    grids: Iterable[GridLike] = GRIDS,
    families: Sequence[str] | None = None,
    budgets: Iterable[SupportsIndex] | None = None,
    *,
    progress: Progress | None = None,
) -> Sweep:
    """Sweep from singular values that the caller holds or makes; see `sweep`.

    Parameters
    ----------
    shape : (int, int)
        m and n.
    spectra : callable
        ``spectra(grid)`` returns the singular values of the blocks of a grid; it is called once
        for each grid that a family uses.
    grids, families, budgets, progress
        As for `sweep`.

    Examples
    --------
    >>> ones = lambda grid: Spectra(grid, np.ones((*grid.blocks, 1)), np.zeros(grid.blocks))
    >>> sweep_spectra((2, 2), ones, [1], ["global"], [0, 4]).errors["global", (1, 1)]
    array([1., 0.])
    """
    chosen = _check_families(families)
    cuts = _check_grids(grids, shape, chosen)
    at = all_budgets(shape) if budgets is None else _check_budgets(budgets)
    held: dict[Grid, Spectra] = {}
    curves: dict[tuple[str, tuple[int, int]], Curve] = {}
    errors: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    used: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
    done: list[Grid] = []
    for grid in cuts:
        for family in (f for f in chosen if f.fits(grid)):
            key, own = (family.name, grid.blocks), family.grid(grid)
            if own not in held:
                held[own] = spectra(own)
            same = (family.name, done[0].blocks) if family.whole and done else key
            curves[key] = curves.get(same) or curve(family, held[own])
            errors[key], used[key] = answers(curves[key], at)
        done.append(grid)
        if progress is not None and progress(len(done), len(cuts)) is False:
            break
    names = tuple(family.name for family in chosen)
    complete = len(done) == len(cuts)
    return Sweep(shape, tuple(done), names, at, curves, errors, used, complete)


def pool(sweeps: Sequence[Sweep]) -> Sweep:
    """Return the sweep of several matrices of one shape together, each with its share of a budget.

    The channels of a colour image: budgets and parameters are those of all together, and errors
    are ‖W − Ŵ‖_F/‖W‖_F over all entries of all.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Of the same grids, families and budgets, with spectra on one scale.

    Examples
    --------
    >>> one = sweep(np.eye(4), grids=[1])
    >>> both = pool([one, one])
    >>> both.budgets.tolist(), both.errors["global", (1, 1)].round(3).tolist()
    ([0, 16, 32], [1.0, 0.866, 0.707])
    """
    first = sweeps[0]
    curves: dict[tuple[str, tuple[int, int]], Curve] = {
        key: PooledCurve(tuple(found.curves[key] for found in sweeps)) for key in first.curves
    }
    budgets = first.budgets * len(sweeps)
    found = {key: answers(curve, budgets) for key, curve in curves.items()}
    errors = {key: error for key, (error, _) in found.items()}
    used = {key: parameters for key, (_, parameters) in found.items()}
    return replace(first, budgets=budgets, curves=curves, errors=errors, num_parameters=used)
