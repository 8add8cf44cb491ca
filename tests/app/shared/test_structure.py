"""The drawing of a structure: its area is the number of parameters."""

from __future__ import annotations

import re

import numpy as np
import pytest

from app.shared.structure import drawing, longest_side
from lolora_core import FAMILIES, Approximation, approximate, budget_for_rank


def coloured(svg: str) -> int:
    """The area of the factors in the drawing."""
    rectangles = re.findall(r"M[-\d.]+ [-\d.]+h([\d.]+)v([\d.]+)", "".join(factors(svg)))
    return round(sum(float(width) * float(height) for width, height in rectangles))


def factors(svg: str) -> list[str]:
    return re.findall(r'<path d="([^"]*)" fill="#123456"', svg)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("shape", "grid"), [((48, 48), 4), ((50, 31), 3)])
def test_area_is_parameters(family: str, shape: tuple[int, int], grid: int) -> None:
    w = np.random.default_rng(1).normal(size=shape)
    found = approximate(w, family, budget=budget_for_rank(shape, 6), grid=grid)
    assert coloured(drawing(found, "#123456", scale=2)) == found.num_parameters > 0


def test_all_rectangles_lie_inside_and_apart() -> None:
    w = np.random.default_rng(2).normal(size=(24, 36))
    found: Approximation = approximate(w, "adaptive", budget=600, grid=(2, 3))
    svg = drawing(found, "#123456", scale=1)
    (size,) = re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)
    width, height = map(float, size)
    assert max(width, height) == longest_side(found)
    painted = np.zeros((int(height), int(width)), dtype=int)
    for path in re.findall(r'<path d="([^"]*)"', svg):
        for found_rectangle in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", path):
            x, y, w_, h_ = map(int, found_rectangle)
            painted[y : y + h_, x : x + w_] += 1
            assert x + w_ <= width
            assert y + h_ <= height
    assert painted.max() == 1


def test_a_budget_that_stores_nothing_shows_empty_blocks() -> None:
    found = approximate(np.eye(16), "localized", budget=4, grid=4)
    assert found.num_parameters == 0
    assert coloured(drawing(found, "#123456", scale=1)) == 0
