"""A merged model against PEFT's own merge_and_unload, and against the base's files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from lolora_core.checkpoints import merge_checkpoint

# PEFT asks transformers for an attribute that has a new name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")


def bert() -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    return BertModel(BertConfig(vocab_size=60, num_hidden_layers=2, **sizes))


def gpt2() -> Any:
    torch.manual_seed(1)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=16)
    )


def adapted(model: Any, folder: Path, **settings: Any) -> dict[str, torch.Tensor]:
    """Save an adapter with values of its own; return what PEFT makes of the model with it."""
    found = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, **settings))
    for name, value in found.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=0.1)
    found.save_pretrained(str(folder))
    return {n: v.detach() for n, v in found.merge_and_unload().state_dict().items()}


def merged_tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {n: v for path in folder.glob("*.safetensors") for n, v in load_file(path).items()}


def check(merged: dict[str, torch.Tensor], judge: dict[str, torch.Tensor], base: Path) -> None:
    before = merged_tensors(base)
    assert set(merged) == set(before)
    moved = 0
    for name, value in merged.items():
        change = judge[name] - before[name]
        norm = float(torch.linalg.vector_norm(change))
        assert float((value - judge[name]).abs().max()) <= 1e-5 * norm
        moved += norm > 0
    assert moved > 2


def test_bert_in_shards_is_what_peft_merges(tmp_path: Path) -> None:
    model = bert()
    model.save_pretrained(tmp_path / "base", max_shard_size="20KB")
    judge = adapted(model, tmp_path / "lora", target_modules=["query", "dense"])
    steps: list[tuple[int, int, str]] = []
    found = merge_checkpoint(
        tmp_path / "base",
        tmp_path / "lora",
        tmp_path / "merged",
        progress=lambda *step: steps.append(step),
    )
    check(merged_tensors(tmp_path / "merged"), judge, tmp_path / "base")
    same = sorted(path.name for path in (tmp_path / "base").iterdir())
    assert sorted(path.name for path in (tmp_path / "merged").iterdir()) == same
    assert len([name for name in same if name.endswith(".safetensors")]) > 2
    for path in (tmp_path / "base").glob("*.safetensors"):
        twin = tmp_path / "merged" / path.name
        length = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        assert twin.read_bytes()[:length] == path.read_bytes()[:length]
    assert [step[:2] for step in steps] == [(n + 1, len(found.names)) for n in range(len(steps))]
    reopened: Any = BertModel.from_pretrained(tmp_path / "merged")
    assert torch.equal(
        reopened.encoder.layer[0].output.dense.weight,
        merged_tensors(tmp_path / "merged")["encoder.layer.0.output.dense.weight"],
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"fan_in_fan_out": False}, {"fan_in_fan_out": False, "auto_mapping": None}],
)
def test_conv1d_of_gpt2_is_merged_as_it_is_stored(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = gpt2()
    model.save_pretrained(tmp_path / "base")
    names = ["transformer.h.0.attn.c_attn", "c_proj", "c_fc"]
    # c_proj of the attention is square, so that a shape does not show how it is stored.
    judge = adapted(model, tmp_path / "lora", target_modules=names, fan_in_fan_out=True)
    # The class of the module decides, as in PEFT, and not the flag.
    file = tmp_path / "lora" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    merge_checkpoint(tmp_path / "base", tmp_path / "lora", tmp_path / "merged")
    check(merged_tensors(tmp_path / "merged"), judge, tmp_path / "base")


def write_base(folder: Path, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    tensors = {
        "a.weight": torch.randn(6, 4, generator=random).to(dtype),
        "a.bias": torch.randn(6, generator=random).to(dtype),
        "c.weight": torch.randn(5, 3, 2, 2, generator=random).to(dtype),
    }
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "notes.md").write_text("ours")
    return tensors


def test_a_sum_is_rounded_once_and_what_it_loses_is_stated(tmp_path: Path) -> None:
    before = write_base(tmp_path / "base")
    random = torch.Generator().manual_seed(4)
    updates = {
        "a.weight": torch.randn(6, 4, generator=random),
        "c.weight": torch.randn(5, 12, generator=random),
    }
    found = merge_checkpoint(tmp_path / "base", updates, tmp_path / "merged")
    after = load_file(tmp_path / "merged" / "model.safetensors")
    lost = moved = 0.0
    for name, update in updates.items():
        exact = before[name].double() + update.reshape(before[name].shape).double()
        assert torch.equal(after[name], exact.to(torch.bfloat16))
        lost += float((exact - after[name].double()).square().sum())
        moved += float(update.double().square().sum())
    assert found.rounding == pytest.approx(math.sqrt(lost / moved), rel=1e-5)
    assert found.rounding > 1e-4
    assert torch.equal(after["a.bias"], before["a.bias"])
    names = sorted(path.name for path in (tmp_path / "merged").iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]


def test_what_does_not_fit_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    write_base(base)
    update = torch.ones(6, 4)
    for updates, message in (
        ({"b.weight": update}, r"changes b\.weight, which .* lacks; did you mean .*a\.weight"),
        ({"a.weight": update.T}, r"has the shape \(4, 6\), and the weight of .* has \(6, 4\)"),
        ({"a.weight": update * 1e39}, "beyond the range|not finite"),
        ({"a.weight": update * float("nan")}, "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_checkpoint(base, updates, tmp_path / "merged")
    with pytest.raises(ValueError, match="must be new or empty"):
        merge_checkpoint(base, {"a.weight": update}, base)
    with pytest.raises(FileNotFoundError, match="on this machine"):
        merge_checkpoint("owner/model", {"a.weight": update}, tmp_path / "merged")
    save_file(
        {
            "a.weight": torch.ones(4, 4).to(torch.float8_e4m3fn),
            "a.weight_scale_inv": torch.ones(1, 1),
        },
        tmp_path / "fp8.safetensors",
    )
    with pytest.raises(ValueError, match="weights in fp8 with their scales"):
        merge_checkpoint(tmp_path / "fp8.safetensors", {"a.weight": update}, tmp_path / "merged")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(ValueError, match=r"takes \d+ bytes, and .* has 100 left"):
        merge_checkpoint(base, {"a.weight": update}, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "fp8.safetensors"]


def test_memory_is_bounded_by_a_tensor(tmp_path: Path, bytes_read: list[int]) -> None:
    write_base(tmp_path / "base")
    merge_checkpoint(tmp_path / "base", {"a.weight": torch.ones(6, 4)}, tmp_path / "merged")
    header = int.from_bytes((tmp_path / "base" / "model.safetensors").read_bytes()[:8], "little")
    # The header once, the JSON beside it, and of the tensors only the one that changes.
    assert sorted(size for size in bytes_read if size not in (0, 8, header, 22)) == [6 * 4 * 2]


def test_a_file_of_kohya_is_merged_under_the_names_of_the_base(tmp_path: Path) -> None:
    base = {
        "unet.mid.proj_in.weight": torch.eye(4),
        "unet.mid.proj_out.weight": torch.eye(4),
        "unet.mid.proj_in.bias": torch.zeros(4),
    }
    save_file(base, tmp_path / "base.safetensors")
    random = torch.Generator().manual_seed(5)
    down, up = torch.randn(2, 4, generator=random), torch.randn(4, 2, generator=random)
    pair = {
        "lora_unet_mid_proj_in.lora_down.weight": down,
        "lora_unet_mid_proj_in.lora_up.weight": up,
        "lora_unet_mid_proj_in.alpha": torch.tensor(1.0),
    }
    save_file(pair, tmp_path / "kohya.safetensors")
    found = merge_checkpoint(
        tmp_path / "base.safetensors", tmp_path / "kohya.safetensors", tmp_path / "merged"
    )
    assert found.names == ("unet.mid.proj_in.weight",)
    after = load_file(tmp_path / "merged" / "base.safetensors")
    exact = torch.eye(4) + up @ down / 2
    assert torch.allclose(after["unet.mid.proj_in.weight"], exact, atol=1e-6)
    assert torch.equal(after["unet.mid.proj_out.weight"], torch.eye(4))
