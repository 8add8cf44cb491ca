"""Settings of the whole suite."""

import pytest
import torch
from hypothesis import settings

# Timing belongs to benchmarks/, so no deadline; the same examples every run.
settings.register_profile("lolora", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("lolora")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs an NVIDIA GPU; the CPU runs the same checks")
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(skip)
