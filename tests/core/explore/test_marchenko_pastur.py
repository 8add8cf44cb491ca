"""Singular values of noise."""

from __future__ import annotations

import numpy as np
import pytest

from lolora_core.explore.marchenko_pastur import noise_edge, noise_singular_values


@pytest.mark.parametrize("shape", [(256, 256), (400, 100), (100, 400)])
def test_noise_follows_the_law(shape: tuple[int, int]) -> None:
    expected = noise_singular_values(*shape)
    noise = np.random.default_rng(0).standard_normal(shape)
    values = np.linalg.svd(noise, compute_uv=False)
    assert np.abs(values - expected).max() < 0.03 * noise_edge(*shape)
    # The energy of standard normal entries is their number.
    assert np.square(expected).sum() == pytest.approx(shape[0] * shape[1], rel=0.01)
