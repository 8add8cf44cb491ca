"""Statements on matrices of noise: what is left when there is no structure to find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lolora_core.approximate import decompose
from lolora_core.blocks.grid import Grid
from lolora_core.theory.base import Draw, Sides, Statement
from lolora_core.theory.works import LOCALIZED, MARCHENKO_PASTUR

__all__ = ["NoiseLimit", "NoiseMean", "noise_limit"]

#: Standard errors of a mean that chance is allowed: more happens once in 16,000 comparisons.
_CHANCE = 4.0
#: The limit is above the mean by at most 0.15 over the short side of a block: measured with
#: thousands of blocks for sides from 4 to 96, ranks from 1 to 8 and widths up to 4 heights.
_FINITE = 0.2


def noise_limit(aspect: float, kept: float) -> float:
    """Return the share of the energy of noise that a truncated SVD leaves, in the limit.

    Blocks grow at one ratio of their sides and keep one share of their singular values; then the
    eigenvalues of XXᵀ/w follow the Marchenko–Pastur law, λ = 1 + c + 2√c·cos θ with density
    2 sin²θ/(πλ) over θ. The energy of those up to θ = α is (α − sin α·cos α)/π of the whole.

    Parameters
    ----------
    aspect : float
        c, short side over long side.
    kept : float
        Rank over short side.

    Examples
    --------
    >>> noise_limit(1.0, 0.0), noise_limit(1.0, 1.0)
    (1.0, 0.0)
    >>> round(noise_limit(1.0, 0.25), 4)
    0.3771
    """
    from scipy.integrate import quad  # slow to load
    from scipy.optimize import brentq

    root = np.sqrt(aspect)

    def density(theta: float) -> float:
        # Of a square the two ends are 0/0; there the limit is 1 − cos θ.
        if aspect == 1:
            return float((1 - np.cos(theta)) / np.pi)
        wave = 2 * np.sin(theta) ** 2
        return float(wave / (np.pi * (1 + aspect + 2 * root * np.cos(theta))))

    if kept <= 0 or kept >= 1:
        return 1.0 if kept <= 0 else 0.0
    alpha = float(brentq(lambda end: quad(density, 0, end)[0] - kept, 0, np.pi))
    return float(1 - (alpha - np.sin(alpha) * np.cos(alpha)) / np.pi)


def _equal(draw: Draw) -> tuple[tuple[int, int], list[Grid]]:
    """Return the largest shape that K cuts evenly, and the grids of equal blocks from K down."""
    k = draw.blocks
    shape = (draw.grid.shape[0] // k * k, draw.grid.shape[1] // k * k)
    return shape, [Grid.regular(shape, cut) for cut in range(k, 0, -1) if k % cut == 0]


def _errors(draws: Sequence[Draw]) -> Iterator[tuple[Grid, int, np.ndarray]]:
    """Yield a grid, its block rank at the budget, and the squared error on noise in every case."""
    shape, grids = _equal(draws[0])
    targets = [draw.noise()[: shape[0], : shape[1]] for draw in draws]
    for grid in grids:
        rank = draws[0].blocks * draws[0].rank // grid.blocks[0]
        budget = int(rank * grid.costs.sum())
        found = [decompose(w, grid).errors("localized", [budget])[0] for w in targets]
        yield grid, rank, np.square(found)


def _mean(errors: np.ndarray) -> tuple[float, float]:
    """Return the mean and its standard error, 0 for a single case."""
    spread = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0.0
    return float(errors.mean()), float(spread)


def _words(grid: Grid) -> str:
    return "one block: global" if grid.blocks == (1, 1) else f"{grid.label} blocks: localized"


class NoiseMean(Statement):
    """An exact bound on the mean error on noise, at every size."""

    name = "noise-bound"
    title = "Even of noise, a budget keeps its share"
    formulas = (
        r"\mathbb E\,\varepsilon^2\le\Bigl(1-\frac{\rho}{h}\Bigr)\Bigl(1-\frac{\rho}{w}\Bigr)",
        r"=1-\frac{\rho\,(h+w)}{h\,w}+\frac{\rho^2}{h\,w}",
    )
    statement = (
        "Low rank keeps some energy even where all entries are independent noise: on average at "
        "least the share of the numbers that it stores, less a small overlap ρ²/(h·w). That is no "
        "structure. A picture or a trained layer keeps more, and this surplus is structure."
    )
    proof = (
        r"Keep the first $\rho$ rows of an $h\times w$ block as they are, and project the other "
        r"$h-\rho$ rows on the space that these span. The result has rank $\rho$, so the truncated "
        r"SVD is no worse."
        "\n\n"
        r"The kept rows hold $\rho w$ units of energy on average. Each other row is independent of "
        r"that $\rho$-dimensional space, so $\rho$ of its $w$ units lie in it: together "
        r"$\rho w+(h-\rho)\rho=\rho(h+w-\rho)$ of $hw$. Of Gaussian noise the direction of $W$ is "
        r"independent of its norm, so the mean of the quotient is the quotient of the means."
    )
    sources = (MARCHENKO_PASTUR, LOCALIZED)
    checked = (
        "Each case is a matrix of standard normal numbers, cut into K × K equal blocks and coarser "
        "at the same budget. The left side is the mean of the squared relative error over all "
        "cases, so it is subject to chance: 4 standard errors of the mean are allowed."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Compare the mean over all cases with the bound."""
        for grid, rank, errors in _errors(draws):
            (h, w), (mean, spread) = (grid.row_sizes[0], grid.col_sizes[0]), _mean(errors)
            bound = float((1 - rank / h) * (1 - rank / w))
            yield Sides(0, _words(grid), mean, "≤", bound, _CHANCE * spread)


