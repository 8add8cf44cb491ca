"""The energy that a low-rank fit of the whole leaves in every block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lolora_core import Grid, decompose
from lolora_core.blocks.shares import residual_energies


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_equals_the_norms_of_dense_residuals(dtype: torch.dtype) -> None:
    w = torch.randn(23, 17, dtype=dtype, generator=torch.Generator().manual_seed(1))
    grid = Grid.regular(w.shape, 4, 3)
    whole = decompose(w, grid=1)
    found = residual_energies(w, whole.on(whole.grid), grid, 17)
    norm = float(torch.linalg.norm(w.double()))
    for rank in (0, 1, 5, 17):
        fit = whole.approximate("global", budget=rank * (23 + 17))
        np.testing.assert_allclose(
            np.sqrt(found[rank]) / norm, fit.block_errors(grid), atol=2e-4 if rank == 17 else 1e-6
        )


def test_what_it_cannot_take_is_named() -> None:
    w = torch.eye(6)
    split = decompose(w, grid=2)
    with pytest.raises(ValueError, match="its grid is 2×2"):
        residual_energies(w, split.on(split.grid), split.grid, 2)
    whole = decompose(w, grid=1)
    with pytest.raises(ValueError, match="depth is 7; 6 terms are held"):
        residual_energies(w, whole.on(whole.grid), split.grid, 7)
