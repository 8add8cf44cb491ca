"""A saved approximation is held against its bytes before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lolora_core import Approximation, approximate
from lolora_core.blocks.factors import parts_of_factors
from lolora_core.blocks.grid import Grid

RNG = np.random.default_rng(0)
Tensors = dict[str, Tensor]
Metadata = dict[str, str]


@cache
def example(family: str) -> Approximation:
    """Return an approximation; by `hybrid` one with a global term and one block."""
    weights = RNG.normal(size=(12, 2)) @ RNG.normal(size=(2, 10))
    weights[:6, :5] += RNG.normal(size=(6, 3)) @ RNG.normal(size=(3, 5))
    return approximate(weights, family, budget=2 * 22 + 3 * 11, grid=2)


def saved(folder: Path, family: str = "hybrid") -> tuple[Tensors, Metadata]:
    """Return the parts of a file."""
    example(family).save(folder / "a.safetensors")
    with safe_open(folder / "a.safetensors", framework="pt") as file:
        return {n: file.get_tensor(n) for n in file.keys()}, file.metadata()  # noqa: SIM118


def ints(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


#: What is changed of the tensors, and what is said then.
DAMAGED: list[tuple[Callable[[Tensors], object], str]] = [
    (lambda t: t.pop("row_edges"), "holds no row_edges of 64-bit integers along 1 axes"),
    (lambda t: t.pop("rank_map"), "holds no rank_map of 64-bit integers along 2 axes"),
    (lambda t: t.update(col_edges=torch.ones(3)), "holds no col_edges of 64-bit integers"),
    (lambda t: t.update(rank_map=ints(1, 2)), "holds no rank_map of 64-bit integers along 2"),
    (lambda t: t.update(rank_map=ints([1, 2, 3])), "rank_map is not that of 2×2 blocks"),
    (lambda t: t.update(row_edges=ints()), "rank_map is not that of -1×2 blocks"),
    (lambda t: t.update(row_edges=ints(0, 6, 6)), "row_edges must start at 0 and rise strictly"),
    (lambda t: t.update(row_edges=ints(0, 6, 2**62)), "entries are read"),
    (lambda t: t["rank_map"].fill_(-1), "ranks below 0, or above the full rank"),
    (lambda t: t["rank_map"].fill_(6), "ranks below 0, or above the full rank"),
    (lambda t: t["rank_map"].fill_(5), "must be F64 of shape|other tensors than its ranks"),
    (lambda t: t.pop("B.0.0"), r"other tensors than its ranks need, as 'B\.0\.0'"),
    (lambda t: t.pop("A.global"), r"other tensors than its ranks need, as 'B\.global'"),
    (lambda t: t.update({"B.7.7": torch.ones(1)}), r"other tensors .* as 'B\.7\.7'"),
    (lambda t: t.update({"B.0.0": torch.ones(1, 1).double()}), r"B\.0\.0 must be F64 of shape"),
    (lambda t: t.update({"A.0.0": t["A.0.0"].float()}), r"A\.0\.0 must be F64 .* it is F32"),
    (lambda t: t["A.0.0"].fill_(torch.nan), r"B\.0\.0 or A\.0\.0 holds NaN or infinity"),
    (lambda t: t.update({"B.global": torch.ones(())}), r"B\.global must be F64 of shape"),
    (lambda t: t.update({"B.global": torch.ones(12, 999)}), "global term has rank 999, above full"),
]
#: The same of the metadata.
MISSTATED = [
    ("format", "lolora-approximation-9", "is not a saved approximation"),
    ("family", None, "does not name its family"),
    ("family", "[x](http://y)", "does not name its family"),
    ("budget", None, "budget is not a number of"),
    ("budget", "3", "budget is not a number of"),
    ("budget", "9" * 5000, "budget is not a number of"),
    ("budget", "1e9", "budget is not a number of"),
    ("dtype", "int8", "dtype must be one of float16, bfloat16, float32, float64"),
    ("dtype", "__dict__", "dtype must be one of"),
    ("dtype", "float32", "must be F32 of shape"),
    ("relative_error", None, "relative_error is not a finite number"),
    ("relative_error", "-1", "relative_error is not a finite number"),
    ("relative_error", "NaN", "which is no finite number"),
    ("relative_error", "true", "relative_error is not a finite number"),
    ("relative_error", "[" * 100_000, "more than 64 deep"),
    ("spans_whole", "1", "spans_whole is neither true nor false"),
    ("spans_whole", "true", "one block spans the matrix, but it has several"),
]


def refused(folder: Path, tensors: Tensors, metadata: Metadata, message: str) -> None:
    path = folder / "b.safetensors"
    save_file({name: held.clone() for name, held in tensors.items()}, path, metadata)
    with pytest.raises(ValueError, match=message) as caught:
        Approximation.load(path)
    assert str(caught.value).startswith(f"{path} is ")
    assert "\n" not in str(caught.value)


def test_damaged_tensors_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    assert {"B.global", "B.0.0"} < set(saved(tmp_path)[0])
    for damage, message in DAMAGED:
        tensors, metadata = saved(tmp_path)
        damage(tensors)
        refused(tmp_path, tensors, metadata, message)


def test_damaged_metadata_is_refused(tmp_path: Path) -> None:
    for key, value, message in MISSTATED:
        tensors, metadata = saved(tmp_path)
        metadata.pop(key)
        refused(tmp_path, tensors, metadata | ({key: value} if value else {}), message)


def test_a_few_bytes_do_not_announce_a_large_matrix(tmp_path: Path) -> None:
    metadata = {"format": "lolora-approximation-1", "family": "global", "budget": "9" * 18}
    metadata |= {"dtype": "float32", "relative_error": "0.5", "spans_whole": "true"}
    one, edges = torch.ones(1, 1), ints(0, 60_000)
    tensors = {"B.0.0": one, "A.0.0": one, "rank_map": ints([30_000]), "row_edges": edges}
    refused(tmp_path, tensors | {"col_edges": edges}, metadata, r"A\.0\.0|B\.0\.0 must be F32")
    tensors, metadata = saved(tmp_path, "global")
    assert Approximation.load(tmp_path / "a.safetensors", max_entries=120).shape == (12, 10)
    with pytest.raises(ValueError, match="of a 12 × 10 matrix, and at most 119 entries are read"):
        Approximation.load(tmp_path / "a.safetensors", max_entries=119)


def test_a_block_of_high_rank_does_not_pad_all_others() -> None:
    size, count = 16, 64
    grid = Grid.regular((size * count, size), count, 1)
    ranks = np.ones(grid.blocks, dtype=np.int64)
    ranks[5, 0], ranks[9, 0] = size, 3
    factors = {
        (at, 0): (torch.randn(size, rank), torch.randn(rank, size))
        for at, rank in enumerate(ranks[:, 0].tolist())
    }
    parts = parts_of_factors(grid, ranks, factors)
    held = sum(b.numel() + a.numel() for b, a in factors.values())
    assert sum(part.u.numel() + part.vh.numel() for part in parts) <= 2 * held
    places = {}
    for part in parts:
        for at, product in enumerate(part.product()):
            places[int(part.group.rows[at]), int(part.group.cols[at])] = product
    assert set(places) == set(factors)
    for block, (b, a) in factors.items():
        torch.testing.assert_close(places[block], b @ a)


def test_blocks_of_many_sizes_are_grouped_at_once() -> None:
    edges = tuple(np.concatenate([[0], np.cumsum(np.arange(1, 401))]).tolist())
    grid = Grid(edges, edges)
    wanted = np.zeros(grid.blocks, dtype=bool)
    wanted[3, 7] = wanted[7, 3] = True
    assert [(g.height, g.width, g.rows.tolist()) for g in grid.groups(wanted)] == [
        (4, 8, [3]),
        (8, 4, [7]),
    ]