class NoiseLimit(Statement):
    """The mean error on large noise, and that cutting does not change it."""

    name = "noise-limit"
    title = "On noise, cutting makes no difference"
    formulas = (
        r"\mathbb E\,\varepsilon^2\to1-\frac{\alpha-\sin\alpha\cos\alpha}{\pi}",
        r"\frac2\pi\int_0^{\alpha}\frac{\sin^2\theta\;d\theta}"
        r"{1+c+2\sqrt c\,\cos\theta}=\frac{\rho}{h}",
        r"c=h/w\le 1",
    )
    statement = (
        "The error on large blocks of noise depends only on their shape and on the share of "
        "singular values that is kept. At a matched budget both are the same for blocks and for "
        "the whole, so global and localized have the same error: noise has no structure to use."
    )
    proof = (
        r"By Marchenko and Pastur the eigenvalues of $XX^\top/w$ for an $h\times w$ block of noise "
        r"fill the interval $1+c\pm2\sqrt c$ as the block grows. Written as "
        r"$\lambda=1+c+2\sqrt c\cos\theta$, their density over $\theta\in[0,\pi]$ is "
        r"$2\sin^2\theta/(\pi\lambda)$."
        "\n\n"
        r"The largest $\rho$ of $h$ are those up to the angle $\alpha$ of the second formula. "
        r"Their energy is $\int_0^\alpha\lambda\cdot\frac{2\sin^2\theta}{\pi\lambda}d\theta"
        r"=(\alpha-\sin\alpha\cos\alpha)/\pi$ of the whole."
        "\n\n"
        r"Cut $m\times n$ into $K\times K$: $h=m/K$, $w=n/K$ and, at the matched budget, "
        r"$\rho=r/K$. So $h/w=m/n$ and $\rho/h=r/m$: the same $c$, the same $\alpha$."
    )
    sources = (MARCHENKO_PASTUR, LOCALIZED)
    checked = (
        "Each case is a matrix of standard normal numbers, cut into K × K equal blocks and coarser "
        "at the same budget. The left side is the mean of the squared relative error over all "
        "cases, the right side a limit for large blocks. Two things may deviate: chance, for which "
        "4 standard errors of the mean are allowed, and the finite size, for which 0.2 over the "
        "short side of a block is allowed (measured: up to 0.15)."
    )

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Compare the mean over all cases with the limit, on every grid that divides K."""
        for grid, rank, errors in _errors(draws):
            short, long = sorted((int(grid.row_sizes[0]), int(grid.col_sizes[0])))
            mean, spread = _mean(errors)
            allowed = _CHANCE * spread + _FINITE / short
            limit = noise_limit(short / long, rank / short)
            yield Sides(0, _words(grid), mean, "≈", limit, allowed)
