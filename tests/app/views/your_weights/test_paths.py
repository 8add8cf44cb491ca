"""Paths of this machine on Your weights: only where whoever runs the app allows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.views.your_weights import pairs
from tests.app.test_pages import text
from tests.app.views.your_weights.test_page import start


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    base = {"h.0.fc.weight": torch.randn(24, 16), "h.1.fc.weight": torch.randn(16, 24)}
    (tmp_path / "base").mkdir()
    save_file(base, tmp_path / "base" / "model.safetensors")
    save_file({name: w + 1 for name, w in base.items()}, tmp_path / "tuned.safetensors")
    return str(tmp_path / "base"), str(tmp_path / "tuned.safetensors")


def test_no_host_reads_paths_unless_it_is_told_to(files: tuple[str, str]) -> None:
    base, tuned = files
    at = start(pair="on this machine", base_path=base, tuned_path=tuned)
    assert not at.exception
    # Of a link: the choice is not offered, and the default pair is looked at.
    assert at.selectbox(key="pair").value == "digits transformer"
    assert "A path on this machine" not in at.selectbox(key="pair").options
    assert "From the Hub" in at.selectbox(key="pair").options
    assert not at.text_input
    with pytest.raises(ValueError, match="does not read paths"):
        pairs.local_pair(base, tuned)


def test_a_folder_and_a_file(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_ALLOW_PATHS", "1")
    base, tuned = files
    at = start(pair="on this machine", rank=2)
    assert "Give both paths" in at.info[0].value
    at.text_input(key="base_path").set_value(f" {base} ").run()
    at.text_input(key="tuned_path").set_value(tuned).run()
    assert not at.exception
    assert "base → tuned.safetensors: 2 matrices at r = 2" in text(at)
    assert any(f"lolora survey {base} {tuned} --rank 2" in code.value for code in at.code)
    at.text_input(key="tuned_path").set_value(f"{tuned}x").run()
    assert "is not on this machine" in at.error[0].value
    assert "Until then you see: base → tuned.safetensors" in text(at)
    at.text_input(key="tuned_path").set_value("owner/name").run()
    assert "is not on this machine" in at.error[0].value


def test_an_upload_says_what_takes_larger_files() -> None:
    at = start(pair="own upload", rank=8, rows=4, linked=False)
    assert any(
        code.value == "lolora survey BASE TUNED --rank 8 --grid 4x8 --output survey.csv"
        for code in at.code
    )
