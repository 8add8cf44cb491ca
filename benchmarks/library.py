"""A new budget at 1024², large blocks at 4096² and hybrid at 512², against torch.linalg.svd."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import median_seconds
from lolora_core import FAMILIES, approximate, budget_for_rank, decompose
from lolora_core.targets import load

SIDE, RANK, GRID = 4096, 64, 8
LARGE_FAMILIES = ("global", "diagonal", "localized")


def matrix(side: int, kind: str) -> torch.Tensor:
    """Return a seeded float32 matrix: noise, or noise with rows of falling norm (k^-1/2)."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(side, side, generator=generator)
    if kind == "falling":
        # Twice mixed, so that the spectrum falls although no row or column stands out.
        scale = torch.arange(1, side + 1).rsqrt()
        w = torch.linalg.qr(w).Q * scale @ torch.randn(side, side, generator=generator)
    return w


def new_budget() -> dict[str, Any]:
    """Time a new budget after the first look, as a share of one full SVD at 1024²."""
    w = matrix(1024, "falling")
    svd_seconds = median_seconds(lambda: torch.linalg.svd(w, full_matrices=False))
    svd = decompose(w, 8)
    read = [name for name, family in FAMILIES.items() if family.from_spectra]
    for family in read:
        svd.approximate(family, budget=2048)
    found: dict[str, Any] = {"svd_seconds": svd_seconds}
    for rank in (32, 256):
        budget = budget_for_rank((1024, 1024), rank)

        def ranks_and_errors(budget: int = budget) -> None:
            for family in read:
                _ = svd.approximate(family, budget=budget).relative_error

        def dense(budget: int = budget) -> None:
            for family in read:
                svd.approximate(family, budget=budget).dense()

        found[f"rank {rank}"] = {
            "ranks and errors of all families / svd": median_seconds(ranks_and_errors)
            / svd_seconds,
            "with all dense forms / svd": median_seconds(dense) / svd_seconds,
        }
    return found


def hybrid() -> dict[str, Any]:
    """Time hybrid from nothing at 512², r = 32, 8×8, float32, against one full SVD."""
    found: dict[str, Any] = {}
    targets = {name: torch.tensor(load(name).array) for name in ("camera", "brick")}
    for name, w in (targets | {k: matrix(512, k) for k in ("noise", "falling")}).items():
        work, budget = w.float(), budget_for_rank((512, 512), 32)

        def search(work: torch.Tensor = work, budget: int = budget) -> float:
            return approximate(work, "hybrid", budget=budget, grid=GRID).relative_error

        def full(work: torch.Tensor = work) -> object:
            return torch.linalg.svd(work)

        # Taken in turn, so that a busy moment of the machine falls on both.
        pairs = [(median_seconds(search, 1), median_seconds(full, 5)) for _ in range(3)]
        svd = decompose(work, GRID)
        found[name] = {
            "time / svd": statistics.median(mine / peer for mine, peer in pairs),
            "svd_seconds": statistics.median(peer for _, peer in pairs),
            "errors": {
                family: svd.approximate(family, budget=budget).relative_error
                for family in ("global", "adaptive", "hybrid")
            },
        }
    return found


def one_large(path: str, family: str) -> dict[str, float]:
    """Approximate the matrix in a file: seconds, error, peak memory over that of the matrix."""
    w = torch.from_numpy(np.load(path))
    bytes_held = w.numel() * w.element_size()
    approximate(w[:512, :512], family, budget=budget_for_rank((512, 512), 8), grid=GRID)
    before = _peak_bytes()
    start = time.perf_counter()
    a = approximate(w, family, budget=budget_for_rank((SIDE, SIDE), RANK), grid=GRID)
    error = a.relative_error
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "relative_error": error,
        "peak_over_matrix": 1 + (_peak_bytes() - before) / bytes_held,
    }


def _peak_bytes() -> int:
    # VmHWM, because ru_maxrss starts at the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _in_its_own_process(path: Path, family: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.library", str(path), family]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def large() -> dict[str, Any]:
    """Compare time and error of the three families at 4096² with exact decompositions."""
    found: dict[str, Any] = {}
    for kind in ("noise", "falling"):
        w = matrix(SIDE, kind)
        start = time.perf_counter()
        values = torch.linalg.svd(w, full_matrices=False).S.double()
        svd_seconds = time.perf_counter() - start
        found[kind] = {"svd_seconds": svd_seconds}
        budget = budget_for_rank((SIDE, SIDE), RANK)
        for family in LARGE_FAMILIES:
            with tempfile.TemporaryDirectory() as folder:
                np.save(Path(folder) / "w.npy", w.numpy())
                mine = _in_its_own_process(Path(folder) / "w.npy", family)
            if family == "global":
                best = float((values[RANK:] ** 2).sum().sqrt() / values.norm())
            else:
                exact = approximate(w, family, budget=budget, grid=GRID, method="exact")
                best = exact.relative_error
            found[kind][family] = {
                "time / svd": mine["seconds"] / svd_seconds,
                "error / optimal": mine["relative_error"] / best,
                "peak memory / matrix": mine["peak_over_matrix"],
            }
    return found


def run() -> dict[str, Any]:
    """Run all three."""
    return {
        "new budget, 1024²": new_budget(),
        "hybrid, 512², equivalent rank 32, 8×8": hybrid(),
        "4096², equivalent rank 64, 8×8": large(),
    }


if __name__ == "__main__":
    print(json.dumps(one_large(sys.argv[1], sys.argv[2])))
