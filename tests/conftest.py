"""Settings of the whole suite."""

from typing import Any

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


@pytest.fixture
def svd_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that torch.linalg.svd was called with."""
    calls: list[tuple[int, ...]] = []
    original = torch.linalg.svd

    def counted(a: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(tuple(a.shape))
        return original(a, *args, **kwargs)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    return calls
