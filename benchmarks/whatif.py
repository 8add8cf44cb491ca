"""The whole sweep against one full SVD of the same matrix, at 256² to 4096²."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.library import matrix
from lolora_core import decompose, sweep
from lolora_core.blocks.grid import all_budgets
from lolora_core.explore.sweep import GRIDS

SIDES = (256, 512, 1024, 2048, 4096)
RUNS = {256: 15, 512: 11, 1024: 9, 2048: 3, 4096: 1}


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def side_by_side(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Return the median seconds of each call; the calls take turns, so that load hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            seconds = _seconds(call)
            # The first round warms up, unless it is the only one that is affordable.
            if run or runs == 1:
                times[name].append(seconds)
        if runs == 1:
            break
    return {name: float(np.median(found)) for name, found in times.items()}


def cost(side: int) -> dict[str, Any]:
    """Time the sweep of grids 1…32 with every budget, and with one, over one full SVD."""
    w = matrix(side, "falling")
    seconds = side_by_side(
        {
            "svd": lambda: torch.linalg.svd(w),
            "every budget": lambda: sweep(w),
            "one budget": lambda: sweep(w, budgets=[64 * side]),
        },
        RUNS[side],
    )
    svd = seconds.pop("svd")
    return {
        "svd_seconds": svd,
        "budgets": len(all_budgets((side, side))),
        **{f"sweep, {name} / svd": value / svd for name, value in seconds.items()},
    }


def many_budgets() -> dict[str, Any]:
    """Time ten thousand budgets over the 257 of whole ranks, at 512²."""
    w = matrix(512, "falling")
    many = np.linspace(0, 512 * 512, 10_000, dtype=np.int64).tolist()
    seconds = side_by_side({"many": lambda: sweep(w, budgets=many), "all": lambda: sweep(w)}, 9)
    return {"10,000 budgets / every whole rank": seconds["many"] / seconds["all"]}


def accuracy() -> dict[str, float]:
    """Return the largest difference to float64 block SVDs, any family, grid and budget, at 512²."""
    found = {}
    for kind in ("noise", "falling"):
        w = matrix(512, kind)
        swept = sweep(w)
        found[kind] = max(
            float(np.abs(swept.errors[family, (k, k)] - exact).max())
            for k in GRIDS
            for svd in (decompose(w.double(), k),)
            for family in swept.families
            for exact in (svd.errors(family, swept.budgets),)
        )
    return found


def run() -> dict[str, Any]:
    """Run all three."""
    return {
        "sweep, grids 1, 2, 4, 8, 16, 32": {f"{side}²": cost(side) for side in SIDES},
        "number of budgets, 512²": many_budgets(),
        "largest difference to float64 SVDs, 512²": accuracy(),
    }
