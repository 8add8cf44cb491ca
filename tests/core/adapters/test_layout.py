"""How many products the packed form takes, and that none of them is ΔW."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lolora_core import Grid
from lolora_core.adapters import BlockFactors, BlockLayout


class Recorder(TorchDispatchMode):
    """Counts operations and keeps the size of the largest tensor they make."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.largest = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls[str(func).split(".")[1]] += 1
        if isinstance(out, torch.Tensor):
            self.largest = max(self.largest, out.numel())
        return out


def skewed() -> np.ndarray:
    ranks = np.ones((8, 8), dtype=np.int64)
    ranks[2, 5] = 3
    return ranks


@pytest.mark.parametrize(
    ("shape", "ranks", "products", "gathers"),
    [
        ((64, 64), np.full((8, 8), 2), (1, 1), 0),
        ((64, 32), np.eye(8, dtype=np.int64) * 3, (1, 1), 0),
        # Two sizes of blocks on each side.
        ((61, 59), np.full((8, 8), 2), (2, 2), 0),
        # The run of equal block columns falls apart around column 5, that of rows around row 2.
        ((64, 64), skewed(), (3, 3), 1),
        ((64, 64), np.array([[4]]), (1, 1), 0),
    ],
    ids=["divides", "diagonal", "does-not-divide", "uneven", "one-block"],
)
def test_products_do_not_grow_with_the_number_of_blocks(
    shape: tuple[int, int], ranks: np.ndarray, products: tuple[int, int], gathers: int
) -> None:
    layout = BlockLayout(Grid.regular(shape, *ranks.shape), ranks)
    term = BlockFactors(layout, 1.0, torch.float32, torch.device("cpu"))
    tokens = 3
    x, onto = torch.randn(tokens, shape[1]), torch.zeros(tokens, shape[0])
    with torch.no_grad(), Recorder() as recorder:
        term(x, onto)
    assert (recorder.calls["bmm"], recorder.calls["baddbmm_"]) == products
    assert recorder.calls["index_select"] == gathers
    assert recorder.calls["mm"] == recorder.calls["clone"] == recorder.calls["copy_"] == 0
    # The factors and the intermediate are all there is; ΔW would be m·n.
    factors = layout.slots * int(max(layout.grid.row_sizes.max(), layout.grid.col_sizes.max()))
    assert recorder.largest <= max(factors, layout.slots * tokens)
    assert recorder.largest < shape[0] * shape[1]


def test_every_block_has_its_own_rows() -> None:
    ranks = np.array([[2, 0, 1], [1, 3, 0]])
    layout = BlockLayout(Grid((0, 4, 9), (0, 3, 7, 11)), ranks)
    seen_a, seen_b = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for (i, j), (a, a_rows), (b, b_rows) in layout.blocks():
        assert len(a_rows) == len(b_rows) == ranks[i, j]
        assert layout.a_pieces[a][1] == layout.grid.col_sizes[j]
        assert layout.b_pieces[b][1] == layout.grid.row_sizes[i]
        seen_a.update((a, int(row)) for row in a_rows)
        seen_b.update((b, int(row)) for row in b_rows)
    for seen, pieces in ((seen_a, layout.a_pieces), (seen_b, layout.b_pieces)):
        assert seen == Counter(
            (p, row) for p, (rows, _) in enumerate(pieces) for row in range(rows)
        )
    assert layout.num_parameters == sum(
        rows * side for rows, side in (*layout.a_pieces, *layout.b_pieces)
    )
