"""Statements on the best fit: the truncated SVD of each block, and where ranks are spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lolora_core.approximate import approximate, decompose
from lolora_core.blocks.gather import gather_blocks
from lolora_core.blocks.grid import Grid
from lolora_core.common import metrics
from lolora_core.theory.base import Draw, Sides, Statement
from lolora_core.theory.works import ECKART_YOUNG, LOCALIZED, MIRSKY, OWN_IDEA

__all__ = ["AdaptiveIsOptimal", "EckartYoung"]

#: Random candidates for each block, and how many of them are then fitted by how many sweeps.
_CANDIDATES, _FITTED, _SWEEPS = 32, 4, 6


def _left_over(
    blocks: Float[Tensor, "b h w"], bases: Float[Tensor, "c b h r"]
) -> Float[Tensor, "c b"]:
    """Return ‖X − BA‖² of every candidate B (orthonormal columns) with the best A for it, BᵀX."""
    return ((blocks - bases @ (bases.mT @ blocks)) ** 2).sum((-2, -1))


def best_candidates(
    matrix: Float[Tensor, "m n"], grid: Grid, rank: int, rng: np.random.Generator
) -> float:
    """Return the least ‖W − Ŵ‖²_F that candidates of block rank ρ reach, block by block.

    Each candidate is a random B with the best A for it; some are then fitted by alternating least
    squares: the best B for that A, the best A for that B, and so on. No SVD is used.

    Examples
    --------
    >>> w = torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64))
    >>> found = best_candidates(w, Grid.regular((2, 2), 1), 1, np.random.default_rng(0))
    >>> round(found, 6)
    1.0
    """
    total = 0.0
    for group in grid.groups():
        blocks = gather_blocks(matrix, group)
        size = (_CANDIDATES, *blocks.shape[:2], rank)
        bases = torch.linalg.qr(torch.from_numpy(rng.standard_normal(size))).Q
        fitted = bases[:_FITTED]
        for _ in range(_SWEEPS):
            right = torch.linalg.qr(blocks.mT @ fitted).Q
            fitted = torch.linalg.qr(blocks @ right).Q
        found = _left_over(blocks, torch.cat([bases, fitted]))
        total += float(found.min(dim=0).values.sum())
    return total


def discarded_energy(matrix: np.ndarray, grid: Grid, rank: int) -> float:
    """Return the σ² beyond the rank, summed over the blocks: one NumPy call for each.

    Examples
    --------
    >>> discarded_energy(np.diag([3.0, 2.0, 1.0]), Grid.regular((3, 3), 1), 1)
    5.0
    """
    return sum(
        float((np.linalg.svd(matrix[grid.block(i, j)], compute_uv=False)[rank:] ** 2).sum())
        for i, j in np.ndindex(grid.blocks)
    )


class EckartYoung(Statement):
    """The truncated SVD of each block is the best block of its rank."""

    name = "eckart-young"
    title = "Nothing beats the SVD, block by block"
    formulas = (
        r"\min_{\hat W}\;\|W-\hat W\|_F^2=\sum_{i,j}\,\sum_{k>\rho}\sigma_k(W_{ij})^2",
        r"\text{over all }\hat W\text{ with }\operatorname{rank}(\hat W_{ij})\le\rho",
    )
    statement = (
        "Cut a matrix into blocks and allow each block the rank ρ. No choice of factors has a "
        "smaller error than the truncated SVD of each block, and its squared error is the sum of "
        "the squared singular values that it drops."
    )
    proof = (
        "The squared Frobenius norm is a sum over entries, so it is a sum over blocks, and no "
        "block shares a factor with another: each can be fitted alone.\n\n"
        r"For one block $X=\sum_k\sigma_k u_k v_k^\top$ let $Y$ have rank $\rho$. Weyl's "
        r"inequality gives $\sigma_k(X-Y)\ge\sigma_{k+\rho}(X)$, because $X-Y$ plus any matrix of "
        r"rank $k-1$ differs from $X$ by at most rank $k-1+\rho$. Summing squares, "
        r"$\|X-Y\|_F^2\ge\sum_{k>\rho}\sigma_k(X)^2$. The truncated SVD reaches this bound."
    )
    sources = (ECKART_YOUNG, MIRSKY, LOCALIZED)
    checked = (
        "Each case is a random matrix. The squared error of localized, measured entry by entry, "
        "is compared with the σ² that are dropped, and with the best of 32 random factor pairs a "
        "block, 4 of them fitted further by alternating least squares. All are shares of ‖W‖². "
        "Only rounding may deviate: 1e−12 is allowed."
    )
    axes = ("SVD", "best candidate")

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Compare with the discarded σ², and with candidates that know no SVD."""
        for draw in draws:
            w = draw.matrix()
            energy = float((w**2).sum())
            ranks = np.full(draw.grid.blocks, draw.rank)
            dense = approximate(w, grid=draw.grid, rank_map=ranks).dense()
            error = metrics.relative_error(w, dense) ** 2
            tail = discarded_energy(w, draw.grid, draw.rank) / energy
            yield Sides(draw.case, "SVD against dropped σ²", error, "=", tail)
            rival = best_candidates(torch.from_numpy(w), draw.grid, draw.rank, draw.rng) / energy
            yield Sides(draw.case, self.drawn, error, "≤", rival)


