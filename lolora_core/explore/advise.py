"""The adviser: the smallest structure that reaches a target, and the same choice elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from lolora_core.blocks.gram import gram_spectra, normalized
from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.common.checks import Matrix, as_matrix, check_budget
from lolora_core.explore.curves import PooledCurve, smallest_budget
from lolora_core.explore.other_tools import CONVERSIONS
from lolora_core.explore.sweep import GRIDS, Sweep, SweepRow, sweep
from lolora_core.families import REFERENCE, resolve_family

__all__ = ["DENSE", "Advice", "advise", "advise_from"]

#: In the place of a family: the matrix itself, m·n numbers and no error.
DENSE = "dense"

#: A target error counts as reached within this: where the accuracy of a sweep ends.
SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Advice:
    """What `advise` found.

    Attributes
    ----------
    goal : {"budget", "error", "energy"}
    target : float
        Its value: parameters, relative error, or share of ‖W‖²_F.
    best : SweepRow
        The choice; its family is `DENSE` where nothing needs fewer numbers than the matrix has.
    runner_up : SweepRow or None
        The best of another family, or `DENSE`; None where nothing else was compared.
    margin : float
        What the runner-up is worse by. For a budget, its relative error less that of the choice;
        otherwise its parameters over those of the choice (1 is as many). NaN without runner-up.
    global_rank : int
        Rank of the `global` term that meets the same goal: at the budget, or reaching the target.
    singular_values : ndarray, shape (k,)
        Of W, falling; the conversions read them.
    other_tools : dict of str to float or None
        `global_rank` as each of `CONVERSIONS` states it; None where no value gives it.
    peft : dict of str to int
        Settings of PEFT: ``r`` for a LoRA of `global_rank`. Where the choice is `localized` on
        K×K blocks, K divides both sides and 1 < K, also ``gralora_r`` and ``gralora_k``: GraLoRA
        of that r and k has the same structure and parameters.
    """

    goal: str
    target: float
    best: SweepRow
    runner_up: SweepRow | None
    margin: float
    global_rank: int
    singular_values: Float64[np.ndarray, " k"]
    other_tools: dict[str, float | None]
    peft: dict[str, int]

    def __str__(self) -> str:
        """Return the advice as sentences."""
        best, other = self.best, self.runner_up
        if self.goal == "budget":
            first = f"With {int(self.target):,} parameters {_named(best)} comes closest: relative "
            first += f"error {best.relative_error:.3g}"
            if best.num_parameters < self.target:
                first += f", with {best.num_parameters:,} of them"
            if other is None:
                return f"{first}; no other family was compared."
            if self.margin <= SLACK:
                return f"{first}; {_named(other)} has the same{_unless_equal(other, best)}."
            more = f"; next is {_named(other)} with {other.relative_error:.3g}"
            if f"{other.relative_error:.3g}" == f"{best.relative_error:.3g}":
                more += f", {self.margin:.1g} more"
            return f"{first}{more}."
        first = (
            f"The fewest parameters for {_goal(self.goal, self.target)}: {_named(best)} with "
            f"{best.num_parameters:,} parameters has a relative error of {best.relative_error:.3g}"
        )
        assert other is not None
        if self.margin == 1:
            return f"{first}; {_named(other)} needs as many."
        if f"{self.margin:.3g}" == "1" or math.isinf(self.margin):
            return f"{first}; {_named(other)} needs {other.num_parameters:,}."
        return f"{first}; {_named(other)} needs {self.margin:.3g} times as many."


def _unless_equal(other: SweepRow, best: SweepRow) -> str:
    if other.num_parameters == best.num_parameters:
        return ""
    return f" with {other.num_parameters:,}"


def _named(row: SweepRow) -> str:
    if row.family == DENSE:
        return "dense storage"
    if resolve_family(row.family).spans_whole:
        return row.family
    return f"{row.family} on {row.grid_rows}×{row.grid_cols} blocks"


def _goal(goal: str, target: float) -> str:
    if goal == "error":
        return f"a relative error of at most {target:g}"
    return f"{100 * target:g} % of the energy"


def _check_goal(
    budget: SupportsIndex | None, error: float | None, energy: float | None
) -> tuple[str, float]:
    goals = {"budget": budget, "error": error, "energy": energy}
    given = [name for name, value in goals.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "give exactly one of budget, error and energy; "
            + (f"given are {', '.join(given)}" if given else "none is given")
        )
    if budget is not None:
        return "budget", check_budget(budget)
    name, number = ("error", error) if error is not None else ("energy", energy)
    assert number is not None
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be between 0 and 1; it is {number!r}")
    return name, float(number)


def _structures(found: Sweep) -> list[tuple[str, tuple[int, int]]]:
    """Return what is worth comparing: on one block every family is the reference."""
    keys = list(found.curves)
    if REFERENCE.name not in found.families:
        return keys
    first = next(key for key in keys if key[0] == REFERENCE.name)
    return [first, *(k for k in keys if k[0] != REFERENCE.name and k[1] != (1, 1))]


def _reaching(found: Sweep, error: float) -> list[SweepRow]:
    """Return the smallest row of each family and grid that reaches `error`, fewest first."""
    rows = []
    for family, grid in _structures(found):
        budget = smallest_budget(found.curves[family, grid], error + SLACK)
        if budget is not None:
            rows.append(found.row(family, grid, budget))
    if rows:
        rows.append(_dense(found))
    return sorted(rows, key=lambda row: (row.num_parameters, round(row.relative_error, 6)))


def _at(found: Sweep, budget: int) -> list[SweepRow]:
    rows = [found.row(family, grid, budget) for family, grid in _structures(found)]
    dense = _dense(found, budget)
    if dense.num_parameters <= budget:
        rows.append(dense)
    return sorted(rows, key=lambda row: (round(row.relative_error, 6), row.num_parameters))


def _dense(found: Sweep, budget: int | None = None) -> SweepRow:
    """Return the row of the matrix itself; of several matrices, of all together."""
    some = next(iter(found.curves.values()))
    m, n = found.shape
    entries = m * n * (len(some.parts) if isinstance(some, PooledCurve) else 1)
    allowed = entries if budget is None else budget
    return SweepRow(DENSE, 1, 1, allowed, allowed / (m + n), entries, allowed - entries, 0.0)


def _singular_values(matrix: Tensor, found: Sweep) -> Float64[np.ndarray, " k"]:
    work, scale = normalized(matrix)
    whole = Grid.regular(found.shape, 1)
    held = (c.spectra for c in found.curves.values() if c.spectra.grid == whole)
    spectra = next(held, None) or gram_spectra(work, whole)
    return spectra.values[0, 0] * scale


def advise(
    target: Matrix,
    *,
    budget: SupportsIndex | None = None,
    error: float | None = None,
    energy: float | None = None,
    grids: Iterable[GridLike] | None = None,
    families: Sequence[str] | None = None,
) -> Advice:
    """Return the structure to choose: the lowest error at a budget, or the fewest parameters.

    For `error` and `energy` the smallest budget of every family on every grid is found by
    bisection on the curves of a `sweep`, so it need not be a whole equivalent rank. A target
    counts as reached within 10⁻⁶, where the accuracy of a sweep ends. Errors that are equal to
    10⁻⁶ go to the structure with fewer parameters, then to the first in the order of the
    families and grids. On one block every family is `global`, and only that is considered. The
    matrix itself, m·n numbers without error, is always among the choices: no structure that needs
    more is worth it.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        W; see `as_matrix`.
    budget : int, optional
        Trainable parameters.
    error : float, optional
        Relative error to reach, 0…1.
    energy : float, optional
        Share of ‖W‖²_F to capture, 0…1: an error of √(1 − energy).
    grids : iterable of int, (int, int) or Grid, optional
        By default those of `sweep` that fit the matrix.
    families : sequence of str, optional
        See `sweep`.

    Returns
    -------
    Advice

    Raises
    ------
    TypeError, ValueError
        Not exactly one of budget, error and energy; error or energy outside 0…1; a target that
        none of the named families reaches (`diagonal` alone may not); bad input of `sweep`.

    Examples
    --------
    >>> advice = advise(np.diag([4.0, 2.0, 1.0, 1.0]), energy=0.9, grids=(1, 2))
    >>> print(advice)
    The fewest parameters for 90 % of the energy: adaptive on 2×2 blocks with 8 parameters has a \
