"""What is measured on a target and its approximation."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "compression_ratio",
    "effective_rank",
    "energy",
    "first_singular_share",
    "max_absolute_error",
    "mse",
    "numerical_rank",
    "psnr",
    "relative_error",
    "ssim",
    "stable_rank",
    "value_span",
]

#: One matrix, or the channels of a colour image side by side in the last axis.
Picture = Tensor | np.ndarray


def _pair(target: Picture, approximation: Picture) -> tuple[Tensor, Tensor]:
    first, second = (
        x if isinstance(x, Tensor) else torch.tensor(x) for x in (target, approximation)
    )
    if first.shape != second.shape:
        raise ValueError(
            "target and approximation must have the same shape; they have "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    return first.double(), second.double()


def relative_error(target: Picture, approximation: Picture) -> float:
    """‖W − Ŵ‖_F/‖W‖_F, measured on the dense matrices; 0 for the zero matrix, no unit.

    Examples
    --------
    >>> relative_error(np.array([[3.0, 4.0]]), np.array([[3.0, 0.0]]))
    0.8
    """
    w, v = _pair(target, approximation)
    norm = float(torch.linalg.vector_norm(w))
    return float(torch.linalg.vector_norm(w - v)) / norm if norm else 0.0


def energy(target: Picture, approximation: Picture) -> float:
    """Share of ‖W‖²_F that is captured, 1 − relative error².

    Examples
    --------
    >>> round(energy(np.array([[3.0, 4.0]]), np.array([[3.0, 0.0]])), 4)
    0.36
    """
    return 1 - relative_error(target, approximation) ** 2


def max_absolute_error(target: Picture, approximation: Picture) -> float:
    """Max |W − Ŵ|, in the unit of the entries.

    Examples
    --------
    >>> max_absolute_error(np.array([[3.0, 4.0]]), np.array([[3.0, 4.5]]))
    0.5
    """
    w, v = _pair(target, approximation)
    return float((w - v).abs().max())


def mse(target: Picture, approximation: Picture) -> float:
    """Mean of (W − Ŵ)², in the squared unit of the entries.

    Examples
    --------
    >>> mse(np.array([[3.0, 4.0]]), np.array([[3.0, 5.0]]))
    0.5
    """
    w, v = _pair(target, approximation)
    return float(((w - v) ** 2).mean())


def value_span(target: Picture) -> float:
    """Max W − min W: the data range for PSNR and SSIM where no other is known.

    Examples
    --------
    >>> value_span(np.array([[-1.0, 3.0]]))
    4.0
    """
    w = np.asarray(target) if isinstance(target, np.ndarray) else target
    return float(w.max() - w.min())


def psnr(target: Picture, approximation: Picture, data_range: float) -> float:
    """Peak signal-to-noise ratio, 10·log₁₀(data_range²/MSE), in dB; infinite without error.

    Parameters
    ----------
    target, approximation : Tensor or ndarray of one shape
    data_range : float
        Span of the values: 1 for images in [0, 1], `value_span` for matrices.

    Examples
    --------
    >>> round(psnr(np.array([[0.0, 1.0]]), np.array([[0.0, 0.9]]), data_range=1.0), 4)
    23.0103
    """
    error = mse(target, approximation)
    if error == 0:
        return float("inf")
    if data_range == 0:
        return float("-inf")
    return float(10 * np.log10(data_range**2 / error))


def ssim(target: Picture, approximation: Picture, data_range: float) -> float | None:
    """Mean structural similarity (Wang et al. 2004), by scikit-image with its 7×7 window; −1…1.

    Parameters
    ----------
    target, approximation : Tensor or ndarray, shape (m, n) or (m, n, 3)
    data_range : float
        As for `psnr`.

    Returns
    -------
    float or None
        None where it is not defined: a side under 7, or a data range of 0.

    Examples
    --------
    >>> ssim(np.eye(8), np.eye(8), data_range=1.0)
    1.0
    """
    # scikit-image loads SciPy; only SSIM needs either.
    from skimage.metrics import structural_similarity

    if min(target.shape[:2]) < 7 or data_range == 0:
        return None
    # scikit-image keeps float32, twice as fast; the sixth digit is more than anybody reads. It
    # squares squares, which overflow or vanish there where the span is far from 1.
    w, v = ((x / data_range).float().numpy(force=True) for x in _pair(target, approximation))
    axis = 2 if w.ndim == 3 else None
    return float(structural_similarity(w, v, data_range=1.0, channel_axis=axis))


def effective_rank(singular_values: np.ndarray) -> float:
    """exp(H(p)) with p_i = σ_i²/Σσ² and H(p) = −Σ p_i·ln p_i; between 1 and the rank.

    It counts how many singular values share the energy. (Roy and Vetterli 2007 define it with
    p_i = σ_i/Σσ; here the energies are normalised.) 0 for the zero matrix.

    Examples
    --------
    >>> round(effective_rank(np.array([1.0, 1.0, 0.0])), 6)
    2.0
    """
    energies = np.asarray(singular_values, dtype=np.float64).ravel() ** 2
    total = energies.sum()
    if total == 0:
        return 0.0
    p = energies[energies > 0] / total
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def stable_rank(singular_values: np.ndarray) -> float:
    """‖X‖²_F/σ₁² = Σσ²/σ₁², between 1 and the rank; 0 for the zero matrix.

    It is near 1 where one direction holds nearly all, however many others there are.

    Examples
    --------
    >>> stable_rank(np.array([2.0, 1.0, 1.0]))
    1.5
    """
    values = np.asarray(singular_values, dtype=np.float64).ravel()
    largest = values.max(initial=0)
    return float(((values / largest) ** 2).sum()) if largest else 0.0


def first_singular_share(singular_values: np.ndarray) -> float:
    """σ₁/Σσ, above 0 and at most 1; 0 for the zero matrix.

    Examples
    --------
    >>> first_singular_share(np.array([2.0, 1.0, 1.0]))
    0.5
    """
    values = np.asarray(singular_values, dtype=np.float64).ravel()
    total = values.sum()
    return float(values.max() / total) if total else 0.0


def numerical_rank(matrix: Float[Tensor, "m n"]) -> int:
    """Singular values above max(m, n)·ε·σ_max, with ε of the dtype of the matrix.

    Examples
    --------
    >>> numerical_rank(torch.ones(3, 3))
    1
    """
    return int(torch.linalg.matrix_rank(matrix))


def compression_ratio(shape: tuple[int, int], num_parameters: int) -> float:
    """m·n over the parameters used; infinite for none.

    Examples
    --------
    >>> compression_ratio((512, 512), 32768)
    8.0
    """
    return shape[0] * shape[1] / num_parameters if num_parameters else float("inf")
