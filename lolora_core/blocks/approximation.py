"""An approximation of a target: ranks, factors, dense form, errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.blocks.factors import (
    GlobalTerm,
    Part,
    parts_of_factors,
    parts_of_svd,
    whole_part,
)
from lolora_core.blocks.gather import block_norms, scatter_blocks
from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.saved import MAX_ENTRIES, Saved, read_saved, write_saved
from lolora_core.blocks.svd import BlockSVD
from lolora_core.common import metrics
from lolora_core.common.checks import Matrix, as_matrix, compute_dtype

__all__ = ["Approximation"]


@dataclass(frozen=True, eq=False)
class Approximation:
    """Ŵ, block by block: Ŵ_ij = B_ij·A_ij with B_ij (h_i×r_ij) and A_ij (r_ij×w_j).

    For `hybrid` a global term is added: Ŵ = B·A + blocks with B (m×r₀) and A (r₀×n).

    Made by `approximate`, `Decomposition.approximate` or `load`.

    Attributes
    ----------
    family : str
        Name of the family; "own" for a rank map that was given.
    budget : int
        Parameters that were allowed.
    grid : Grid
        The grid of the rank map; 1×1 for `global`.
    rank_map : ndarray of int, shape (K_r, K_c)
        r_ij; for `hybrid` of the block term. For `global` its one entry is also `global_rank`.
    dtype : torch.dtype
        Of the target, and so of `dense()`.
    """

    family: str
    budget: int
    grid: Grid
    rank_map: RankMap
    dtype: torch.dtype
    device: torch.device
    _parts: tuple[Part, ...]
    _target: Tensor | None = None
    _error: float | None = None
    _global: Part | None = None
    _spans_whole: bool = False
    # Energy left in each block of `grid`, where a decomposition tells it.
    _left: Float64[np.ndarray, "K_r K_c"] | None = None

    @classmethod
    def from_svd(
        cls,
        family: str,
        budget: int,
        svd: BlockSVD,
        rank_map: RankMap,
        target: Float[Tensor, "m n"],
        *,
        term: GlobalTerm | None = None,
        error: float | None = None,
        spans_whole: bool = False,
    ) -> Approximation:
        """Truncate the decomposition of every block to its rank; no factor is copied.

        With a global term, `svd` is that of what the term leaves and `error` must be given or is
        measured. With `spans_whole` the only block counts as a global term.
        """
        if term is None and error is None and svd.exact and not target.is_meta:
            error = svd.spectra.relative_error(rank_map)
        return cls(
            family,
            budget,
            svd.grid,
            rank_map,
            target.dtype,
            target.device,
            parts_of_svd(svd, rank_map),
            target,
            error,
            None if term is None else whole_part(svd.grid, term),
            spans_whole,
            svd.spectra.residuals(rank_map) if svd.exact and not target.is_meta else None,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n) of the target."""
        return self.grid.shape

    @property
    def global_rank(self) -> int:
        """Rank of the term that spans the whole matrix, in `global` and `hybrid`; else 0."""
        if self._global is not None:
            return self._global.s.shape[-1]
        return int(self.rank_map[0, 0]) if self._spans_whole else 0

    @property
    def terms(self) -> tuple[tuple[Grid, RankMap], ...]:
        """Grid and rank map of every term that is summed: a global term, then the blocks.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> found = approximate(np.eye(4), "hybrid", budget=8, grid=2)
        >>> [ranks.tolist() for _, ranks in found.terms]
        [[[2, 0], [0, 0]]]
        """
        blocks = ((self.grid, self.rank_map),) if self.rank_map.any() else ()
        if self._global is None or not self.global_rank:
            return blocks
        return ((self.grid.whole(), np.array([[self.global_rank]])), *blocks)

    @property
    def num_parameters(self) -> int:
        """Σ r_ij·(h_i + w_j), the trainable parameters used; for `hybrid` plus r₀·(m + n)."""
        blocks = int((self.rank_map * self.grid.costs).sum())
        return blocks if self._global is None else blocks + self.global_rank * sum(self.shape)

    @property
    def unused_parameters(self) -> int:
        """Parameters of the budget that integer ranks, or full rank, leave over."""
        return self.budget - self.num_parameters

    @cached_property
    def relative_error(self) -> float:
        """‖W − Ŵ‖_F/‖W‖_F, before rounding to a half-precision dtype; 0 for the zero matrix.

        Read from the discarded singular values after an exact decomposition; measured on the
        dense residual after a randomized one.
        """
        if self._error is not None:
            return self._error
        return float(np.sqrt((self.block_errors(self.grid) ** 2).sum()))

    @property
    def energy(self) -> float:
        """Share of ‖W‖²_F that is captured, 1 − relative_error²."""
        return 1 - self.relative_error**2

    def _dense(self) -> Float[Tensor, "m n"]:
        out = torch.zeros(self.shape, dtype=compute_dtype(self.dtype), device=self.device)
        for part in self._parts:
            scatter_blocks(out, part.group, part.product())
        return out if self._global is None else out + self._global.product()[0]

    def dense(self) -> Float[Tensor, "m n"]:
        """Return Ŵ, shape (m, n), in the dtype and on the device of the target.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> approximate(np.ones((4, 4)), "global", budget=8).dense().sum().round(decimals=6)
        tensor(16., dtype=torch.float64)
        """
        return self._dense().to(self.dtype)

    def block_errors(
        self, grid: GridLike | None = None, target: Matrix | None = None
    ) -> Float64[np.ndarray, "K_r K_c"]:
        """Return the residual norm of every block of `grid` over ‖W‖_F.

        The squares sum to relative_error².

        Parameters
        ----------
        grid : int, (int, int) or Grid, optional
            Any grid of the matrix; by default the approximation's own.
        target : Tensor or ndarray, optional
            W, needed only where the approximation was loaded from a file.

        Raises
        ------
        ValueError
            Loaded from a file and no target given.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> approximate(np.eye(4), "diagonal", budget=8, grid=2).block_errors(2).round(3)
        array([[0.5, 0. ],
               [0. , 0.5]])
        """
        reference = self._target if target is None else as_matrix(target)
        if reference is None:
            raise ValueError("this approximation was loaded without its target: pass target=W")
        if tuple(reference.shape) != self.shape:
            raise ValueError(
                f"target must have the shape {self.shape}; its shape is {tuple(reference.shape)}"
            )
        cut = self.grid if grid is None else Grid.resolve(grid, self.shape)
        work = reference.to(compute_dtype(reference.dtype))
        norm = float(np.sqrt((block_norms(work, self.grid.whole()) ** 2).sum()))
        if norm == 0:
            return np.zeros(cut.blocks)
        if target is None and self._left is not None and cut == self.grid:
            return np.sqrt(self._left) / norm
        return block_norms(work - self._dense().to(work.dtype), cut) / norm

    def numerical_rank(self) -> int:
        """Return the rank of Ŵ: singular values above max(m, n)·ε·σ_max, ε of the working dtype.

        Where no two blocks share a row or a column, the singular values of Ŵ are those of its
        blocks; otherwise the dense form is decomposed.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> approximate(np.eye(8), "localized", budget=64, grid=2).numerical_rank()
        4
        """
        used = self.rank_map > 0
        apart = max(used.sum(axis=0).max(), used.sum(axis=1).max()) <= 1
        if self._target is None or self._global is not None or not apart:
            return metrics.numerical_rank(self._dense())
        kept = np.concatenate(
            [[0.0], *(p.s.double().numpy(force=True).ravel() for p in self._parts)]
        )
        smallest = max(self.shape) * torch.finfo(compute_dtype(self.dtype)).eps * kept.max()
        return int((kept > smallest).sum())

    def factors(self) -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
        """Return the factors of every block that has a rank.

        Returns
        -------
        dict
            ``{(i, j): (B_ij, A_ij)}`` with B_ij of shape (h_i, r_ij) and A_ij of shape
            (r_ij, w_j), so that B_ij @ A_ij approximates block (i, j). The singular values are
            shared evenly, B = U·√S and A = √S·Vh; blocks of rank 0 are left out.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> pairs = approximate(np.eye(4), "localized", budget=16, grid=2).factors()
        >>> {block: (tuple(b.shape), tuple(a.shape)) for block, (b, a) in pairs.items()}[0, 1]
        ((2, 1), (1, 2))
        """
        pairs = {}
        for part in self._parts:
            root = part.s.sqrt()
            left, right = part.u * root[:, None, :], root[:, :, None] * part.vh
            for at, (i, j) in enumerate(zip(part.group.rows, part.group.cols, strict=True)):
                rank = int(self.rank_map[i, j])
                if rank:
                    pairs[int(i), int(j)] = (left[at, :, :rank], right[at, :rank, :])
        return dict(sorted(pairs.items()))

    def global_factors(self) -> tuple[Float[Tensor, "m r"], Float[Tensor, "r n"]] | None:
        """Return (B, A) of the global term that `hybrid` adds to its blocks; None without one.

        B has the shape (m, r₀) and A (r₀, n), with the singular values shared evenly as in
        `factors`. For `global` the pair is that of its only block, ``factors()[0, 0]``.

        Examples
        --------
        >>> from lolora_core import approximate
        >>> a = approximate(np.ones((4, 4)), "hybrid", budget=8, grid=2)
        >>> b, right = a.global_factors()
        >>> tuple(b.shape), tuple(right.shape), a.factors()
        ((4, 1), (1, 4), {})
        """
        if self._global is None:
            return None
        root = self._global.s[0].sqrt()
        return self._global.u[0] * root, root[:, None] * self._global.vh[0]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the factors, the grid and the rank map to a safetensors file.

        Tensors ``B.i.j`` and ``A.i.j`` hold the factors of block (i, j), ``B.global`` and
        ``A.global`` those of a global term; ``rank_map``, ``row_edges`` and ``col_edges`` the
        structure; the rest stands in the metadata.
        """
        held = Saved(
            self.family,
            self.budget,
            self.grid,
            self.rank_map,
            self.dtype,
            self.relative_error,
            self._spans_whole,
            self.factors(),
            self.global_factors(),
        )
        write_saved(held, path)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str = "cpu",
        max_entries: int = MAX_ENTRIES,
    ) -> Approximation:
        """Read what `save` wrote, of a matrix of at most `max_entries`.

        Raises
        ------
        FileNotFoundError, ValueError
            No such file, or one whose parts do not fit together.
        """
        held = read_saved(path, device=device, max_entries=max_entries)
        term = None
        if held.whole is not None:
            left, right = held.whole
            ones = left.new_ones(left.shape[1])
            term = whole_part(held.grid, GlobalTerm(left, ones, right))
        return cls(
            held.family,
            held.budget,
            held.grid,
            held.rank_map,
            held.dtype,
            torch.device(device),
            parts_of_factors(held.grid, held.rank_map, held.factors),
            None,
            held.relative_error,
            term,
            held.spans_whole,
        )
