"""Searches of a scene ahead of the page: they find what the library finds, once."""

from __future__ import annotations

import numpy as np
import pytest

from app.shared.scene import Scene, decompositions
from app.shared.search import search, search_seconds
from lolora_core import Grid, approximate, budget_for_rank
from lolora_core.blocks import svd
from lolora_core.targets import load


def test_a_search_is_kept_for_its_budget_and_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = load("gaussian-noise", size=48, seed=31)
    scene = Scene(target, Grid.regular(target.shape, 4), "cpu", searched=True)
    assert search_seconds(scene, 8) > 0
    heard: list[tuple[float, str]] = []
    search(scene, 8, lambda share, words: heard.append((share, words)))
    # The search doubles the rank: up to the next double nothing is new.
    assert [search_seconds(scene, rank) for rank in (4, 8, 9, 15)] == [0.0] * 4
    assert search_seconds(scene, 16) > 0
    (found,) = decompositions(scene)
    budget = budget_for_rank(target.shape, 8)
    own = approximate(target.channels[0], "hybrid", budget=budget, grid=scene.grid)
    # Nothing is decomposed again.
    monkeypatch.setattr(svd, "block_svd", None)
    np.testing.assert_allclose(
        found.approximate("hybrid", budget=budget).relative_error, own.relative_error, rtol=1e-9
    )


def test_without_searches_there_is_nothing_to_wait_for() -> None:
    target = load("gaussian-noise", size=48, seed=31)
    assert search_seconds(Scene(target, Grid.regular(target.shape, 4), "cpu"), 8) == 0.0
