"""Singular values of every block: all that ranks and errors need, never a dense matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int

from lolora_core.blocks.grid import Grid

__all__ = ["PooledOrder", "Spectra"]


@dataclass(frozen=True, eq=False)
class PooledOrder:
    """The singular values of all blocks, by energy per parameter, greatest first.

    Attributes
    ----------
    blocks : ndarray of int, shape (q,)
        Flat index of the block that each singular value belongs to.
    costs : ndarray of int, shape (q,)
        Parameters that keeping it costs, h + w of its block.
    spent : ndarray of int, shape (q,)
        Running sum of `costs`.
    energies : ndarray, shape (q,)
        σ² of each.
    """

    blocks: Int[np.ndarray, " q"]
    costs: Int[np.ndarray, " q"]
    spent: Int[np.ndarray, " q"]
    energies: Float64[np.ndarray, " q"]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Singular values of the blocks of a grid, on the host, in float64.

    The squared error of a rank map R is the sum of what it leaves out (Eckart–Young, block by
    block): ‖W − Ŵ‖²_F = Σ_ij Σ_{k > r_ij} σ_ijk².

    Parameters
    ----------
    grid : Grid
        The grid the blocks belong to.
    values : ndarray, shape (K_r, K_c, k)
        Singular values, falling, padded with zeros.
    beyond : ndarray, shape (K_r, K_c)
        Energy of each block that `values` does not hold: 0 after an exact decomposition.

    Examples
    --------
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> spectra.relative_error(np.array([[1]]))
    0.6
    """

    grid: Grid
    values: Float64[np.ndarray, "K_r K_c k"]
    beyond: Float64[np.ndarray, "K_r K_c"]

    @property
    def nbytes(self) -> int:
        """Memory of the singular values, and of the energies that are made from them."""
        return 2 * self.values.nbytes + self.beyond.nbytes

    @cached_property
    def tails(self) -> Float64[np.ndarray, "K_r K_c k_plus_1"]:
        """Energy left after keeping the first r singular values, for r = 0…k."""
        squares = np.concatenate([self.values**2, self.beyond[..., None]], axis=-1)
        return np.cumsum(squares[..., ::-1], axis=-1)[..., ::-1]

    @cached_property
    def total(self) -> float:
        """‖W‖²_F, the sum of all squared singular values."""
        return float(self.tails[..., 0].sum())

    @cached_property
    def by_density(self) -> PooledOrder:
        """Every nonzero singular value by energy per parameter, σ²/(h + w), greatest first."""
        rows, cols, depth = self.values.shape
        costs = np.repeat(self.grid.costs.ravel(), depth)
        energy = (self.values**2).ravel()
        # A stable sort keeps equal singular values of one block in their order.
        order = np.argsort(-energy / costs, kind="stable")
        order = order[energy[order] > 0]
        blocks = np.repeat(np.arange(rows * cols), depth)[order]
        return PooledOrder(blocks, costs[order], np.cumsum(costs[order]), energy[order])

    def residuals(self, rank_map: Int[np.ndarray, "K_r K_c"]) -> Float64[np.ndarray, "K_r K_c"]:
        """Return the energy that a rank map leaves out in each block."""
        kept = np.minimum(rank_map, self.values.shape[-1])
        return np.take_along_axis(self.tails, kept[..., None], axis=-1)[..., 0]

    @cached_property
    def shares(self) -> Float64[np.ndarray, "K_r K_c"]:
        """Share of ‖W‖²_F that lies in each block; 0 for the zero matrix.

        Examples
        --------
        >>> spectra = Spectra(Grid.regular((2, 2), 2), np.diag([1.0, 3.0])[..., None],
        ...                   np.zeros((2, 2)))
        >>> spectra.shares.tolist()
        [[0.1, 0.0], [0.0, 0.9]]
        """
        return self.tails[..., 0] / (self.total or 1.0)

    def kept(self, rank_map: Int[np.ndarray, "K_r K_c"]) -> Float64[np.ndarray, "K_r K_c"]:
        """Return the share of each block's own energy that a rank map keeps; 1 for zeros.

        Examples
        --------
        >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
        >>> spectra.kept(np.array([[1]])).tolist()
        [[0.64]]
        """
        whole, left = self.tails[..., 0], self.residuals(rank_map)
        return 1 - np.divide(left, whole, out=np.zeros_like(whole), where=whole > 0)

    def relative_error(self, rank_map: Int[np.ndarray, "K_r K_c"]) -> float:
        """Return ‖W − Ŵ‖_F/‖W‖_F of a rank map; 0 for the zero matrix."""
        if self.total == 0:
            return 0.0
        return float(np.sqrt(self.residuals(rank_map).sum() / self.total))
