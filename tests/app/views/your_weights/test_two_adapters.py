"""Two adapters at once on Your weights, from uploaded files to the verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from torch import nn

from app.shared.memory_file import in_memory
from app.views.your_weights import overlaps
from app.views.your_weights.overlaps import Files
from lolora_core.adapters import AdapterConfig, add_adapters, save_adapters
from lolora_core.checkpoints import OVERLAP_HELP, Overlap, overlap
from tests.app.views.your_weights.test_page import start, text


def peft(folder: Path, seed: int, modules: str = "01") -> Files:
    torch.manual_seed(seed)
    model = nn.Sequential(*(nn.Linear(32, 32) for _ in range(3)))
    settings = LoraConfig(r=3, target_modules=list(modules), init_lora_weights=False)
    get_peft_model(model, settings).save_pretrained(str(folder))
    names = ("adapter_model.safetensors", "adapter_config.json")
    return tuple(in_memory(name, (folder / name).read_bytes()) for name in names)


def compared(first: Files, second: Files) -> Overlap:
    return overlaps.compared(first, second, lambda share, words: None)


def shown(*adapters: Files) -> AppTest:
    return start(pair="digits MLP", two_adapters=adapters)


def test_the_page_says_what_the_library_says(tmp_path: Path) -> None:
    at = shown(peft(tmp_path / "a", 0, "01"), peft(tmp_path / "b", 1, "12"))
    assert not at.exception
    assert not at.error
    found = overlap(tmp_path / "a", tmp_path / "b")
    said = text(at).replace("\\", "")
    assert found.verdict in said
    (table,) = [frame for frame in at.dataframe if "cosine" in frame.value]
    assert table.value["matrix"].tolist() == ["1"]
    assert table.value["‖A + B‖"].tolist() == pytest.approx(found.frame()["sum_norm"].tolist())
    hover = json.loads(table.proto.columns)
    assert hover["columns shared"]["help"] == OVERLAP_HELP["column_overlap"]
    assert all(hover[heading]["help"] for heading in table.value)
    (left,) = [f.value for f in at.dataframe if {*f.value.get("reason", ())} & {"only in A"}]
    assert left.to_numpy().tolist() == [["0.weight", "only in A"], ["2.weight", "only in B"]]


def test_files_are_uploaded_one_adapter_at_a_time(tmp_path: Path) -> None:
    at = start(pair="digits MLP")
    for letter, seed in (("a", 0), ("b", 1)):
        peft(tmp_path / letter, seed)
        files = [
            (name, (tmp_path / letter / name).read_bytes(), "")
            for name in ("adapter_model.safetensors", "adapter_config.json")
        ]
        at.file_uploader(key=f"adapter_{letter}").set_value(files).run()
        assert not at.exception
        assert ("Upload the other adapter as well." in text(at)) == (letter == "a")
    verdict = overlap(tmp_path / "a", tmp_path / "b").verdict
    assert verdict in text(at).replace("\\", "")
    # What was uploaded is still there when the page is come back to.
    at.switch_page("views/compare/page.py").run().switch_page("views/your_weights/page.py").run()
    assert verdict in text(at).replace("\\", "")


def test_before_there_are_two_the_page_says_what_to_do() -> None:
    at = start(pair="digits MLP")
    assert "Upload two adapters of one model" in text(at)
    assert not at.error


def test_an_adapter_of_the_library_is_read_with_its_settings(tmp_path: Path) -> None:
    model = add_adapters(nn.Sequential(nn.Linear(32, 32)), AdapterConfig(rank=4, grid=2))
    torch.nn.init.normal_(next(p for n, p in model.named_parameters() if ".B." in n))
    save_adapters(model, tmp_path / "own")
    names = ("adapters.safetensors", "adapters.json")
    own = tuple(in_memory(name, (tmp_path / "own" / name).read_bytes()) for name in names)
    other = peft(tmp_path / "b", 1, "0")
    exact = overlap(tmp_path / "own", tmp_path / "b")
    assert compared(own, other).rows == exact.rows
    assert exact.rows


def test_updates_stand_alone() -> None:
    files = [
        (in_memory(f"{seed}.safetensors", save({"fc.weight": torch.eye(4) * seed})),)
        for seed in (1, 2)
    ]
    found = compared(files[0], files[1])
    assert "They clash" in found.verdict
    assert any("taken as updates" in note for note in found.notes)


def test_what_is_no_adapter_is_refused_and_the_page_lives_on(tmp_path: Path) -> None:
    good = peft(tmp_path / "a", 0)
    model = {"h.0.fc.weight": torch.ones(4, 4), "h.0.ln.weight": torch.ones(4)}
    whole = (in_memory("model.safetensors", save(model)),)
    at = shown(good, whole)
    (problem,) = [error.value for error in at.error]
    assert "is a whole model" in problem
    assert not at.exception
    with pytest.raises(ValueError, match=r"one \.safetensors file, with its adapter_config\.json"):
        compared((*good, *whole), good)
    broken = (good[0], in_memory("adapter_config.json", b"{"))
    with pytest.raises(ValueError, match=r"^(?!.*/tmp/).*"):
        compared(broken, good)


def test_what_progress_raises_stops_the_comparison(tmp_path: Path) -> None:
    def stop(share: float, words: str) -> None:
        raise RuntimeError(words)

    files = peft(tmp_path / "a", 5), peft(tmp_path / "b", 6)
    with pytest.raises(RuntimeError, match="1 of 2 modules"):
        overlaps.compared(*files, stop)
    assert compared(*files).complete
