"""The TARGET of a command: .npy files of any kind, tensors by any name, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from lolora_core.commands import matrices
from lolora_core.commands.main import app
from lolora_core.commands.matrices import read_target
from lolora_core.targets import upload_npy


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((20, 30))


ARRAYS = {
    "float64": values(),
    "float32": values().astype("f4"),
    "float16": values().astype("f2"),
    "big": values().astype(">f8"),
    "uint8": (values() * 40 + 100).astype("u1"),
    "int64": (values() * 40).astype("i8"),
    "bool": values() > 0,
    "fortran": np.asfortranarray(values()),
    "low_rank": np.outer(np.arange(1.0, 6.0), np.arange(1.0, 8.0)),
    "row": values()[:1],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_command_line_reads_what_an_upload_reads(name: str, folder: Path) -> None:
    path = folder / f"{name}.npy"
    np.save(path, ARRAYS[name])
    found = read_target(path.name)
    uploaded = upload_npy(path.read_bytes(), name=path.name).array
    assert np.array_equal(found, uploaded)
    assert found.dtype == uploaded.dtype
    assert np.allclose(found, ARRAYS[name].astype("f8"), atol=1e-6)
    run = CliRunner().invoke(app, ["approximate", path.name, "--rank", "1", "--grid", "1"])
    assert run.exit_code == 0


def test_there_is_no_window_on_the_command_line() -> None:
    np.save("long.npy", np.ones((3, 3000), dtype="f4"))
    assert read_target("long.npy").shape == (3, 3000)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero.npy", r"must hold a 2-D matrix, but its shape is \(\)"),
        ("one.npy", r"must hold a 2-D matrix, but its shape is \(30,\)"),
        ("three.npy", r"must hold a 2-D matrix, but its shape is \(1, 20, 30\)"),
        ("empty.npy", "must not be empty"),
        ("complex.npy", "holds complex values"),
        ("archive.npz", r"is an archive of several arrays; save the one that is wanted as \.npy"),
        ("renamed.npy", "is a NumPy archive of several arrays"),
        ("t.safetensors:bias", "bias of t.safetensors cannot be used: it has 1 axis"),
        ("t.safetensors:fc", "holds no tensor 'fc'; it holds"),
        ("t.safetensors", r"name one as t\.safetensors:TENSOR"),
        ("none.safetensors:fc", "none.safetensors is not there"),
        ("none.npy", "No such file"),
        ("weights.bin:fc", "a pickle|is not there|no target"),
    ],
)
def test_what_is_no_matrix_is_refused_in_a_sentence(name: str, message: str) -> None:
    a = values()
    for stem, array in (
        ("zero", np.array(3.0)),
        ("one", a[0]),
        ("three", a[None]),
        ("empty", a[:0]),
        ("complex", a * 1j),
    ):
        np.save(f"{stem}.npy", array)
    np.savez("archive.npz", a=a)
    Path("renamed.npy").write_bytes(Path("archive.npz").read_bytes())
    save_file({"bias": torch.ones(4), "fc.weight": torch.ones(4, 4)}, "t.safetensors")
    run: Any = CliRunner().invoke(app, ["approximate", name, "--rank", "1", "--grid", "1"])
    assert run.exit_code == 2
    with pytest.raises((ValueError, OSError), match=message):
        read_target(name)
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    "tensor", ["params/dense/kernel", "a:b", "h.0.fc:0", "x\\y", "s.safetensors:weight"]
)
def test_names_of_tensors_may_have_any_character(tensor: str) -> None:
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    save_file({tensor: weight, "other": weight + 1}, "s.safetensors")
    found = read_target(f"s.safetensors:{tensor}")
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, weight)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("C:\\models\\a.safetensors:fc", ("C:\\models\\a.safetensors", "fc")),
        ("C:/models/a.safetensors", ("C:/models/a.safetensors", None)),
        ("owner/model:h.0/fc:w", ("owner/model", "h.0/fc:w")),
        ("owner/model@v1.0:fc", ("owner/model@v1.0", "fc")),
        ("camera", None),
    ],
)
def test_sources_that_are_not_on_this_machine(name: str, parts: tuple[str, str] | None) -> None:
    assert matrices._source_and_tensor(name) == parts


def test_a_convolution_is_read_by_its_first_view_and_a_lone_tensor_needs_no_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kernel = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    save_file({"conv.weight": kernel}, "one.safetensors")
    for name in ("one.safetensors", "one.safetensors:conv.weight"):
        found = read_target(name)
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, kernel.reshape(8, 36))
        assert "the 8×4×3×3 tensor is read as 8 × (4·3·3)" in capsys.readouterr().err