relative error of 0.302; diagonal on 2×2 blocks needs 2 times as many.
    >>> advice.peft, advice.other_tools["peft_float_rank"]
    ({'r': 2}, 0.8181818181818181)
    """
    matrix = as_matrix(target)
    shape = (matrix.shape[0], matrix.shape[1])
    _check_goal(budget, error, energy)
    fitting = [k for k in GRIDS if k <= min(shape)] if grids is None else grids
    found = sweep(matrix, fitting, families, [0])
    values = _singular_values(matrix, found)
    return advise_from(found, values, budget=budget, error=error, energy=energy)


def advise_from(
    found: Sweep,
    singular_values: Float64[np.ndarray, " k"],
    *,
    budget: SupportsIndex | None = None,
    error: float | None = None,
    energy: float | None = None,
) -> Advice:
    """Return the structure to choose from a sweep that is there already; see `advise`.

    Parameters
    ----------
    found : Sweep
    singular_values : ndarray, shape (k,)
        Of the whole matrix, falling; of several channels, of all together.
    budget, error, energy
        Exactly one, as for `advise`.
    """
    goal, value = _check_goal(budget, error, energy)
    values, shape = singular_values, found.shape
    left = np.concatenate([np.cumsum(values[::-1] ** 2)[::-1], [0.0]])
    if goal == "budget":
        rows = _at(found, int(value))
        rank = min(int(value) // sum(shape), len(values))
    else:
        most = value if goal == "error" else math.sqrt(1 - value)
        rows = _reaching(found, most)
        if not rows:
            raise ValueError(
                f"none of the families {', '.join(found.families)} reaches {_goal(goal, value)} "
                "at any budget; allow another family"
            )
        errors = np.sqrt(left / left[0]) if left[0] else np.zeros(len(left))
        rank = int(np.argmax(errors <= most + SLACK))
    best = rows[0]
    other = next((row for row in rows if row.family != best.family), None)
    return Advice(
        goal,
        value,
        best,
        other,
        _margin(goal, best, other),
        rank,
        values,
        {c.name: c.value(values, rank) for c in CONVERSIONS},
        _peft(best, rank, shape),
    )


def _peft(best: SweepRow, rank: int, shape: tuple[int, int]) -> dict[str, int]:
    grid = Grid.regular(shape, best.grid_rows, best.grid_cols)
    lora = REFERENCE.peft_settings(grid, rank * sum(shape))
    if best.family == DENSE:
        return lora
    return lora | resolve_family(best.family).peft_settings(grid, best.num_parameters)


def _margin(goal: str, best: SweepRow, other: SweepRow | None) -> float:
    if other is None:
        return math.nan
    if goal == "budget":
        return max(other.relative_error - best.relative_error, 0.0)
    if best.num_parameters == 0:
        return 1.0 if other.num_parameters == 0 else math.inf
    return other.num_parameters / best.num_parameters
