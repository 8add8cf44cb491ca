"""The plain products against the dense ΔW, and the fast ones against the plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lolora_core import Grid
from lolora_core.adapters import BlockFactors, BlockLayout
from lolora_core.adapters.products import block_products
from lolora_core.adapters.products_fast import fast_block_products, fast_linear_with_products
from tests.adapter_checks import assert_close, dense_of

TOKENS = 7

LAYOUTS = {
    "even": BlockLayout(Grid.regular((24, 32), 4), np.full((4, 4), 2)),
    "uneven": BlockLayout(Grid.regular((24, 32), 2), np.array([[3, 1], [1, 2]])),
    "rectangular grid": BlockLayout(Grid.regular((24, 30), 2, 5), np.full((2, 5), 3)),
    "not divided": BlockLayout(Grid.regular((23, 31), 4), np.full((4, 4), 2)),
    "not divided, uneven": BlockLayout(
        Grid.regular((23, 31), 3), np.array([[1, 2, 0], [3, 1, 1], [0, 2, 1]])
    ),
    "blocks of rank 0": BlockLayout(
        Grid.regular((24, 32), 4),
        np.array([[2, 0, 1, 0], [0, 0, 0, 0], [1, 0, 3, 0], [0, 0, 1, 0]]),
    ),
    "diagonal": BlockLayout(Grid.regular((24, 32), 4), np.eye(4, dtype=np.int64) * 3),
    "one block": BlockLayout(Grid.regular((24, 32), 1), np.array([[5]])),
    "one output": BlockLayout(Grid.regular((1, 7), 1), np.array([[1]])),
}
DTYPES = [torch.float32, torch.float64]


def made(layout: BlockLayout, dtype: torch.dtype) -> tuple[BlockFactors, Tensor, Tensor]:
    """Random factors, tokens, and a gradient from above."""
    torch.manual_seed(5)
    term = BlockFactors(layout, 1.0, dtype, torch.device("cpu"))
    for piece in term.parameters():
        nn.init.normal_(piece)
    m, n = layout.grid.shape
    x = torch.randn(TOKENS, n, dtype=dtype, requires_grad=True)
    return term, x, torch.randn(TOKENS, m, dtype=dtype)


def gradients(y: Tensor, given: Sequence[Tensor], upstream: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y, given, upstream))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_plain_form_is_the_dense_product(layout: BlockLayout, dtype: torch.dtype) -> None:
    term, x, _ = made(layout, dtype)
    y = block_products(x, layout, term.gather, list(term.A), list(term.B))
    assert_close(y, x.double() @ dense_of(term).T, dtype)


@pytest.mark.parametrize("form", ["alone", "onto", "with a base"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_fast_form_equals_the_plain(layout: BlockLayout, dtype: torch.dtype, form: str) -> None:
    term, x, upstream = made(layout, dtype)
    a, b = list(term.A), list(term.B)
    given = [x, *a, *b]
    plain = block_products(x, layout, term.gather, a, b)
    if form == "alone":
        fast = fast_block_products(x, layout, term.gather, a, b)
    elif form == "onto":
        before = torch.randn_like(upstream)
        plain = before + plain
        fast = fast_block_products(x, layout, term.gather, a, b, onto=before.clone())
    else:
        m, n = layout.grid.shape
        weight, bias = torch.randn(m, n, dtype=dtype), torch.randn(m, dtype=dtype)
        plain = nn.functional.linear(x, weight, bias) + plain
        fast = fast_linear_with_products(x, weight, bias, layout, term.gather, a, b)
    assert_close(fast, plain, dtype)
    wanted = gradients(plain, given, upstream)
    for found, gradient in zip(gradients(fast, given, upstream), wanted, strict=True):
        assert_close(found, gradient, dtype)
