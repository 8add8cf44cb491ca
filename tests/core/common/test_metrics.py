from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from lolora_core.common import metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    w = rng.random((20, 30))
    return w, w + 0.1 * rng.normal(size=w.shape)


def test_psnr_is_that_of_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.psnr(*pair, data_range=1.0) == pytest.approx(
        peak_signal_noise_ratio(*pair, data_range=1.0)
    )


def test_tensors_and_arrays_agree(pair: tuple[np.ndarray, np.ndarray]) -> None:
    tensors = torch.tensor(pair[0]), torch.tensor(pair[1])
    for measure in (
        metrics.relative_error,
        metrics.energy,
        metrics.max_absolute_error,
        metrics.mse,
    ):
        assert measure(*pair) == measure(*tensors)
    assert metrics.ssim(*pair, data_range=1.0) == metrics.ssim(*tensors, data_range=1.0)


def test_no_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    w = pair[0]
    assert metrics.relative_error(w, w) == 0
    assert metrics.energy(w, w) == 1
    assert metrics.psnr(w, w, 1.0) == math.inf
    assert metrics.ssim(w, w, 1.0) == pytest.approx(1)


def test_constant_and_small_targets() -> None:
    flat = np.ones((9, 9))
    assert metrics.value_span(flat) == 0
    assert metrics.ssim(flat, flat, metrics.value_span(flat)) is None
    assert metrics.psnr(flat, flat + 1, metrics.value_span(flat)) == -math.inf
    assert metrics.ssim(np.ones((6, 40)), np.zeros((6, 40)), 1.0) is None
    assert metrics.relative_error(np.zeros((2, 2)), np.ones((2, 2))) == 0


def test_ssim_of_colour(pair: tuple[np.ndarray, np.ndarray]) -> None:
    w, v = (np.stack([x, x, x], axis=-1) for x in pair)
    assert metrics.ssim(w, v, 1.0) == pytest.approx(metrics.ssim(*pair, 1.0))


def test_effective_rank() -> None:
    assert metrics.effective_rank(np.ones(7)) == pytest.approx(7)
    assert metrics.effective_rank(np.array([5.0, 0, 0])) == 1
    assert metrics.effective_rank(np.zeros(3)) == 0
    # p = (4/5, 1/5)
    expected = math.exp(-(0.8 * math.log(0.8) + 0.2 * math.log(0.2)))
    assert metrics.effective_rank(np.array([2.0, 1.0])) == pytest.approx(expected)


def test_numerical_rank() -> None:
    rng = np.random.default_rng(1)
    w = torch.tensor(rng.normal(size=(40, 6)) @ rng.normal(size=(6, 30)), dtype=torch.float32)
    assert metrics.numerical_rank(w) == 6
    assert metrics.numerical_rank(torch.zeros(3, 4)) == 0


def test_compression_ratio() -> None:
    assert metrics.compression_ratio((100, 50), 500) == 10
    assert metrics.compression_ratio((100, 50), 0) == math.inf


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"same shape; they have \(2, 2\) and \(2, 3\)"):
        metrics.mse(np.ones((2, 2)), np.ones((2, 3)))
