from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.shared import scene as compute
from app.views.compare.compute import Pictures, comparison, curves
from lolora_core import Grid
from lolora_core.targets import Target, load

SIZE = 48


def target(seed: int, **changes: Any) -> Target:
    return load("gaussian-noise", size=SIZE, seed=seed)


def scene(seed: int, grid: int = 4) -> compute.Scene:
    return compute.Scene(target(seed), Grid.regular((SIZE, SIZE), grid), "cpu")


def look(at: compute.Scene, rank: int) -> None:
    shown = Pictures(at, comparison(at, rank))
    assert shown.errors.keys() == shown.block_errors.keys()
    curves(at, 24)


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
        found.append(comparison(scene(1003), 5).winners[0].relative_error)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(svd_calls) == 2


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
    shown = target(1007)
    assert compute.recall(compute.remember(shown)) is shown
    # Another visitor may call the same numbers something else.
    other = replace(shown, title="mine")
    keys = [compute.remember(one) for one in (shown, other)]
    assert [compute.recall(key).title for key in keys] == [shown.title, "mine"]
    assert compute.recall("gone").id == "camera"
    assert compute.recall(None).id == "camera"
