"""What Compare computes, against the library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.shared.scene import Scene
from app.views.compare import compute
from lolora_core import FAMILIES, Grid, approximate, budget_for_rank
from lolora_core.explore.compare import TIE
from lolora_core.targets import Target, load

#: The families that the page shows by itself.
READ = [name for name, family in FAMILIES.items() if family.from_spectra]

SIZE = 48


def scene(seed: int, grid: int = 4) -> Scene:
    target = load("gaussian-noise", size=SIZE, seed=seed)
    return Scene(target, Grid.regular((SIZE, SIZE), grid), "cpu")


def test_pictures_are_the_residuals_of_the_library() -> None:
    at = scene(1004)
    shown = compute.Pictures(at, compute.comparison(at, 6))
    w = at.target.array
    for name in READ:
        a = approximate(w, name, budget=budget_for_rank(w.shape, 6), grid=4)
        np.testing.assert_allclose(shown.errors[name], w - a.dense().numpy(), atol=1e-5)
        np.testing.assert_allclose(shown.block_errors[name], a.block_errors(4), atol=1e-7)
    largest = max(float(np.abs(e).max()) for e in shown.errors.values())
    assert shown.peak("absolute", READ) == largest
    blocks = max(float(b.max()) for b in shown.block_errors.values())
    assert shown.peak("blocks", READ) == blocks
    found = compute.comparison(at, 6)
    assert compute.limits(found, shown, "absolute", 4) == (largest / 4, blocks / 4)


def test_the_scale_fits_the_families_that_compete() -> None:
    camera = Scene(load("camera"), Grid.regular((512, 512), 8), "cpu")
    found = compute.comparison(camera, 32)
    shown = compute.Pictures(camera, found)
    competing = [result.family.name for result in found.competing]
    assert competing == [name for name in READ if name != "diagonal"]
    limit, block_limit = compute.limits(found, shown, "absolute", None)
    assert limit == max(float(np.abs(shown.errors[name]).max()) for name in competing)
    assert block_limit == max(float(shown.block_errors[name].max()) for name in competing)
    assert float(np.abs(shown.errors["diagonal"]).max()) > limit


def test_of_weights_a_few_entries_may_pass_the_scale() -> None:
    weights = load("minilm-0-query")
    at = Scene(weights, Grid.regular(weights.shape, 8), "cpu")
    found = compute.comparison(at, 32)
    shown = compute.Pictures(at, found)
    limit, _ = compute.limits(found, shown, "absolute", None)
    beyond = [float((np.abs(shown.errors[r.family.name]) > limit).mean()) for r in found.competing]
    assert 0 < max(beyond) <= 0.005


def test_where_some_are_exact_the_best_of_the_others_compete() -> None:
    blocks = load("planted-blocks")
    at = Scene(blocks, Grid.regular(blocks.shape, 8), "cpu")
    found = compute.comparison(at, 32)
    assert found.winners[0].relative_error < TIE
    assert any(result.relative_error > TIE for result in found.competing)


def test_colour_pools_three_channels() -> None:
    colour = load("astronaut", colour=True)
    at = Scene(colour, Grid.regular(colour.shape, 8), "cpu")
    found = compute.comparison(at, 16)
    assert found.budget == 3 * budget_for_rank(colour.shape, 16)
    dense = found.results["localized"].dense().numpy()
    assert dense.shape == colour.array.shape
    measured = np.linalg.norm(colour.array - dense) / np.linalg.norm(colour.array)
    assert found.results["localized"].relative_error == pytest.approx(measured, abs=1e-9)
    error = compute.Pictures(at, compute.comparison(at, 16)).errors["localized"]
    np.testing.assert_allclose(error, colour.array - dense, atol=1e-6)


def test_table_has_the_figures_of_the_library() -> None:
    for name in READ:
        row = compute.figures_of(scene(1005), compute.comparison(scene(1005), 6), name)
        a = approximate(scene(1005).target.array, name, budget=6 * 2 * SIZE, grid=4)
        assert row["relative error"] == pytest.approx(a.relative_error)
        assert row["parameters"] == a.num_parameters
        assert row["rank of Ŵ"] == np.linalg.matrix_rank(a.dense().numpy())


def test_curves_start_at_one_and_keep_over_the_floor() -> None:
    frame = compute.curves(scene(1006), 24)
    for name in READ:
        assert frame[name].iloc[0] == 1
        assert (frame[name] >= frame["floor"] - 1e-12).all()


def drawn(data: st.DataObject) -> Target:
    """A matrix of low rank plus noise, or three of them, with rows of very different sizes."""
    rows, cols = data.draw(st.integers(2, 14)), data.draw(st.integers(2, 14))
    channels = data.draw(st.sampled_from([1, 3]))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    low = generator.normal(size=(channels, rows, 2)) @ generator.normal(size=(channels, 2, cols))
    noise = 10.0 ** data.draw(st.integers(-6, 1)) * generator.normal(size=low.shape)
    array = (low + noise) * 10.0 ** generator.integers(-3, 3, size=(1, rows, 1))
    array = np.ascontiguousarray(array[0] if channels == 1 else np.moveaxis(array, 0, -1))
    return Target("drawn", "drawn", "pattern", "", "", "", array, None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_squares_of_block_errors_sum_to_the_squared_error(data: st.DataObject) -> None:
    target = drawn(data)
    m, n = target.shape
    cut = Grid.regular(target.shape, data.draw(st.integers(1, m)), data.draw(st.integers(1, n)))
    at, rank = Scene(target, cut, "cpu", searched=True), data.draw(st.integers(0, 6))
    found = compute.comparison(at, rank)
    shown = compute.Pictures(at, found)
    assert set(found.results) == {name for name, f in FAMILIES.items() if f.fits(cut)}
    for name, result in found.results.items():
        summed = np.sqrt((shown.block_errors[name] ** 2).sum())
        assert summed == pytest.approx(result.relative_error, abs=1e-7), name


def test_a_global_term_counts_in_the_errors_of_the_blocks() -> None:
    camera = load("camera")
    at = Scene(camera, Grid.regular(camera.shape, 8), "cpu", searched=True)
    shown = compute.Pictures(at, compute.comparison(at, 32)).block_errors["hybrid"]
    assert shown[0, 3] == pytest.approx(0.00234, abs=5e-6)
    own = compute.comparison(at, 32).results["hybrid"].channels[0].block_errors(8)
    np.testing.assert_allclose(shown, own, atol=1e-9)
