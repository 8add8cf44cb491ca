from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import color, data

from lolora_core import FAMILIES, Approximation, approximate, budget_for_rank, decompose
from tests.common_checks import random_target

KNOWN = {
    # target: global, localized 4, localized 8, adaptive 8, localized 16, adaptive 16
    "camera": (0.0804, 0.0823, 0.0835, 0.0618, 0.0909, 0.0605),
    "astronaut": (0.1106, 0.1040, 0.1062, 0.0897, 0.1129, 0.0857),
    "brick": (0.0552, 0.0487, 0.0484, 0.0415, 0.0551, 0.0467),
    "minilm-0-query": (0.7400, 0.7929, 0.8113, 0.7848, 0.8249, 0.7911),
}


def known_target(name: str) -> np.ndarray:
    if name == "astronaut":
        return color.rgb2gray(data.astronaut())
    if name == "minilm-0-query":
        from lolora_core.targets import load

        return load(name).array.astype(np.float64)
    return getattr(data, name)() / 255


@pytest.mark.parametrize("name", KNOWN)
def test_known_figures(name: str) -> None:
    w = known_target(name)
    whole = decompose(w, 1)
    budget = budget_for_rank(w.shape, 32)
    cases = [("global", 1), ("localized", 4), ("localized", 8), ("adaptive", 8)]
    cases += [("localized", 16), ("adaptive", 16)]
    found = [whole.regrid(k).approximate(f, budget=budget).relative_error for f, k in cases]
    assert [round(error, 4) for error in found] == list(KNOWN[name])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_save_and_load(tmp_path: Path, family: str, dtype: torch.dtype) -> None:
    w = random_target((23, 17), dtype)
    a = approximate(w, family, budget=300, grid=3)
    a.save(tmp_path / "a.safetensors")
    b = Approximation.load(tmp_path / "a.safetensors")
    assert (b.family, b.budget, b.grid, b.dtype) == (a.family, a.budget, a.grid, a.dtype)
    assert b.relative_error == a.relative_error
    np.testing.assert_array_equal(b.rank_map, a.rank_map)
    assert b.num_parameters == a.num_parameters
    torch.testing.assert_close(b.dense(), a.dense())
    for block, pair in a.factors().items():
        torch.testing.assert_close(b.factors()[block], pair)
    with pytest.raises(ValueError, match="loaded without its target"):
        b.block_errors()
    np.testing.assert_allclose(b.block_errors(4, target=w), a.block_errors(4), atol=1e-6)


def test_load_refuses_what_is_not_an_approximation(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is not a saved approximation"):
        Approximation.load(tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        Approximation.load(tmp_path / "broken.safetensors")
    assert load_file(tmp_path / "other.safetensors")["x"].sum() == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_budget_zero_is_the_zero_matrix(family: str) -> None:
    a = approximate(random_target((12, 9), torch.float32), family, budget=0, grid=3)
    assert a.relative_error == 1.0
    assert a.energy == 0.0
    assert not a.dense().any()
    assert a.factors() == {}
    assert a.global_rank == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_all_zero_target(family: str) -> None:
    a = approximate(torch.zeros(12, 9), family, budget=100, grid=3)
    assert a.relative_error == 0.0
    assert not a.dense().any()
    assert not a.block_errors(3).any()


@pytest.mark.parametrize(
    ("target", "problem", "match"),
    [
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), ValueError, r"2 entries .* first at \(0, 1\)"),
        (torch.tensor([[1.0], [-torch.inf]]), ValueError, r"1 entry is NaN or infinite.*\(1, 0\)"),
        (np.ones(4), ValueError, r"target must be a 2-D matrix; its shape is \(4,\)"),
        (np.ones((2, 2, 2)), ValueError, r"its shape is \(2, 2, 2\)"),
        (np.ones((0, 3)), ValueError, r"target must not be empty; its shape is \(0, 3\)"),
        (np.ones((2, 2), dtype=complex), TypeError, "its dtype is complex128"),
        (np.ones((2, 2), dtype=object), TypeError, "its dtype is object"),
        (np.ones((2, 2), dtype=np.uint8), TypeError, "its dtype is uint8"),
        (torch.ones(2, 2, dtype=torch.int64), TypeError, "its dtype is int64"),
        (torch.ones(2, 2).to_sparse(), TypeError, "its layout is torch.sparse_coo"),
        ([[1.0]], TypeError, "must be a torch tensor or a NumPy array"),
    ],
)
def test_bad_targets(target: Any, problem: type[Exception], match: str) -> None:
    with pytest.raises(problem, match=match):
        approximate(target, "global", budget=4)
    with pytest.raises(problem, match=match):
        decompose(target, 1)


@pytest.mark.parametrize(
    ("grid", "named"), [(0, "0×0"), (-2, "-2×-2"), (13, "13×13"), ((2, 10), "2×10")]
)
def test_bad_grids(grid: Any, named: str) -> None:
    with pytest.raises(ValueError, match=f"grid {named} does not fit a 12×9 matrix"):
        approximate(np.ones((12, 9)), "localized", budget=4, grid=grid)


def test_bad_budgets() -> None:
    with pytest.raises(ValueError, match="must be 0 or more; it is -1"):
        approximate(np.eye(3), "global", budget=-1)
    with pytest.raises(TypeError, match=r"must be an integer; it is 2\.5"):
        approximate(np.eye(3), "global", budget=2.5)  # type: ignore[arg-type]


def test_arrays_that_torch_finds_awkward() -> None:
    w = np.arange(12.0).reshape(3, 4)
    expected = approximate(w, "global", budget=7).relative_error
    frozen = w.copy()
    frozen.flags.writeable = False
    for other in (frozen, np.asfortranarray(w), w[::-1], w.astype(">f8"), torch.tensor(w)):
        assert approximate(other, "global", budget=7).relative_error == pytest.approx(expected)
    parameter = torch.nn.Parameter(torch.tensor(w))
    assert not approximate(parameter, "global", budget=7).dense().requires_grad


def test_global_rank_and_rank_map() -> None:
    a = approximate(random_target((12, 9), torch.float32), "global", budget=50, grid=3)
    assert (a.global_rank, a.rank_map.tolist(), a.grid.blocks) == (2, [[2]], (1, 1))
    assert approximate(np.eye(4), "localized", budget=50, grid=2).global_rank == 0


def test_the_core_does_not_import_streamlit() -> None:
    code = (
        "import pkgutil, sys, lolora_core;"
        "[__import__(m.name) for m in pkgutil.walk_packages(lolora_core.__path__, 'lolora_core.')"
        " if not m.name.startswith('lolora_core.assets')];"
        "assert 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("planted", [2, 20])
def test_numerical_rank_is_that_of_dense(tmp_path: Path, family: str, planted: int) -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(40, planted)) @ rng.normal(size=(planted, 30))
    a = approximate(w, family, budget=8 * 70, grid=2)
    expected = np.linalg.matrix_rank(a.dense().numpy())
    assert a.numerical_rank() == expected
    a.save(tmp_path / "a.safetensors")
    assert Approximation.load(tmp_path / "a.safetensors").numerical_rank() == expected
    assert approximate(w, family, budget=0, grid=2).numerical_rank() == 0
