"""A global term plus an adaptive term on the residual, found by a search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.factors import GlobalTerm, leading_term
from lolora_core.blocks.gather import gather_blocks, scatter_blocks
from lolora_core.blocks.grid import BlockGroup, Grid, budget_for_rank
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.spectra import Spectra
from lolora_core.blocks.svd import BlockSVD, GroupSVD, Method, block_svd
from lolora_core.common.checks import compute_dtype
from lolora_core.common.words import join_words
from lolora_core.families.adaptive import (
    Adaptive,
    adaptive_ranks,
    nothing_to_choose_from,
    stated_ranks,
)
from lolora_core.families.base import AdapterRequest, Decomposed, Family, Steps, TermRanks, Win

__all__ = ["REFITS", "TOLERANCE", "Found", "Hybrid", "HybridFit"]

#: Refits on a rung end when one lowers the error by less than this share of it, or after `REFITS`.
TOLERANCE = 0.005
REFITS = 20
# Within a refit the column spaces of the blocks stay while coefficients and global term change.
_INNER = 3
# Eigenvectors of a block followed beyond the largest rank in use.
_MARGIN = 4


class Found(NamedTuple):
    """What the search found at a budget.

    Attributes
    ----------
    rank_map : ndarray of int, shape (K_r, K_c)
        Ranks of the block term.
    relative_error : float
        ‖W − Ŵ‖_F/‖W‖_F, from the discarded singular values of the blocks of W − G.
    term : GlobalTerm or None
        None where r₀ = 0.
    """

    rank_map: RankMap
    relative_error: float
    term: GlobalTerm | None


class _Listed(NamedTuple):
    """A global term, the budget of the rung it was made on, the spectra of the blocks of W − G."""

    term: GlobalTerm
    budget: int
    spectra: Spectra


class _Fit(NamedTuple):
    """A global term and the leading eigenvectors of the blocks of W − G, by block shape."""

    term: GlobalTerm
    bases: tuple[tuple[BlockGroup, Tensor], ...]
    spectra: Spectra


def _rungs() -> Iterator[int]:
    rung = 2
    while True:
        yield rung
        rung *= 2


@dataclass(eq=False)
class HybridFit:
    """The search for W ≈ G + blocks on one grid, for every budget.

    For a given global term G the best block term is `adaptive` on W − G; the singular values of
    the blocks of W − G tell its error at every budget, and that never rises with the budget. So
    the search makes a list of global terms, one on each *rung*, the budget R·(m + n) of an
    equivalent rank R = 2, 4, 8, 16 …:

    1. r₀ = R/4, R/2 and 7R/8 are tried, each from the truncated SVD of W, and the r₀ of the rung
       before, from its term; one refit each, then another for the better two.
    2. The best is refitted until a refit lowers the error by less than `TOLERANCE` of it, `REFITS`
       times at most. A refit fixes the block term and takes the best rank-r₀ matrix for
       W − blocks (subspace iteration from the last G), then makes the blocks adaptive on W − G.

    A budget P is answered by the best of the pure global term of rank r = ⌊P/(m + n)⌋ (the end
    r₀ = r), `adaptive` on W (the end r₀ = 0), and the terms of all rungs up to P, each with
    `adaptive` on its residual for what it leaves of P. Each of these is a fixed function of P
    that never rises, and a larger budget has all of them and more. Therefore, after an exact
    decomposition, the error never rises with the budget, is never above that of `global` or
    `adaptive`, and does not depend on what was asked before. It is an upper bound: not every r₀
    is tried, and refits find a local minimum.

    Parameters
    ----------
    target : Tensor, shape (m, n)
    whole, blocks : BlockSVD
        Of the target on the 1×1 grid and on the grid of the block term.
    method, max_rank
        How residuals are decomposed, see `block_svd`.

    Examples
    --------
    >>> from lolora_core.approximate import decompose
    >>> svd = decompose(torch.eye(8) + torch.ones(8, 8), grid=4)
    >>> svd.fit("hybrid").errors([32, 64]).round(3)
    array([0.185, 0.   ])
    """

    target: Float[Tensor, "m n"]
    whole: BlockSVD
    blocks: BlockSVD
    method: Method = "auto"
    max_rank: int | None = None
    _listed: list[_Listed] = field(default_factory=list, repr=False)
    _climbed: int = field(default=0, repr=False)
    _found: dict[int, Found] = field(default_factory=dict, repr=False)
    # The last term that was asked for, and the decomposition of its residual.
    _residual: tuple[GlobalTerm, BlockSVD] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._work = self.target.to(compute_dtype(self.target.dtype))
        self._cut = [gather_blocks(self._work, group) for group in self.grid.groups()]
        self._side = sum(self.grid.shape)
        self._starts: dict[int, _Fit] = {}
        self._last: _Fit | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the block term."""
        return self.blocks.grid

    def at(self, budget: int) -> Found:
        """Return the best hybrid found for a budget; kept, so asking again costs nothing."""
        if budget not in self._found:
            self._climb(budget)
            self._found[budget] = self._best(budget)
        return self._found[budget]

    def ready(self, budget: int) -> bool:
        """Return whether the search has climbed as far as a budget asks."""
        return all(rung <= self._climbed for rung in self._rungs_up_to(budget))

    def rank_map(self, budget: int) -> RankMap:
        """Return the ranks of the block term."""
        return self.at(budget).rank_map

    def errors(self, budgets: Iterable[int]) -> Float64[np.ndarray, " q"]:
        """Return ‖W − Ŵ‖_F/‖W‖_F at each budget, after the search."""
        return np.array([self.at(budget).relative_error for budget in budgets])

    def approximate(self, budget: int) -> Approximation:
        """Return the best hybrid found for a budget, with its factors."""
        found = self.at(budget)
        exact = self.whole.exact and self.blocks.exact
        return Approximation.from_svd(
            Hybrid.name,
            budget,
            self.blocks if found.term is None else self._decomposed(found.term),
            found.rank_map,
            self.target,
            term=found.term,
            error=found.relative_error if exact else None,
        )

    def _decomposed(self, term: GlobalTerm) -> BlockSVD:
        if self._residual is None or self._residual[0] is not term:
            residual = self._work - term.dense()
            svd = block_svd(residual, self.grid, method=self.method, max_rank=self.max_rank)
            self._residual = term, svd
        return self._residual[1]

    def _best(self, budget: int) -> Found:
        rank = min(budget // self._side, min(self.grid.shape))
        alone = self.whole.spectra.relative_error(np.array([[rank]]))
        term = self._truncated(rank) if rank else None
        best = Found(np.zeros(self.grid.blocks, dtype=np.int64), alone, term)
        ranks = adaptive_ranks(self.grid, budget, self.blocks.spectra)
        error = self.blocks.spectra.relative_error(ranks)
        if error < best.relative_error:
            best = Found(ranks, error, None)
        for listed in self._listed:
            if listed.budget <= budget:
                ranks, error = self._adapted(listed, budget)
                if error < best.relative_error:
                    best = Found(ranks, error, listed.term)
        return best

    def _adapted(
        self, at: _Listed | _Fit, budget: int, rank: int | None = None
    ) -> tuple[np.ndarray, float]:
        left = budget - (at.term.rank if rank is None else rank) * self._side
        ranks = adaptive_ranks(self.grid, left, at.spectra)
        return ranks, float(np.sqrt(at.spectra.residuals(ranks).sum() / self.blocks.spectra.total))

    def _truncated(self, rank: int) -> GlobalTerm:
        (held,) = self.whole.groups
        return GlobalTerm(held.u[0, :, :rank], held.s[0, :rank], held.vh[0, :rank])

    def _climb(self, budget: int) -> None:
        for rung in self._rungs_up_to(budget):
            if rung > self._climbed:
                self._climbed = rung
                self._rung(rung)

    def _rungs_up_to(self, budget: int) -> list[int]:
        if self.grid.blocks == (1, 1):
            return []  # both terms would be the same
        top = min(budget // self._side, min(self.grid.shape))
        return list(takewhile(lambda rung: rung <= top, _rungs()))

    def _rung(self, rung: int) -> None:
        budget = rung * self._side
        # Nothing to gain where only rounding is left.
        floor = 10 * torch.finfo(self._work.dtype).eps
        if self._best(budget).relative_error <= floor:
            return

        def error(fit: _Fit) -> float:
            return self._adapted(fit, budget)[1]

        def refit(fit: _Fit, rank: int) -> _Fit:
            return self._decompose(self._refit(fit, budget, rank), fit, budget)

        ranks = sorted({max(1, share * rung // 8) for share in (2, 4, 7)})
        fits = [refit(self._start(rank, budget), rank) for rank in ranks]
        if self._last is not None:
            fits.append(refit(self._last, self._last.term.rank))
        better = sorted(fits, key=error)[:2]
        again = [refit(fit, fit.term.rank) for fit in better] if len(fits) > 1 else []
        best = min(*better, *again, key=error) if again else better[0]
        for _ in range(REFITS):
            if error(best) <= floor:
                break
            made = refit(best, best.term.rank)
            gain = 1 - error(made) / error(best)
            best = made if gain > 0 else best
            if gain < TOLERANCE:
                break
        self._last = best
        self._listed.append(_Listed(best.term, budget, self._spectra(best.term)))

    def _start(self, rank: int, budget: int) -> _Fit:
        if rank not in self._starts:
            term = self._truncated(rank)
            bases = tuple(
                (held.group, held.vh.mT if _tall(held.group) else held.u)
                for held in self.blocks.groups
            )
            near = _Fit(self._truncated(0), bases, self.blocks.spectra)
            self._starts[rank] = self._decompose(term, near, budget)
        return self._starts[rank]

    def _spectra(self, term: GlobalTerm) -> Spectra:
        residual = self._work - term.dense()
        if self.method == "randomized":
            return self._decomposed(term).spectra
        held = []
        for group in self.grid.groups():
            values = torch.linalg.svdvals(gather_blocks(residual, group))
            held.append(GroupSVD(group, values[..., :0], values, values[..., :0], True))
        return BlockSVD(self.grid, tuple(held)).spectra

    def _decompose(self, term: GlobalTerm, near: _Fit, budget: int) -> _Fit:
        """Decompose the blocks X of W − G by the leading eigenvalues of X·Xᵀ or XᵀX.

        Where few are in use, by one step of subspace iteration from the bases of `near`: then
        they are lower bounds. Rounding loses the small ones. Both cost the search a little and
        the reported error nothing: that is read from singular values.
        """
        depth = int(self._adapted(near, budget, term.rank)[0].max()) + _MARGIN
        whole = term.dense()
        held, bases = [], []
        energies = np.zeros(self.grid.blocks)
        for (group, start), target in zip(near.bases, self._cut, strict=True):
            blocks = target - gather_blocks(whole, group)
            gram = blocks.mT @ blocks if _tall(group) else blocks @ blocks.mT
            if 2 * depth < gram.shape[-1] and depth <= start.shape[-1]:
                basis = torch.linalg.qr(gram @ start[..., :depth]).Q
                values, turn = torch.linalg.eigh(basis.mT @ gram @ basis)
                basis = basis @ turn.flip(-1)
            else:
                values, vectors = torch.linalg.eigh(gram)
                basis = vectors.flip(-1)
            values = values.flip(-1).clamp(min=0).sqrt()
            held.append(GroupSVD(group, basis, values, basis, False))
            bases.append((group, basis))
            trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
            energies[group.rows, group.cols] = trace.numpy(force=True)
        return _Fit(term, tuple(bases), BlockSVD(self.grid, tuple(held), energies).spectra)

    def _refit(self, fit: _Fit, budget: int, rank: int) -> GlobalTerm:
        """Give the blocks of W − G what G leaves of the budget; return the G that suits them."""
        ranks = self._adapted(fit, budget, rank)[0]
        chosen = []
        for group, basis in fit.bases:
            kept = np.minimum(ranks[group.rows, group.cols], basis.shape[-1])
            top = int(kept.max())
            keep = torch.as_tensor(np.arange(top) < kept[:, None], device=basis.device)
            chosen.append((group, basis[..., :top] * keep[:, None, :]))
        left, term = torch.empty_like(self._work), fit.term
        for _ in range(_INNER):
            whole = term.dense()
            for (group, basis), target in zip(chosen, self._cut, strict=True):
                blocks = target - gather_blocks(whole, group)
                # Parentheses keep the products thin.
                fitted = (
                    (blocks @ basis) @ basis.mT if _tall(group) else basis @ (basis.mT @ blocks)
                )
                scatter_blocks(left, group, target - fitted)
            term = leading_term(left, rank, term)
        return term


def _tall(group: BlockGroup) -> bool:
    return group.height > group.width


class Hybrid(Family):
    """A global term plus `adaptive`; the same in approximations, adapters and training."""

    name = "hybrid"
    letter = "H"
    summary = "a low-rank product for the whole matrix plus adaptive ranks on what it leaves"
    formula = (
        r"\hat W = B A + \left(B_{ij} A_{ij}\right)_{ij}, \quad "
        r"P = r_0\,(m + n) + \sum_{ij} r_{ij}\,(h_i + w_j)"
    )
    source = "this project; fixed-rank form: hybrid GraLoRA, arXiv 2505.20355"
    needs_spectra = True
    init = "gradient"
    takes_ranks = True
    has_global_term = True

    def fit(self, svd: Decomposed) -> HybridFit:
        """Return the search for the best share of the budget between the two terms."""
        whole, blocks = svd.on(svd.grid.whole()), svd.on(svd.grid)
        return HybridFit(svd.target, whole, blocks, svd.method, svd.max_rank)

    def steps(self, spectra: Spectra) -> Steps:
        """As `adaptive`: it finds its own ranks within what that would have spent on a matrix."""
        return Adaptive().steps(spectra)

    def adapter_terms(self, request: AdapterRequest) -> tuple[TermRanks, ...]:
        """Return the global term and the block term: as stated, or found in the source."""
        grid = request.grid
        if request.rank_map is not None:
            first, blocks = request.global_rank, stated_ranks(request)
            assert first is not None
            if first > min(grid.shape):
                raise ValueError(
                    f"global_rank {first} is above the full rank of {request.place}, "
                    f"{min(grid.shape)}"
                )
        else:
            assert request.source is not None
            svd = block_svd(request.source, grid.whole()), block_svd(request.source, grid)
            found = HybridFit(request.source, *svd).at(budget_for_rank(grid.shape, request.rank))
            first, blocks = 0 if found.term is None else found.term.rank, found.rank_map
        whole = TermRanks(grid.whole(), np.array([[first]]))
        terms = tuple(term for term in (whole, TermRanks(grid, blocks)) if term.rank_map.any())
        if not terms:
            raise nothing_to_choose_from(request, self)
        return terms

    def explain(self, win: Win) -> str:
        """Say how the budget is shared, or why it goes to the blocks alone."""
        if not any(win.global_ranks):
            rank_maps = {**win.rank_maps, Adaptive.name: win.rank_maps[self.name]}
            energies = {**win.energies, Adaptive.name: win.energies[self.name]}
            return Adaptive().explain(replace(win, rank_maps=rank_maps, energies=energies))
        shared, ranks = sorted(set(win.global_ranks)), win.rank_maps[self.name]
        return (
            f"One term of rank {join_words([str(rank) for rank in shared])} for the whole matrix "
            f"takes what the blocks share; on what it leaves, the blocks get ranks from "
            f"{ranks.min()} to {ranks.max()}."
        )

    def stored_as(self, *, whole: bool, blocks: bool) -> Family:
        """With one of its terms alone it is `global` or `adaptive`."""
        return self if whole and blocks else Adaptive().stored_as(whole=whole, blocks=blocks)
