"""What linked_factors packs for the browser, parsed back and summed as the browser does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.lens.factors import pack_factors
from lolora_core import Decomposition, budget_for_rank, decompose
from lolora_core.explore.budget_path import BudgetPath, budget_paths
from lolora_core.explore.path_blocks import path_blocks
from lolora_core.explore.path_factors import path_factors
from tests.app.lens.test_view import parse

HIGHEST = 9


def packed(
    channels: list[Decomposition], most_cells: int = 10**6
) -> tuple[dict[str, BudgetPath], dict[str, Any], Any]:
    paths = budget_paths(channels, HIGHEST)
    factors = path_factors(channels, paths.values(), most_cells=most_cells, most_bytes=10**7)
    subtitles = {name: [f"{name} {r}" for r in range(HIGHEST + 1)] for name in paths}
    blocks = path_blocks(channels, factors, most_bytes=10**6)
    return paths, *parse(pack_factors("token", paths, factors, blocks, subtitles))


def channels_of(count: int, shape: tuple[int, int], grid: tuple[int, int]) -> list[Decomposition]:
    generator = torch.Generator().manual_seed(count)
    return [decompose(torch.randn(shape, generator=generator), grid=grid) for _ in range(count)]


def rank_maps(changes: dict[str, Any], blocks: int, read: Any) -> np.ndarray:
    starts, places, ranks = (read(changes[name]) for name in ("starts", "blocks", "ranks"))
    maps = np.zeros((HIGHEST + 1, blocks), int)
    for r in range(1, HIGHEST + 1):
        maps[r] = maps[r - 1]
        own = slice(starts[r - 1], starts[r])
        maps[r, places[own]] = ranks[own]
    return maps


def summed(grid: dict[str, Any], channel: int, ranks: np.ndarray, read: Any) -> np.ndarray:
    rows, cols = grid["rowEdges"], grid["colEdges"]
    codes, scales, depths = (
        read(grid["channels"][channel][name]) for name in ("codes", "scales", "depths")
    )
    out = np.zeros((rows[-1], cols[-1]))
    code = scale = 0
    for b, (i, j) in enumerate(np.ndindex(len(rows) - 1, len(cols) - 1)):
        h, w = rows[i + 1] - rows[i], cols[j + 1] - cols[j]
        for k in range(depths[i, j]):
            if k < ranks[b]:
                left, right = codes[code : code + h].astype(float), codes[code + h : code + h + w]
                out[rows[i] : rows[i + 1], cols[j] : cols[j + 1]] += scales[scale] * np.outer(
                    left, right
                )
            code, scale = code + h + w, scale + 1
    return out


@pytest.mark.parametrize(
    ("count", "shape", "cut"), [(1, (24, 24), (4, 4)), (3, (17, 22), (3, 3)), (1, (20, 31), (1, 5))]
)
def test_terms_and_changes_sum_to_every_approximation(
    count: int, shape: tuple[int, int], cut: tuple[int, int]
) -> None:
    channels = channels_of(count, shape, cut)
    paths, header, read = packed(channels)
    assert (header["token"], header["highest"]) == ("token", HIGHEST)
    assert list(header["families"]) == list(paths)
    for name, family in header["families"].items():
        assert family["subtitles"] == [f"{name} {r}" for r in range(HIGHEST + 1)]
        grid = header["grids"][family["grid"]]
        blocks = (len(grid["rowEdges"]) - 1) * (len(grid["colEdges"]) - 1)
        for at, (changes, channel) in enumerate(zip(family["channels"], channels, strict=True)):
            maps = rank_maps(changes, blocks, read)
            np.testing.assert_array_equal(maps, paths[name].rank_maps[at].reshape(HIGHEST + 1, -1))
            for rank in (1, 4, HIGHEST):
                fit = channel.approximate(name, budget=budget_for_rank(shape, rank)).dense()
                found = summed(grid, at, maps[rank], read)
                np.testing.assert_allclose(found, fit.numpy(), atol=3e-4)


def test_grids_are_given_in_windows() -> None:
    channels = channels_of(1, (24, 20), (2, 2))
    _, header, _ = packed(channels, most_cells=150)
    assert header["rowEdges"] == list(range(0, 25, 2))
    assert header["grids"][0]["rowEdges"] == [0, 12]
    assert header["grids"][1]["rowEdges"] == [0, 6, 12]
    assert header["grids"][1]["colEdges"] == [0, 5, 10]


def test_the_badge_is_for_what_wins_and_never_for_all() -> None:
    channels = [decompose(torch.eye(12), grid=3)]
    _, header, read = packed(channels)
    best = {name: read(family["best"]) for name, family in header["families"].items()}
    assert not any(flags[0] for flags in best.values())
    assert best["diagonal"][2:4].all()
    assert not best["global"][1:].any()
    assert all(len(flags) == HIGHEST + 1 for flags in best.values())


def test_another_number_of_subtitles_is_an_error() -> None:
    channels = channels_of(1, (8, 8), (2, 2))
    paths = budget_paths(channels, 3)
    factors = path_factors(channels, paths.values(), most_cells=64, most_bytes=10**6)
    blocks = path_blocks(channels, factors, most_bytes=10**6)
    with pytest.raises(ValueError, match="subtitles of global are 3; allowed are 4, one a rank"):
        pack_factors("token", paths, factors, blocks, {name: [""] * 3 for name in paths})


@pytest.mark.parametrize(("count", "most_cells"), [(1, 10**6), (2, 150)])
def test_what_is_left_in_every_block_at_every_budget(count: int, most_cells: int) -> None:
    channels = channels_of(count, (24, 20), (3, 2))
    paths, header, read = packed(channels, most_cells)
    cut, grid = header["cut"], channels[0].grid
    assert (cut["rowEdges"], cut["colEdges"]) == ([0, 8, 16, 24], [0, 10, 20])
    # A table for fits of the whole matrix, where windows hide its cells.
    assert len(cut["whole"]) == (0 if most_cells > 480 else count)
    norm = np.sqrt(sum(channel.on(grid).spectra.total for channel in channels))
    for name in ("global", "adaptive"):
        for rank in (0, 3, HIGHEST):
            maps = paths[name].rank_maps[:, rank]
            budget = budget_for_rank((24, 20), rank)
            fits = [channel.approximate(name, budget=budget) for channel in channels]
            dense = [
                np.square(fit.block_errors(grid)) * channel.on(grid).spectra.total
                for fit, channel in zip(fits, channels, strict=True)
            ]
            wanted = np.sqrt(np.sum(dense, axis=0)) / norm
            if name == "global":
                halves = [read(e).astype(float) * 2.0 ** e["exponent"] for e in cut["whole"]]
                if not halves:
                    continue
                found = np.sqrt(sum(h[rank] ** 2 for h in halves))
            else:
                found = np.zeros(6)
                for at, entry in enumerate(cut["own"]):
                    depths = read(header["grids"][cut["grid"]]["channels"][at]["depths"]).ravel()
                    starts = np.concatenate([[0], np.cumsum(depths.astype(int) + 1)[:-1]])
                    found += read(entry)[starts + maps[at].ravel()]
                found = np.sqrt(found).reshape(3, 2)
            np.testing.assert_allclose(found, wanted, atol=2e-3)
        errors = read(header["families"][name]["errors"])
        np.testing.assert_allclose(errors, paths[name].errors, rtol=1e-6)


def test_mounts_in_a_script() -> None:
    def script() -> None:
        from app.lens.factors import linked_factors, other_grids

        linked_factors(b"12345678", key="factors")
        other_grids(lambda token: token.encode(), key="others")

    assert not AppTest.from_function(script).run().exception
