"""Statements on what structures cost and which ranks that buys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from lolora_core.approximate import approximate
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid
from lolora_core.common import metrics
from lolora_core.explore.compare import matched_step
from lolora_core.theory.base import EXACT, Draw, Sides, Statement
from lolora_core.theory.works import GRALORA, LOCALIZED, LORA, MELORA

__all__ = ["ParameterCounts", "RankBounds", "of_families"]


def of_families(grid: Grid, budgets: dict[str, int]) -> dict[str, Approximation]:
    """Return an approximation of each family at a budget of its own, of a matrix of ones.

    Of these families ranks do not depend on the matrix.

    Examples
    --------
    >>> found = of_families(Grid.regular((8, 8), 2), {"global": 32, "localized": 32})
    >>> {name: a.rank_map.tolist() for name, a in found.items()}
    {'global': [[2]], 'localized': [[1, 1], [1, 1]]}
    """
    ones = np.ones(grid.shape)
    return {name: approximate(ones, name, budget=p, grid=grid) for name, p in budgets.items()}


def _numbers_in(found: Approximation) -> int:
    return sum(b.numel() + a.numel() for b, a in found.factors().values())


class ParameterCounts(Statement):
    """How many numbers each family learns, and where two families learn equally many."""

    name = "counts"
    title = "What a rank costs, and when budgets match"
    formulas = (
        r"P_{\text{global}}=r\,(m+n)",
        r"P_{\text{diagonal}}=\rho\,(m+n)",
        r"P_{\text{localized}}=\rho\,(K_c\,m+K_r\,n)",
    )
    statement = (
        "One rank of localized on K × K blocks costs as much as K ranks of global. The two spend "
        "exactly the same if r is a multiple of K; at any other r, localized leaves the rest "
        "of the budget unused."
    )
    proof = (
        r"A block of $h\times w$ entries with rank $\rho$ needs a $B$ of $h\times\rho$ and an $A$ "
        r"of $\rho\times w$, together $\rho\,(h+w)$ numbers. Global is one block, $m\times n$."
        "\n\n"
        r"Summed over all blocks, each of the $K_c$ block columns sees all $m$ rows and each of "
        r"the $K_r$ block rows all $n$ columns: $\rho\,(K_c m+K_r n)$. The diagonal blocks alone "
        r"see every row and column once: $\rho\,(m+n)$."
        "\n\n"
        r"With $K_r=K_c=K$ the first is $\rho K(m+n)$, and this equals $r\,(m+n)$ if and only if "
        r"$r=K\rho$. Rounded down, $\rho=\lfloor r/K\rfloor$ leaves $(r \bmod K)(m+n)$."
    )
    sources = (LORA, MELORA, LOCALIZED, GRALORA)
    checked = (
        "The numbers in the factors are counted and compared with the formulas: on random grids "
        "of up to K block rows and K block columns, at random ranks up to ρ; then what localized "
        "leaves unused at a random r. They are whole numbers, so nothing may deviate."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Count the numbers in factors."""
        for draw in draws:
            w, (m, n), k = draw.matrix(), draw.grid.shape, draw.blocks
            rows, cols = (int(side) for side in draw.rng.integers(1, k + 1, size=2))
            rank = int(draw.rng.integers(1, draw.rank + 1))
            for name, budget, grid in (
                ("global", rank * (m + n), draw.grid),
                ("diagonal", rank * (m + n), draw.grid),
                ("localized", rank * (cols * m + rows * n), Grid.regular((m, n), rows, cols)),
            ):
                # With one parameter more than the formula says, the ranks must not change.
                found = approximate(w, name, budget=budget + 1, grid=grid)
                what = f"numbers in {name}"
                yield Sides(draw.case, what, _numbers_in(found), "=", budget, EXACT)
            r = int(draw.rng.integers(1, k * draw.rank + 1))
            found = approximate(w, "localized", budget=r * (m + n), grid=draw.grid)
            left = r % matched_step(draw.grid) * (m + n)
            what = "unused by localized at a random r"
            yield Sides(draw.case, what, found.unused_parameters, "=", left, EXACT)

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return the three at the budget of block rank ρ."""
        budget = int(rank * grid.costs.sum())
        return of_families(grid, dict.fromkeys(("global", "diagonal", "localized"), budget))


class RankBounds(Statement):
    """How large the rank of an approximation can be."""

    name = "ranks"
    title = "How much rank a budget buys"
    formulas = (
        r"\operatorname{rank}(\hat W_{\text{global}})\le r",
        r"\operatorname{rank}(\hat W_{\text{diagonal}})\le K\rho",
        r"\operatorname{rank}(\text{block row of }\hat W_{\text{localized}})\le K\rho",
    )
    statement = (
        "A product B·A has at most the rank of its narrow side. Blocks side by side can add up "
        "their ranks. So at one budget localized can reach K times the rank of global: a higher "
        "rank, which is not yet a lower error."
    )
    proof = (
        r"$\operatorname{rank}(BA)\le r$ when $B$ has $r$ columns: every column of $BA$ is a "
        r"combination of them."
        "\n\n"
        r"Diagonal blocks share no row and no column, so their ranks add: $K\rho$. In a block row "
        r"of localized, all columns are combinations of the columns of its $K$ factors $B_{ij}$: "
        r"at most $K\rho$. The whole is $K$ block rows, at most $K^2\rho$."
        "\n\n"
        r"At a matched budget $r=K\rho$: global stays at $K\rho$, localized may reach "
        r"$K^2\rho=Kr$."
    )
    sources = (LORA, MELORA, LOCALIZED)
    checked = (
        "Each case is a random matrix, and all have the same budget: localized has rank ρ in every "
        "block, global has rank r = K·ρ, and diagonal has rank r in each of its K blocks, as far "
        "as they have room. The left side counts the singular values above rounding. Ranks are "
        "whole numbers, so nothing may deviate."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Compare numerical ranks with the bounds."""
        for draw in draws:
            w, grid, most = draw.matrix(), draw.grid, draw.blocks * draw.rank
            for name in ("global", "diagonal"):
                found = approximate(w, name, budget=draw.budget, grid=grid)
                # In diagonal K·ρ of its own ρ, in global r.
                bound = int(found.rank_map.sum())
                yield Sides(draw.case, name, found.numerical_rank(), "≤", bound, EXACT)
            found = approximate(w, "localized", budget=draw.budget, grid=grid)
            dense = found.dense()
            rows = [
                metrics.numerical_rank(dense[top:below]) for top, below in pairwise(grid.row_edges)
            ]
            what = "localized, the largest block row"
            yield Sides(draw.case, what, max(rows), "≤", most, EXACT)
            bound = draw.blocks * most
            what = "localized, the whole"
            yield Sides(draw.case, what, found.numerical_rank(), "≤", bound, EXACT)

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return the three at the budget of block rank ρ."""
        budget = int(rank * grid.costs.sum())
        return of_families(grid, dict.fromkeys(("global", "diagonal", "localized"), budget))