@lru_cache(maxsize=64)
def every_rank_map(most: tuple[int, ...], total: int) -> Int[np.ndarray, "maps blocks"]:
    """Return every way to give blocks ranks that sum to `total`, none above its limit.

    Examples
    --------
    >>> every_rank_map((2, 1), 2).tolist()
    [[1, 1], [2, 0]]
    """
    found = np.zeros((1, 0), dtype=np.int64)
    for at, limit in enumerate(most):
        room = sum(most[at + 1 :])
        each = np.arange(limit + 1)
        longer = np.hstack(
            [np.repeat(found, limit + 1, axis=0), np.tile(each, len(found))[:, None]]
        )
        left = total - longer.sum(axis=1)
        found = longer[(left >= 0) & (left <= room)]
    return found


class AdaptiveIsOptimal(Statement):
    """On blocks of one cost, greatest energy first is the best rank map."""

    name = "adaptive"
    title = "Ranks where the energy is: no rank map is better"
    formulas = (
        r"\varepsilon_{\text{adaptive}}=\min_{R}\;\varepsilon(R)",
        r"\text{over all rank maps }R",
        r"\text{with }\textstyle\sum_{ij} r_{ij}\,(h+w)\le P",
    )
    statement = (
        "If all blocks have the same size, adaptive has the lowest error of all ways to share "
        "the budget among the blocks. It takes the largest singular values first, whichever "
        "block they belong to."
    )
    proof = (
        r"On equal blocks every rank costs $h+w$, so a budget buys $q=\lfloor P/(h+w)\rfloor$ "
        "singular values, and keeping one saves its square. The most that $q$ of them can save is "
        "the sum of the $q$ largest squares of all blocks together. Adaptive takes exactly "
        "these, and the rule of each block (largest first) is kept, because its singular values "
        "fall.\n\n"
        "Where blocks differ in size, ranks differ in price and this is a knapsack problem: there "
        "adaptive is a good choice, never worse than localized, and not always the best."
    )
    sources = (ECKART_YOUNG, OWN_IDEA)
    checked = (
        "Each case is a random matrix on 2 × 2 equal blocks and a random budget, up to ρ ranks a "
        "block. On finer grids trying out every rank map takes too long. The squared error of "
        "adaptive is compared with the least one over all rank maps of that budget. "
        "Both are shares of ‖W‖². Only rounding may deviate: 1e−12 is allowed."
    )
    axes = ("adaptive", "best of all rank maps")
    family = "adaptive"

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Compare with exhaustive search."""
        for draw in draws:
            m, n = (side - side % 2 for side in draw.grid.shape)
            grid = Grid.regular((m, n), 2)
            w = draw.matrix()[:m, :n]
            total = int(draw.rng.integers(1, 4 * draw.rank + 1))
            svd = decompose(w, grid)
            found = svd.approximate("adaptive", budget=total * int(grid.costs[0, 0]))
            maps = every_rank_map(tuple(grid.max_ranks.ravel().tolist()), total)
            spectra = svd.on(grid).spectra
            tails = spectra.tails.reshape(4, -1)
            errors = sum(tails[block, maps[:, block]] for block in range(4))
            least = float(np.min(errors) / spectra.total)
            yield Sides(draw.case, self.drawn, found.relative_error**2, "=", least)
