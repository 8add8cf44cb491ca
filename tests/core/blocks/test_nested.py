"""The 16-bit terms that a browser sums in place of the server."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lolora_core import Grid, approximate
from lolora_core.blocks.gather import scatter_blocks
from lolora_core.blocks.nested import NestedTerms, nested_terms, window_grid
from lolora_core.blocks.svd import block_svd

MEGABYTE = 2**20


def summed(terms: NestedTerms, depths: np.ndarray, windows: Grid, ranks: np.ndarray) -> np.ndarray:
    """The sum of the leading terms, cell by cell of the windows, as the browser forms it."""
    out = np.zeros(windows.blocks)
    code = scale = 0
    row_starts = np.cumsum([0, *sides(windows.row_edges, depths.shape[0])])
    col_starts = np.cumsum([0, *sides(windows.col_edges, depths.shape[1])])
    for i, j in np.ndindex(*depths.shape):
        rows, cols = slice(*row_starts[i : i + 2]), slice(*col_starts[j : j + 2])
        h, w = rows.stop - rows.start, cols.stop - cols.start
        for k in range(depths[i, j]):
            if k < ranks[i, j]:
                u, v = terms.codes[code : code + h], terms.codes[code + h : code + h + w]
                out[rows, cols] += np.outer(terms.scales[scale] * u.astype(float), v)
            code += h + w
            scale += 1
    assert (code, scale) == (len(terms.codes), len(terms.scales))
    return out


def sides(edges: tuple[int, ...], parts: int) -> list[int]:
    """How many windows lie in each of a regular grid's blocks."""
    block_edges = Grid.regular((edges[-1], 1), parts, 1).row_edges
    return np.diff(np.searchsorted(edges, block_edges)).tolist()


def matrix(m: int, n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(m + n)
    smooth = torch.linspace(0, 3, m, dtype=dtype)[:, None] + torch.linspace(0, 2, n, dtype=dtype)
    noise = torch.randn(m, n, dtype=dtype, generator=generator)
    return torch.sin(smooth) + noise / 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "parts"), [((24, 24), 1), ((23, 17), 3), ((8, 40), 2)])
def test_leading_terms_sum_to_the_fit_of_every_rank_map(
    shape: tuple[int, int], parts: int, dtype: torch.dtype
) -> None:
    w = matrix(*shape, dtype)
    grid = Grid.regular(shape, parts)
    rng = np.random.default_rng(parts)
    depths = rng.integers(0, grid.max_ranks + 1)
    terms = nested_terms(block_svd(w, grid), depths)
    cells = window_grid(grid, 1)
    for ranks in (depths, depths // 2, np.minimum(depths, 1), np.zeros_like(depths)):
        wanted = approximate(w, grid=grid, rank_map=ranks).dense().numpy()
        found = summed(terms, depths, cells, ranks)
        assert np.abs(found - wanted).max() <= 5e-5 * np.abs(w.numpy()).max()


@pytest.mark.parametrize("size", [2, 3])
def test_over_windows_the_terms_sum_to_the_means_of_the_fit(size: int) -> None:
    w = matrix(22, 31)
    grid = Grid.regular((22, 31), 3)
    windows = window_grid(grid, size)
    for cut in (grid, grid.whole()):
        depths = cut.max_ranks // 2
        found = summed(nested_terms(block_svd(w, cut), depths, windows), depths, windows, depths)
        fit = approximate(w, grid=cut, rank_map=depths).dense().numpy()
        wanted = [[fit[windows.block(i, j)].mean() for j in range(windows.blocks[1])]
                  for i in range(windows.blocks[0])]  # fmt: skip
        np.testing.assert_allclose(found, wanted, atol=5e-5)


def test_no_window_is_larger_than_asked_or_crosses_a_block() -> None:
    grid = Grid((0, 7, 9, 24), (0, 5, 24))
    windows = window_grid(grid, 4)
    assert set(grid.row_edges) <= set(windows.row_edges)
    assert set(grid.col_edges) <= set(windows.col_edges)
    assert max(windows.row_sizes.max(), windows.col_sizes.max()) <= 4
    assert windows.blocks == (2 + 1 + 4, 2 + 5)


def greys(values: np.ndarray) -> np.ndarray:
    return np.floor(values * 255 + 0.5)


@pytest.mark.parametrize("parts", [1, 8])
def test_one_grey_at_most_is_off_and_three_times_fewer_than_in_float16(parts: int) -> None:
    rows, cols = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    w = (0.5 + 0.5 * torch.sin(rows * cols / 300)).double()
    grid = Grid.regular((128, 128), parts)
    svd = block_svd(w, grid)
    depths = np.full(grid.blocks, 64 // parts)
    terms = nested_terms(svd, depths)
    found = greys(summed(terms, depths, window_grid(grid, 1), depths))
    wanted = greys(approximate(w, grid=grid, rank_map=depths).dense().numpy())
    assert np.abs(found - wanted).max() <= 1
    half = torch.zeros_like(w)
    for group, u, s, vh, _ in svd.groups:
        root, k = s.sqrt(), 64 // parts
        left = (u * root[:, None])[..., :k].half().double()
        scatter_blocks(half, group, left @ (root[..., None] * vh)[:, :k].half().double())
    assert 3 * (found != wanted).mean() < (greys(half.numpy()) != wanted).mean()


def test_four_families_in_colour_at_512_take_less_than_6_megabytes() -> None:
    w = matrix(512, 512, torch.float32)
    cut = Grid.regular((512, 512), 8)
    blocks = nested_terms(block_svd(w, cut), cut.max_ranks)
    whole = nested_terms(block_svd(w, cut.whole(), method="exact"), np.array([[256]]))
    assert 3 * (blocks.nbytes + whole.nbytes) < 6 * MEGABYTE


def test_the_zero_matrix_has_zero_terms() -> None:
    grid = Grid.regular((6, 6), 2)
    terms = nested_terms(block_svd(torch.zeros(6, 6), grid), grid.max_ranks)
    assert not summed(terms, grid.max_ranks, window_grid(grid, 1), grid.max_ranks).any()


def test_bad_input_is_named() -> None:
    grid = Grid.regular((6, 6), 2)
    svd = block_svd(torch.ones(6, 6), grid)
    with pytest.raises(ValueError, match=r"the rank 4; a 3×3 block takes 0 to 3"):
        nested_terms(svd, np.full((2, 2), 4))
    with pytest.raises(ValueError, match="windows must have every edge of the 2×2 grid"):
        nested_terms(svd, grid.max_ranks, Grid.regular((6, 6), 3))
    with pytest.raises(ValueError, match="size must be 1 or more; it is 0"):
        window_grid(grid, 0)
    sketched = block_svd(torch.eye(40), Grid.regular((40, 40), 1), method="randomized", max_rank=2)
    with pytest.raises(ValueError, match="depths ask for 3 terms of a block; 2 are held"):
        nested_terms(sketched, np.array([[3]]))
