"""Several matrices swept together are what the three channels of a colour image are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

from lolora_core import FAMILIES, budget_for_rank, decompose
from lolora_core.blocks.gram import gram_spectra
from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.explore.advise import DENSE, advise_from
from lolora_core.explore.compare import errors_at_ranks
from lolora_core.explore.sweep import Sweep, pool, sweep_spectra
from tests.common_checks import random_target

SHAPE = (24, 31)


@pytest.fixture
def channels() -> list[torch.Tensor]:
    scales = (1.0, 0.2, 3.0)
    return [s * random_target(SHAPE, torch.float64, seed) for seed, s in enumerate(scales)]


def pooled(channels: list[torch.Tensor], grids: Sequence[GridLike]) -> Sweep:
    # Not `sweep`, which puts every matrix on a scale of its own.
    return pool([sweep_spectra(SHAPE, partial(gram_spectra, c), grids) for c in channels])


@pytest.mark.parametrize("grid", [(1, 1), (3, 3), (2, 4)])
def test_pooled_errors_are_those_of_the_comparison(
    channels: list[torch.Tensor], grid: tuple[int, int]
) -> None:
    found = pooled(channels, [grid])
    svds = [decompose(channel, grid) for channel in channels]
    ranks = list(range(len(found.budgets)))
    assert ("diagonal", grid) in found.errors or grid[0] != grid[1]
    assert found.budgets.tolist() == [3 * budget_for_rank(SHAPE, rank) for rank in ranks]
    for family in {name for name, blocks in found.errors if blocks == grid}:
        expected = errors_at_ranks(svds, family, ranks)
        np.testing.assert_allclose(found.errors[family, grid], expected, atol=1e-6)
        used = [
            sum(svd.approximate(family, budget=budget // 3).num_parameters for svd in svds)
            for budget in found.budgets.tolist()
        ]
        assert found.num_parameters[family, grid].tolist() == used


def test_rows_and_advice_count_all_channels(channels: list[torch.Tensor]) -> None:
    found = pooled(channels, [1, 2])
    budget = 3 * budget_for_rank(SHAPE, 4)
    assert found.best(budget).num_parameters <= budget
    assert found.row("global", (1, 1), budget).num_parameters == budget
    whole = Grid.regular(SHAPE, 1)
    values = np.concatenate([gram_spectra(c, whole).values[0, 0] for c in channels])
    advice = advise_from(found, -np.sort(-values), error=0.6)
    assert advice.best.relative_error <= 0.6 + 1e-6
    assert advice.best.family in FAMILIES
    # Of noise, less error costs more than all entries of all channels.
    dense = advise_from(found, -np.sort(-values), error=0.3).best
    assert dense.relative_error <= 0.3 + 1e-6
    assert (dense.family, dense.num_parameters) == (DENSE, 3 * SHAPE[0] * SHAPE[1])
