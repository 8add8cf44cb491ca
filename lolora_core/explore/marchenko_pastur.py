"""The singular values that noise has: Marchenko and Pastur's law (1967)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

__all__ = ["noise_edge", "noise_singular_values"]

#: Points at which the density is summed up.
_POINTS = 20_001


def noise_edge(rows: int, cols: int) -> float:
    """Return √m + √n, near which the largest singular value of standard normal noise lies.

    Examples
    --------
    >>> noise_edge(256, 64)
    24.0
    """
    return float(np.sqrt(rows) + np.sqrt(cols))


def noise_singular_values(rows: int, cols: int) -> Float64[np.ndarray, " k"]:
    """Return the singular values to expect of an m×n matrix of standard normal noise.

    The density of σ between |√m − √n| and √m + √n is proportional to
    √((σ₊² − σ²)(σ² − σ₋²))/σ; its quantiles are returned, the largest first.

    Examples
    --------
    >>> noise_singular_values(400, 100).round(1)[[0, 50, 99]]
    array([29.5, 19.1, 10.3])
    """
    high, low = noise_edge(rows, cols), abs(np.sqrt(rows) - np.sqrt(cols))
    # Spaced by angle: the density falls off as a root at both ends.
    angle = np.linspace(0, np.pi, _POINTS)
    values = (high + low) / 2 - (high - low) / 2 * np.cos(angle)
    under = np.clip((high**2 - values**2) * (values**2 - low**2), 0, None)
    density = np.sqrt(under) / np.maximum(values, 1e-12) * np.sin(angle)
    share = np.cumsum(density) / density.sum()
    count = min(rows, cols)
    return np.interp((np.arange(count)[::-1] + 0.5) / count, share, values)
