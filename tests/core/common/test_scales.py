"""Values so large or small that squares overflow or vanish: refused, or computed rightly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lolora_core import FAMILIES, approximate, decompose
from lolora_core.checkpoints import extract_adapters, survey
from lolora_core.common.metrics import relative_error, ssim
from lolora_core.common.scales import SCALES
from lolora_core.targets import upload_npy
from tests.core.targets.uploads.files import npy

NOISE = np.random.default_rng(0).uniform(-1, 1, (24, 24))
NOISE[0, 0] = 1.0
REFUSED: list[tuple[Any, float, str]] = [
    (np.float64, 1e300, r"values up to 1e\+300, and 1e\+150 is the largest .* divide the"),
    (np.float32, 3e38, r"values up to 3e\+38, and 1e\+15 is the largest"),
    (np.float32, 1.1e15, r"and 1e\+15 is the largest"),
    (np.float64, 1e-320, r"no value above 1e-320, .* one of 1e-145 is needed; multiply the"),
    (np.float32, 1e-42, r"and at least one of 1e-18 is needed"),
]


@pytest.mark.parametrize(("dtype", "scale", "message"), REFUSED)
def test_what_cannot_be_squared_is_refused_in_a_sentence(
    dtype: Any, scale: float, message: str
) -> None:
    weights = (NOISE * scale).astype(dtype)
    for call in (
        lambda: decompose(weights, 4),
        lambda: approximate(weights, "localized", budget=96, grid=4),
    ):
        with pytest.raises(ValueError, match=f"^target holds .*{message}"):
            call()
    with pytest.raises(ValueError, match=r"^w\.npy holds .* relative errors stay the same\.$"):
        upload_npy(npy(weights), name="w.npy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("end", [0, 1], ids=["smallest", "largest"])
def test_what_is_accepted_has_the_errors_of_any_other_scale(dtype: Any, end: int) -> None:
    weights = (NOISE * SCALES[dtype][end] * (1.1, 0.9)[end]).astype(dtype)
    plain, scaled = decompose(NOISE.astype(dtype), 4), decompose(weights, 4)
    for family in FAMILIES:
        wanted, found = (svd.approximate(family, budget=192) for svd in (plain, scaled))
        assert found.relative_error == pytest.approx(wanted.relative_error, rel=1e-3)
        if dtype == "float32":
            measured = relative_error(weights, found.dense().numpy())
            assert measured == pytest.approx(found.relative_error, rel=1e-3)


def test_large_and_tiny_values_may_stand_side_by_side() -> None:
    weights = NOISE.copy()
    weights[:, :3] = 1e-320
    weights[:, 3] = 5e149
    assert 0 <= decompose(weights, 4).approximate("hybrid", budget=192).relative_error < 1


@pytest.mark.parametrize("scale", [1e-100, 1e-15, 1.0, 1e15, 1e100])
def test_similarity_does_not_depend_on_the_scale(scale: float) -> None:
    other = NOISE + 0.1
    found = ssim(NOISE * scale, other * scale, data_range=2 * scale)
    assert found == pytest.approx(ssim(NOISE, other, data_range=2.0), abs=1e-6)


def test_one_matrix_of_a_checkpoint_that_is_refused_leaves_the_others() -> None:
    base = {f"h.{at}.fc.weight": torch.zeros(8, 8, dtype=torch.float64) for at in range(2)}
    tuned = {name: matrix + torch.eye(8) for name, matrix in base.items()}
    tuned["h.0.fc.weight"] = tuned["h.0.fc.weight"] * 1e200
    found = survey(base, tuned, rank=2, grids=[2], n_jobs=1)
    assert [row["name"] for row in found.rows] == ["h.1.fc.weight"]
    assert "1e+150 is the largest" in found.skipped["h.0.fc.weight"]
    adapters = extract_adapters(base, tuned, family="global", rank=2, n_jobs=1)
    assert list(adapters.adapters.terms) == ["h.1.fc"]
    assert "1e+150 is the largest" in adapters.skipped["h.0.fc.weight"]
