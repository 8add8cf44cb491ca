"""400 steps of a digits task by one adapter against the same loop with full fine-tuning."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from lolora_core.training import Method, fine_tune

STEPS = 400
RUNS = 7
RANK, GRID = 16, 4


def _seconds(method: str | Method) -> tuple[float, float]:
    run = fine_tune("digits-rotated", method, steps=STEPS, device="cpu")
    records = list(run)
    return records[-1].seconds, records[-1].samples_per_second


def run() -> dict[str, Any]:
    """Alternate the two, so that both meet the same load; medians of the pairs' ratios."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pairs = []
    try:
        for _ in range(RUNS + 1):
            pairs.append((_seconds(Method("localized", RANK, GRID)), _seconds("full")))
    finally:
        torch.set_num_threads(threads)
    counted = pairs[1:]
    return {
        f"digits-rotated, {STEPS} steps, one thread": {
            "localized / full": statistics.median(mine[0] / full[0] for mine, full in counted),
            "localized seconds": statistics.median(mine[0] for mine, _ in counted),
            "full seconds": statistics.median(full[0] for _, full in counted),
            "localized samples/s": statistics.median(mine[1] for mine, _ in counted),
            "full samples/s": statistics.median(full[1] for _, full in counted),
        }
    }
