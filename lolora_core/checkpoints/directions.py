"""The singular vectors of an update: from the factors of its adapter where they are thin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.layer import BlockFactors
from lolora_core.common.checks import reject_nonfinite
from lolora_core.common.names import printable
from lolora_core.files.tensors import TensorSource, read_matrix

__all__ = ["DENSE_ENERGY", "LIVE", "Directions", "read_directions"]

#: Of an adapter the directions with a singular value above this share of the largest count.
LIVE = 1e-3

#: Of any other update the leading ones that hold this share of ‖ΔW‖²_F.
DENSE_ENERGY = 0.99


class Directions(NamedTuple):
    """The singular value decomposition ΔW = U·diag(σ)·Vᵀ, in float64.

    Attributes
    ----------
    left, right : Tensor, shapes (m, k) and (n, k)
        U and V.
    values : Tensor, shape (k,)
        σ, falling.
    rank : int
        How many of them span the column space and the row space that are looked at.
    """

    left: Float[Tensor, "m k"]
    values: Float[Tensor, " k"]
    right: Float[Tensor, "n k"]
    rank: int

    @property
    def norm(self) -> float:
        """‖ΔW‖_F."""
        return float(torch.linalg.vector_norm(self.values))

    def inner(self, other: Directions) -> float:
        """Return ⟨ΔW, ΔW'⟩ = Σ_ij σ_i·σ'_j·(u_iᵀ·u'_j)·(v_iᵀ·v'_j)."""
        products = (self.left.T @ other.left) * (self.right.T @ other.right)
        return float(self.values @ products @ other.values)


def read_directions(source: TensorSource, name: str) -> Directions:
    """Read one update and decompose it.

    An adapter whose factors are thin is never multiplied out: with ΔW = L·R, QR decompositions
    L = Q₁·R₁ and Rᵀ = Q₂·R₂ leave the SVD of the small R₁·R₂ᵀ.

    Raises
    ------
    ValueError
        The update is not finite.

    Examples
    --------
    >>> from lolora_core.files.tensors import MappingSource
    >>> update = torch.diag(torch.tensor([10.0, 9.0, 0.1]))
    >>> found = read_directions(MappingSource({"a": update}, is_update=True), "a")
    >>> found.rank, found.values.tolist()
    (2, [10.0, 9.0, 0.10000000149011612])
    """
    terms = _terms(source, name)
    product = _thin_product(terms)
    if product is None:
        matrix = read_matrix(source, name)
        matrix = matrix.flatten(1)
        reject_nonfinite(matrix, f"{printable(name)} of {printable(source.label)}")
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    else:
        for factor in product:
            reject_nonfinite(factor, f"{printable(name)} of {printable(source.label)}")
        (q1, r1), (q2, r2) = torch.linalg.qr(product[0]), torch.linalg.qr(product[1].T)
        inner, values, outer = torch.linalg.svd(r1 @ r2.T)
        left, right = q1 @ inner, outer @ q2.T
    values = values.double()
    return Directions(left.double(), values, right.T.double(), _rank(values, known=bool(terms)))


def _rank(values: Float[Tensor, " k"], *, known: bool) -> int:
    if not values.any():
        return 0
    if known:
        return int((values > LIVE * values[0]).sum())
    held = torch.cumsum(values**2, 0)
    return int((held < DENSE_ENERGY * held[-1]).sum()) + 1


def _terms(source: TensorSource, name: str) -> Sequence[BlockFactors]:
    """Return the factors of an update, nothing where it is not made of factors alone."""
    if not isinstance(source, AdapterSource):
        return ()
    return source.adapters.terms.get(name.removesuffix(".weight"), ())


def _thin_product(terms: Sequence[BlockFactors]) -> tuple[Tensor, Tensor] | None:
    """Return L of shape (m, k) and R (k, n) with ΔW = L·R; None where k is not small."""
    slots = sum(term.layout.slots for term in terms)
    if not slots or 2 * slots > min(terms[0].layout.grid.shape):
        return None
    return _whole_factors(terms)


@torch.no_grad()
def _whole_factors(terms: Sequence[BlockFactors]) -> tuple[Tensor, Tensor]:
    m, n = terms[0].layout.grid.shape
    lefts, rights = [], []
    for term in terms:
        grid = term.layout.grid
        for (i, j), (b, a) in term.factors().items():
            left = torch.zeros(m, b.shape[1], dtype=torch.float64)
            right = torch.zeros(a.shape[0], n, dtype=torch.float64)
            left[grid.row_edges[i] : grid.row_edges[i + 1]] = b.double() * term.scaling
            right[:, grid.col_edges[j] : grid.col_edges[j + 1]] = a.double()
            lefts.append(left)
            rights.append(right)
    return torch.cat(lefts, 1), torch.cat(rights)
