"""Intruder dimensions: leading directions of a tuned matrix that its base does not have."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["INTRUDER_COSINE", "Intruders", "count_intruders"]

#: ε: a direction with no |cosine| of this or more with one of the base is an intruder.
INTRUDER_COSINE = 0.5

# Singular values under this share of the largest move no leading direction.
_FLOOR = 1e-6


class Intruders(NamedTuple):
    """How many of the first k directions are intruders.

    Attributes
    ----------
    found : int
        Of W + ΔW.
    random : int
        Of W + R, where R has the singular values of ΔW and random singular vectors.
    """

    found: int
    random: int


def count_intruders(
    base: Float[Tensor, "m n"],
    update: Float[Tensor, "m n"],
    singular_values: Float[np.ndarray, " k"],
    first: int,
    *,
    name: str = "",
) -> Intruders:
    """Count the intruder dimensions of W + ΔW (Shuttleworth et al., arXiv 2410.21228).

    With u_j the left singular vectors of W + ΔW by falling singular value, and u⁰_i all those of
    W, u_j is an intruder where max_i |u_jᵀ·u⁰_i| < 0.5; it is counted for j = 1…k. Beside it the
    count for W + Q₁·diag(σ)·Q₂ᵀ, with the singular values σ of ΔW and random orthonormal Q₁, Q₂.
    The base costs a full SVD in float32, the others their first k vectors.

    Parameters
    ----------
    base, update : Tensor, shape (m, n)
        W and ΔW, float32 or float64.
    singular_values : ndarray, shape (k,)
        Those of ΔW, falling.
    first : int
        k; at most min(m, n) are looked at.
    name : str
        Seed of the random vectors: one name gives the same ones again.

    Returns
    -------
    Intruders

    Examples
    --------
    >>> base = torch.diag(torch.arange(16, 0, -1.0))
    >>> count_intruders(base, torch.full((16, 16), 25.0), np.array([400.0]), 1)
    Intruders(found=1, random=1)
    """
    if not update.any():
        return Intruders(0, 0)
    # ARPACK squares the matrix, and squares of tiny entries vanish in float32.
    scale = float(torch.maximum(base.abs().max(), update.abs().max()))
    w, delta = (base / scale).float(), (update / scale).float()
    left = torch.linalg.svd(w, full_matrices=False).U
    random = _random_update(w.shape, singular_values / scale, name)
    return Intruders(
        *(
            int((_leading(tuned, first).T @ left).abs().amax(1).lt(INTRUDER_COSINE).sum())
            for tuned in (w + delta, w + random)
        )
    )


def _random_update(
    shape: torch.Size, singular_values: Float[np.ndarray, " k"], name: str
) -> Float[Tensor, "m n"]:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    made = torch.Generator().manual_seed(seed)
    kept = singular_values[singular_values > _FLOOR * singular_values[0]]
    values = torch.as_tensor(kept, dtype=torch.float32)
    q1, q2 = (torch.linalg.qr(torch.randn(side, len(values), generator=made)).Q for side in shape)
    return (q1 * values) @ q2.T


def _leading(matrix: Float[Tensor, "m n"], first: int) -> Float[Tensor, "m k"]:
    """Return the first left singular vectors: of large matrices by ARPACK, which needs few."""
    short = min(matrix.shape)
    if 4 * first >= short:
        return torch.linalg.svd(matrix, full_matrices=False).U[:, :first]
    from scipy.sparse.linalg import svds  # slow to load

    # Without a start of its own ARPACK draws one, and the answer is to be the same each time.
    start = np.random.default_rng(0).standard_normal(short).astype(np.float32)
    left, _, _ = svds(matrix.numpy(), first, v0=start, return_singular_vectors="u")
    return torch.from_numpy(left.copy())
