"""Row and column permutations that gather structure into the blocks of a grid."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsIndex, TypeVar

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from lolora_core.blocks.gram import normalized
from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.common.checks import Matrix, as_matrix, check_budget
from lolora_core.explore.sweep import sweep
from lolora_core.families import resolve_family

__all__ = ["Reordering", "reorder"]

AnyMatrix = TypeVar("AnyMatrix", Tensor, np.ndarray)
Orders = tuple[Int[np.ndarray, " m"], Int[np.ndarray, " n"]]

# A smaller gain is within the accuracy of the errors that are compared.
_LEAST_GAIN = 1e-6
# Shares of the energy at which the row and column spaces are cut off.
_SHARES = (0.5, 0.9, 0.99)
_NUMERICAL_RANK = 1e-6


@dataclass(frozen=True, eq=False)
class Reordering:
    """A permutation of the rows and one of the columns, and what they gained.

    Attributes
    ----------
    row_order : ndarray of int, shape (m,)
        Row i of the reordered matrix is row ``row_order[i]`` of W.
    col_order : ndarray of int, shape (n,)
        The same for columns.
    grid : Grid
    family : str
    budget : int
        Where errors were compared.
    error_before, error_after : float
        Relative error of W and of the reordered W; equal where nothing was gained.

    Examples
    --------
    >>> order = np.array([1, 0])
    >>> swapped = Reordering(order, order, Grid.regular((2, 2), 2), "adaptive", 4, 0.5, 0.4)
    >>> swapped.apply(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[4., 3.],
           [2., 1.]])
    >>> swapped.undo(swapped.apply(np.array([[1.0, 2.0], [3.0, 4.0]])))
    array([[1., 2.],
           [3., 4.]])
    """

    row_order: Int[np.ndarray, " m"]
    col_order: Int[np.ndarray, " n"]
    grid: Grid
    family: str
    budget: int
    error_before: float
    error_after: float

    @property
    def gained(self) -> bool:
        """Whether any order was better than the one that W has; if not, this is the identity."""
        return self.error_after < self.error_before

    def __str__(self) -> str:
        """Return what was gained as a sentence."""
        where = (
            f"{self.family} on {self.grid.label} blocks with a budget of {self.budget:,} parameters"
        )
        if not self.gained:
            return (
                f"No order was found in which {where} does better than in the present one "
                f"(relative error {self.error_before:.3g}); rows and columns stay as they are."
            )
        return (
            f"Reordered, {where} has a relative error of {self.error_after:.3g} in place of "
            f"{self.error_before:.3g}."
        )

    def apply(self, matrix: AnyMatrix) -> AnyMatrix:
        """Return the matrix with rows and columns in the new order, in its dtype and device.

        Raises
        ------
        ValueError
            A matrix of another shape.
        """
        return _permuted(matrix, self.row_order, self.col_order)

    def undo(self, matrix: AnyMatrix) -> AnyMatrix:
        """Return the matrix with rows and columns back in the old order, bit for bit.

        Raises
        ------
        ValueError
            A matrix of another shape.
        """
        return _permuted(matrix, np.argsort(self.row_order), np.argsort(self.col_order))


def _permuted(
    matrix: AnyMatrix, rows: Int[np.ndarray, " m"], cols: Int[np.ndarray, " n"]
) -> AnyMatrix:
    if tuple(matrix.shape) != (len(rows), len(cols)):
        raise ValueError(
            f"matrix must have the shape {(len(rows), len(cols))}; its shape is "
            f"{tuple(matrix.shape)}"
        )
    if isinstance(matrix, np.ndarray):
        return matrix[np.ix_(rows, cols)]
    index = (torch.as_tensor(order, device=matrix.device) for order in (rows, cols))
    return matrix[next(index)[:, None], next(index)]


def _cluster(
    weights: Float64[np.ndarray, "m n"], clusters: int, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a cluster for every row and column; those of zeros come last.

    None where there are too few rows or columns for that many clusters.
    """
    # scikit-learn takes seconds to load; nothing else here needs it.
    from sklearn.cluster import SpectralCoclustering
    from sklearn.exceptions import ConvergenceWarning

    rows, cols = weights.max(1) > 0, weights.max(0) > 0
    # The co-clustering reads 1 + ⌈log₂ K⌉ singular vectors.
    needed = max(clusters, 1 + math.ceil(math.log2(clusters)))
    if clusters < 2 or min(rows.sum(), cols.sum()) <= needed:
        return None
    model = SpectralCoclustering(clusters, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters is an answer, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(weights[np.ix_(rows, cols)])
    found = np.full(len(rows), clusters), np.full(len(cols), clusters)
    found[0][rows], found[1][cols] = model.row_labels_, model.column_labels_
    return found


def _orders(work: Float64[np.ndarray, "m n"], grid: Grid, seed: int) -> Iterator[Orders]:
    """Yield orders that may be better; equal labels keep their order."""

    def order(labels: np.ndarray) -> np.ndarray:
        return np.argsort(labels, kind="stable")

    joint = _cluster(work**2, max(grid.blocks), seed)
    if joint is not None:
        yield order(joint[0]), order(joint[1])

    u, s, vh = np.linalg.svd(work, full_matrices=False)
    if s[0] == 0:
        return
    captured = np.cumsum(s**2) / (s**2).sum()
    ranks = {int(np.searchsorted(captured, share)) + 1 for share in _SHARES}
    ranks.add(int((s > _NUMERICAL_RANK * s[0]).sum()))
    for rank in sorted(ranks):
        # Where every row has one subspace of its own cluster, and these are independent, the
        # projection on the space of all rows is zero between clusters.
        of_rows = (u[:, :rank] @ u[:, :rank].T) ** 2
        of_cols = (vh[:rank].T @ vh[:rank]) ** 2
        rows = _cluster(of_rows, grid.blocks[0], seed) if rank < len(of_rows) else None
        cols = _cluster(of_cols, grid.blocks[1], seed) if rank < len(of_cols) else None
        if rows is not None or cols is not None:
            yield (
                np.arange(len(of_rows)) if rows is None else order(rows[0]),
                np.arange(len(of_cols)) if cols is None else order(cols[0]),
            )


def reorder(
    target: Matrix,
    *,
    budget: SupportsIndex,
    grid: GridLike = 8,
    family: str = "adaptive",
    seed: int = 0,
) -> Reordering:
    """Find an order of rows and columns in which a family does better; never a worse one.

    Spectral co-clustering (Dhillon 2001, as scikit-learn's SpectralCoclustering) proposes orders
    and the family's relative error at the budget picks among them and the present one:

    - rows and columns clustered together by energy, W², in max(K_r, K_c) clusters: this gathers
      blocks of large entries;
    - rows in K_r and columns in K_c clusters by the squared entries of the projections U·Uᵀ and
      V·Vᵀ on the leading singular vectors (the shape interaction matrix of Costeira and Kanade
      1998), at the ranks that hold 50, 90 and 99 % of the energy and at the numerical rank: this
      gathers rows that lie in one low-dimensional space, whatever the size of their entries.

    Rows and columns of zeros go last. The grid is not moved: clusters of other sizes than its
    blocks are cut by it. The clustering runs on the host; the order found depends on nothing but
    W and the seed.

    A permutation of channels is free at inference. With P and Q the permutations, y = W·x is
    y = Pᵀ·(P·W·Qᵀ)·(Q·x): Q folds into the rows (and bias) of the layer before and P into the
    columns of the layer after, through anything that acts channel by channel. Where a channel is
    shared (a residual stream, attention heads, a normalization in groups) it does not fold, and
    the input and the output are indexed once each instead.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        W; see `as_matrix`.
    budget : int
        Trainable parameters at which errors are compared.
    grid : int, (int, int) or Grid
        K, (K_r, K_c) or any cut.
    family : str
        What should gain: a family that a `sweep` knows, other than `global`.
    seed : int
        Of the clustering.

    Returns
    -------
    Reordering
        The identity where no order gains more than 10⁻⁶.

    Raises
    ------
    TypeError, ValueError
        Bad input of `sweep`; a family such as `global`, whose error no permutation changes.

    Examples
    --------
    >>> found = reorder(np.eye(32)[:, ::-1].copy(), budget=64, grid=4, family="diagonal")
    >>> found.error_after < found.error_before == 1.0
    True
    """
    matrix = as_matrix(target)
    cut = Grid.resolve(grid, tuple(matrix.shape))
    if resolve_family(family).spans_whole:
        raise ValueError(
            f"family must have blocks; {family!r} spans the whole matrix, and no order of rows "
            "and columns changes its error"
        )
    allowed = check_budget(budget)

    def error(candidate: Tensor) -> float:
        return (
            sweep(candidate, [cut], [family], [allowed])
            .row(family, cut.blocks, allowed)
            .relative_error
        )

    before = error(matrix)
    best: Orders = np.arange(cut.shape[0]), np.arange(cut.shape[1])
    lowest = before
    for rows, cols in _orders(normalized(matrix)[0].double().numpy(force=True), cut, seed):
        found = error(_permuted(matrix, rows, cols))
        if found < min(lowest, before - _LEAST_GAIN):
            best, lowest = (rows, cols), found
    return Reordering(*best, cut, family, allowed, before, lowest)
