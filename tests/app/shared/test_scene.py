from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.shared import scene as compute
from lolora_core import FAMILIES, Grid, approximate, budget_for_rank
from lolora_core.targets import Target, load

#: The families that the page shows by itself.
READ = [name for name, family in FAMILIES.items() if family.from_spectra]

SIZE = 48


def target(seed: int, **changes: Any) -> Target:
    return load("gaussian-noise", size=SIZE, seed=seed)


def scene(seed: int, grid: int = 4) -> compute.Scene:
    return compute.Scene(target(seed), Grid.regular((SIZE, SIZE), grid), "cpu")


def look(at: compute.Scene, rank: int) -> None:
    compute.comparison(at, rank)
    compute.pictures(at, rank)
    compute.curves(at, 24)


def test_a_budget_never_decomposes_and_a_grid_only_what_is_new(
    svd_calls: list[tuple[int, ...]],
) -> None:
    look(scene(1001), 4)
    assert sorted(call[0] for call in svd_calls) == [1, 16]
    for rank in range(1, 24):
        look(scene(1001), rank)
    assert len(svd_calls) == 2
    look(scene(1001, grid=6), 4)
    assert svd_calls[2:] == [(36, 8, 8)]
    look(scene(1001, grid=4), 9)
    assert len(svd_calls) == 3


def test_the_key_is_the_content(svd_calls: list[tuple[int, ...]]) -> None:
    look(scene(1002), 4)
    same = load("gaussian-noise", size=SIZE, seed=1002)
    assert compute.missing_seconds(compute.Scene(same, scene(1002).grid, "cpu")) == []
    changed = same.array.copy()
    changed[7, 9] += 1e-6
    other = Target(
        same.id, same.title, same.kind, same.description, same.source, same.licence, changed, None
    )
    before = len(svd_calls)
    look(compute.Scene(other, scene(1002).grid, "cpu"), 4)
    assert len(svd_calls) == before + 2


def test_visitors_share_one_decomposition(svd_calls: list[tuple[int, ...]]) -> None:
    start = threading.Barrier(4)
    found: list[float] = []

    def visit() -> None:
        start.wait()
        found.append(compute.comparison(scene(1003), 5).winners[0].relative_error)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(svd_calls) == 2


def test_the_cache_is_bounded_in_bytes() -> None:
    for seed in range(2000, 2020):
        look(scene(seed), 3)
    held = sum(svd.nbytes for svd in compute._svds.values())
    assert compute._svds.currsize == held
    assert 0 < held <= compute._svds.maxsize == compute.DECOMPOSITION_BYTES


def test_pictures_are_the_residuals_of_the_library() -> None:
    at = scene(1004)
    shown = compute.pictures(at, 6)
    w = at.target.array
    for name in READ:
        a = approximate(w, name, budget=budget_for_rank(w.shape, 6), grid=4)
        np.testing.assert_allclose(shown.errors[name], w - a.dense().numpy(), atol=1e-5)
        np.testing.assert_allclose(shown.block_errors[name], a.block_errors(4), atol=1e-7)
    assert shown.peak("absolute") == max(float(np.abs(e).max()) for e in shown.errors.values())
    assert shown.peak("blocks") == max(float(b.max()) for b in shown.block_errors.values())


def test_colour_pools_three_channels() -> None:
    colour = load("astronaut", colour=True)
    at = compute.Scene(colour, Grid.regular(colour.shape, 8), "cpu")
    found = compute.comparison(at, 16)
    assert found.budget == 3 * budget_for_rank(colour.shape, 16)
    dense = found.results["localized"].dense().numpy()
    assert dense.shape == colour.array.shape
    measured = np.linalg.norm(colour.array - dense) / np.linalg.norm(colour.array)
    assert found.results["localized"].relative_error == pytest.approx(measured, abs=1e-9)
    error = compute.pictures(at, 16).errors["localized"]
    np.testing.assert_allclose(error, colour.array - dense, atol=1e-6)


def test_table_has_the_figures_of_the_library() -> None:
    for name in READ:
        row = compute.figures_of(scene(1005), 6, name)
        a = approximate(scene(1005).target.array, name, budget=6 * 2 * SIZE, grid=4)
        assert row["relative error"] == pytest.approx(a.relative_error)
        assert row["parameters"] == a.num_parameters
        assert row["rank of Ŵ"] == np.linalg.matrix_rank(a.dense().numpy())


def test_curves_start_at_one_and_keep_over_the_floor() -> None:
    frame = compute.curves(scene(1006), 24)
    for name in READ:
        assert frame[name].iloc[0] == 1
        assert (frame[name] >= frame["floor"] - 1e-12).all()


def test_an_upload_that_is_gone_says_so() -> None:
    choice = compute.UploadChoice("npy")
    with pytest.raises(ValueError, match="no longer held here"):
        compute.uploaded_target(None, "0" * 64, "w.npy", choice)


def test_a_failed_upload_can_be_tried_again() -> None:
    choice = compute.UploadChoice("npy")
    attempts: list[Callable[[], Target]] = [
        lambda: compute.uploaded_target(b"nonsense", "1" * 64, "w.npy", choice)
    ] * 2
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"w\.npy"):
            attempt()


def test_the_last_good_target_is_recalled() -> None:
    key = compute.remember(target(1007))
    assert compute.recall(key).sha256 == key
    assert compute.recall("gone").id == "camera"
    assert compute.recall(None).id == "camera"
