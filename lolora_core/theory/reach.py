"""Statements on which matrices a family can represent without error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from lolora_core.approximate import approximate
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid
from lolora_core.theory.base import Draw, Sides, Statement
from lolora_core.theory.counting import of_families
from lolora_core.theory.works import LOCALIZED, LORA, MELORA

__all__ = ["ContainsDiagonal", "HoldsGlobal", "NeitherContains"]


class ContainsDiagonal(Statement):
    """Whatever diagonal represents, localized represents at the same block rank."""

    name = "contains"
    title = "Localized can do whatever diagonal can"
    formulas = (
        r"\varepsilon_{\text{localized}}(W)\le\varepsilon_{\text{diagonal}}(W)",
        r"\text{at the same block rank }\rho\text{, for every }W",
    )
    statement = (
        "With the same rank in every block, localized is never worse than diagonal: it has the "
        "diagonal blocks and all the others too. It pays for that with K times the parameters."
    )
    proof = (
        "Give every block away from the diagonal the factors zero: localized is then the given "
        "diagonal matrix. So the best localized approximation is at least as good as the best "
        "diagonal one."
        "\n\n"
        "At equal budgets this is no longer true: diagonal can then spend K times the rank on its "
        "K blocks. If all energy lies in the diagonal blocks, diagonal wins."
    )
    sources = (MELORA, LOCALIZED)
    checked = (
        "Each case is a random matrix. First, the diagonal approximation is handed to localized as "
        "a target: its relative error ε must be 0. Then both approximate the random matrix. Only "
        "rounding may deviate: 1e−12 is allowed."
    )
    axes = ("localized", "diagonal")

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Represent diagonal by localized; compare both on one matrix."""
        for draw in draws:
            w, grid = draw.matrix(), draw.grid
            diagonal = approximate(w, "diagonal", budget=draw.rank * draw.one_rank, grid=grid)
            again = approximate(diagonal.dense(), "localized", budget=draw.budget, grid=grid)
            what = "ε of localized on a diagonal matrix"
            yield Sides(draw.case, what, again.relative_error, "=", 0.0)
            found = approximate(w, "localized", budget=draw.budget, grid=grid)
            yield Sides(draw.case, self.drawn, found.relative_error, "≤", diagonal.relative_error)

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return both at block rank ρ."""
        single = rank * sum(grid.shape)
        return of_families(grid, {"diagonal": single, "localized": int(rank * grid.costs.sum())})


class HoldsGlobal(Statement):
    """A matrix of rank ρ has blocks of rank ρ."""

    name = "holds-global"
    title = "Localized can hold a global matrix, at K times the price"
    formulas = (
        r"\operatorname{rank}(W)\le\rho\;\Longrightarrow\;\operatorname{rank}(W_{ij})\le\rho",
        r"P_{\text{localized}}=K\cdot P_{\text{global}}",
    )
    statement = (
        "Every block of a matrix of rank ρ has at most the rank ρ. So localized with block rank ρ "
        "represents it without error, but stores K times as many numbers as global needs."
    )
    proof = (
        r"Let $W=BA$ with $B$ of $\rho$ columns. Its block is $W_{ij}=B_i A_j$, with $B_i$ the "
        r"rows of $B$ and $A_j$ the columns of $A$ that belong to it: a product of inner side "
        r"$\rho$."
        "\n\n"
        r"Localized cannot use that all blocks of a row share the same $B_i$. It stores $B_i$ "
        r"once for each of $K$ block columns, and $A_j$ for each of $K$ block rows: "
        r"$K\cdot\rho\,(m+n)$ numbers."
    )
    sources = (LORA, LOCALIZED)
    checked = (
        "Each case is a product of two random factors of inner side ρ. The relative error of "
        "localized with block rank ρ must be 0; only rounding may deviate, 1e−12 is allowed. Its "
        "parameters divided by those of global must be K."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Approximate a product of thin factors."""
        for draw in draws:
            (m, n), grid = draw.grid.shape, draw.grid
            left = draw.rng.standard_normal((m, draw.rank))
            w = left @ draw.rng.standard_normal((draw.rank, n))
            found = approximate(w, "localized", budget=draw.budget, grid=grid)
            yield Sides(draw.case, "ε of localized", found.relative_error, "=", 0.0)
            whole = approximate(w, "global", budget=draw.rank * draw.one_rank)
            yield Sides(draw.case, "ε of global", whole.relative_error, "=", 0.0)
            times = found.num_parameters / whole.num_parameters
            what = "parameters, localized over global"
            yield Sides(draw.case, what, times, "=", float(draw.blocks))

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return global of rank ρ and localized of block rank ρ."""
        single = rank * sum(grid.shape)
        return of_families(grid, {"global": single, "localized": int(rank * grid.costs.sum())})


def good_for_global(grid: Grid, rank: int) -> Float64[np.ndarray, "m n"]:
    """Return ρ + 1 ones on the diagonal of the first block, zeros elsewhere.

    Examples
    --------
    >>> int(good_for_global(Grid.regular((4, 4), 2), 1).sum())
    2
    """
    w = np.zeros(grid.shape)
    ones = np.arange(rank + 1)
    w[ones, ones] = 1
    return w


def good_for_localized(grid: Grid, rank: int) -> Float64[np.ndarray, "m n"]:
    """Return ρ ones in every diagonal block and one more beside, no two in a row or column.

    Examples
    --------
    >>> good_for_localized(Grid.regular((4, 4), 2), 1)
    array([[1., 0., 0., 0.],
           [0., 0., 0., 1.],
           [0., 0., 1., 0.],
           [0., 0., 0., 0.]])
    """
    w = np.zeros(grid.shape)
    for top, start in zip(grid.row_edges[:-1], grid.col_edges[:-1], strict=True):
        ones = np.arange(rank)
        w[top + ones, start + ones] = 1
    w[rank, grid.col_edges[1] + rank] = 1
    return w


def _turned(w: np.ndarray, draw: Draw) -> Float64[np.ndarray, "m n"]:
    """Turn the rows inside every block row and the columns inside every block column, at random.

    That changes no singular value, neither of a block nor of the whole.
    """
    w = w.copy()
    for edges, lines in ((draw.grid.row_edges, w), (draw.grid.col_edges, w.T)):
        for start, stop in pairwise(edges):
            turn = np.linalg.qr(draw.rng.standard_normal((stop - start, stop - start))).Q
            lines[start:stop] = turn @ lines[start:stop]
    return w


class NeitherContains(Statement):
    """At one budget global and localized each represent a matrix that the other cannot."""

    name = "neither"
    title = "At one budget, neither global nor localized is always better"
    formulas = (
        r"\varepsilon_{\text{global}}(W_1)=0,\;\varepsilon_{\text{localized}}(W_1)=\tfrac{1}{\sqrt{\rho+1}}",
        r"\varepsilon_{\text{localized}}(W_2)=0,\;\varepsilon_{\text{global}}(W_2)=\tfrac{1}{\sqrt{K\rho+1}}",
        r"\text{at the budget }r=K\rho",
    )
    statement = (
        "There is a matrix that global represents without error and localized does not, and "
        "another one where it is the other way round, although both may spend the same. So "
        "“always lower error” cannot be true of either."
    )
    proof = (
        r"Let $W_1$ have $\rho+1$ ones on the diagonal of its first block, and zeros elsewhere. "
        r"Its rank is $\rho+1\le K\rho=r$, so global is exact. Localized may give that block only "
        r"rank $\rho$ and loses one of $\rho+1$ equal singular values: $\varepsilon^2=1/(\rho+1)$."
        "\n\n"
        r"Let $W_2$ have $\rho$ ones in each diagonal block and one more 1 in the block beside "
        r"the first, no two in one row or column. Every block has at most rank $\rho$, so "
        r"localized is exact. The whole has $K\rho+1$ singular values 1, and global keeps "
        r"$K\rho$ of them: $\varepsilon^2=1/(K\rho+1)$."
        "\n\n"
        r"Here $\varepsilon=\|W-\hat W\|_F/\|W\|_F$; it needs $K\ge2$ and blocks larger than "
        r"$\rho$."
    )
    sources = (LORA, LOCALIZED)
    checked = (
        "Each case is W₁ and W₂ with the rows of every block row and the columns of every block "
        "column turned at random, which changes no singular value. Only rounding may deviate: "
        "1e−12 is allowed."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Approximate both examples by both families."""
        for draw in draws:
            grid, rank, budget = draw.grid, draw.rank, draw.budget
            lost = 1 / np.sqrt([rank + 1, draw.blocks * rank + 1])
            for word, w, expected in (
                ("W₁", good_for_global(grid, rank), {"global": 0.0, "localized": lost[0]}),
                ("W₂", good_for_localized(grid, rank), {"localized": 0.0, "global": lost[1]}),
            ):
                turned = _turned(w, draw)
                for name, error in expected.items():
                    found = approximate(turned, name, budget=budget, grid=grid)
                    what = f"ε of {name} on {word}"
                    yield Sides(draw.case, what, found.relative_error, "=", float(error))

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return both at the budget of block rank ρ."""
        return of_families(
            grid, dict.fromkeys(("global", "localized"), int(rank * grid.costs.sum()))
        )
