"""Settings of the whole suite."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from streamlit import config
from streamlit.components.v2 import manifest_scanner

# Timing belongs to benchmarks/, so no deadline; the same examples every run.
settings.register_profile("lolora", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("lolora")

# Where `streamlit run` puts it for good. AppTest puts it there for each run and takes it away
# again, and an import in another thread meanwhile passes over an entry of the path.
sys.path.append(str(Path(__file__).resolve().parents[1] / "app"))

# For each AppTest anew Streamlit would read the metadata of every package that is installed.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

# As on the server: see app/server/rubbish.py.
config.set_option("runner.postScriptGC", False)

# Beside other workers one core is a worker's share, and that of the programs that its tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs an NVIDIA GPU; the CPU runs the same checks")
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Put `__main__` back: a page that ran in this process is not what new processes may import."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


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
