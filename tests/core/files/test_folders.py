"""Which of several candidate files is read, and adapters written over others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertModel

from lolora_core.adapters import AdapterConfig, add_adapters, save_adapters
from lolora_core.checkpoints import open_source, to_peft
from lolora_core.files.folders import choose_files
from lolora_core.files.found import find_local

MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
DIFFUSION = "diffusion_pytorch_model.safetensors"


def chosen(*names: str, **more: Any) -> str:
    found = choose_files(names.__contains__, names, "here", **more)
    assert found is not None
    return found.name


@pytest.mark.parametrize(
    ("names", "first"),
    [
        ((INDEX, MODEL), MODEL),
        ((INDEX, "other.safetensors"), INDEX),
        ((MODEL, "pytorch_model.bin"), MODEL),
        ((MODEL, "model.fp16.safetensors"), MODEL),
        ((MODEL, "adapter_config.json", "adapter_model.safetensors"), "adapter_model.safetensors"),
        ((MODEL, "adapter_model.safetensors"), MODEL),
        (
            ("adapter_config.json", "adapter_model.bin", "adapter_model.safetensors"),
            "adapter_model.safetensors",
        ),
        ((MODEL, "adapters.json", "adapters.safetensors"), "adapters.safetensors"),
        ((DIFFUSION, f"{DIFFUSION}.index.json"), f"{DIFFUSION}.index.json"),
        ((MODEL, DIFFUSION), MODEL),
        ((DIFFUSION, "diffusion_pytorch_model.fp16.safetensors"), DIFFUSION),
        (
            ("diffusion_pytorch_model.fp16.safetensors", "x.safetensors"),
            "diffusion_pytorch_model.fp16.safetensors",
        ),
        (
            ("model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"),
            "model.safetensors.index.fp16.json",
        ),
        (("model.fp16.safetensors", "model.safetensors.index.fp16.json"), "model.fp16.safetensors"),
        (("pytorch_lora_weights.safetensors", "x.safetensors"), "pytorch_lora_weights.safetensors"),
        (("x.safetensors", "README.md"), "x.safetensors"),
        (
            ("x.safetensors.index.json", "x-1.safetensors", "x-2.safetensors"),
            "x.safetensors.index.json",
        ),
    ],
)
def test_the_file_that_the_libraries_would_read_goes_first(
    names: tuple[str, ...], first: str
) -> None:
    assert chosen(*names) == first
    assert chosen(*reversed(names)) == first


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("adapters.json", "adapter_config.json"), "two adapters, one of adapters.json and one of"),
        (("adapter_config.json", "adapter_model.bin"), "adapter_model.bin, a pickle"),
        (("pytorch_model.bin", "model.fp16.safetensors"), r"such as model\.fp16\.safetensors"),
        (("diffusion_pytorch_model.bin", "x.safetensors"), "a pickle"),
        (("model_index.json", "unet", "vae", "x.safetensors"), r"pipeline .* of them: unet, vae"),
        (("model.fp16.safetensors", "model.bf16.safetensors"), "several variants"),
    ],
)
def test_a_folder_without_one_answer_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen(*names)


def test_config_json_may_name_the_file() -> None:
    names = (MODEL, "mine.safetensors")
    assert chosen(*names, explicit="mine.safetensors") == "mine.safetensors"
    assert chosen(*names, explicit="../mine.safetensors") == MODEL
    assert chosen(*names, explicit=["mine.safetensors"]) == MODEL
    assert choose_files(lambda _: False, (), "here") is None


def test_transformers_reads_the_same_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    model = BertModel(BertConfig(vocab_size=40, num_hidden_layers=1, **sizes))
    model.save_pretrained(tmp_path, max_shard_size="2KB")
    assert find_local(tmp_path).index_name == INDEX
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1)
    save_file(
        {n: v.contiguous() for n, v in model.state_dict().items()},
        tmp_path / MODEL,
        metadata={"format": "pt"},
    )
    name = "encoder.layer.0.output.dense.weight"
    source = open_source(tmp_path)
    read = BertModel.from_pretrained(tmp_path).state_dict()
    assert torch.equal(source.read(name), read[name])
    assert torch.equal(source.read(name), model.state_dict()[name])
    assert "passed over" in source.notes[0]
    assert "model-00001-of" in source.notes[0]


def adapter(scale: float) -> nn.Module:
    torch.manual_seed(1)
    model = add_adapters(nn.Sequential(nn.Linear(8, 8)), AdapterConfig(rank=2, grid=2))
    for name, value in model.named_parameters():
        if ".B" in name:
            nn.init.constant_(value, scale)
    return model


def test_an_adapter_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    norms = []
    for scale, write in ((1.0, save_adapters), (2.0, to_peft), (3.0, save_adapters)):
        write(adapter(scale), folder)
        norms.append(float(open_source(folder).read("0.weight").norm()))
        ours = {"adapters.json", "adapters.safetensors"}
        peft = {"adapter_config.json", "adapter_model.safetensors"}
        names = {path.name for path in folder.iterdir()}
        assert names == (peft if write is to_peft else ours)
    assert norms[1:] == pytest.approx([2 * norms[0], 3 * norms[0]])


def test_an_adapter_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    save_adapters(adapter(1.0), tmp_path)
    broken = adapter(1e30)
    with pytest.raises(ValueError, match="nothing is kept"):
        to_peft(broken, tmp_path, dtype=torch.float16)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"adapters.json", "adapters.safetensors"}


@pytest.mark.parametrize("name", ["config.json", MODEL, INDEX, "pytorch_model.bin", DIFFUSION])
def test_no_adapter_is_written_into_a_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    for write in (save_adapters, to_peft):
        with pytest.raises(ValueError, match=f"holds a model \\({name}\\)"):
            write(adapter(1.0), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
