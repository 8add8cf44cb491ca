"""Adapters to kohya's file and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lolora_core.adapters import AdapterConfig, AdapterSet, adapter_parameters, add_adapters
from lolora_core.adapters import kohya_write as exchange
from lolora_core.adapters.kohya_write import to_kohya
from lolora_core.adapters.lora_files import read_lora_file
from lolora_core.adapters.peft_read import read_peft
from tests.core.adapters.peft_models import (
    ConvNet,
    assert_same_update,
    bert,
    deltas_of_peft,
    gpt2,
    made,
    trained,
)
from tests.core.adapters.test_peft_write import STRUCTURES as ALL_STRUCTURES

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
]

STRUCTURES = {name: ALL_STRUCTURES[name] for name in ("global", "localized", "adaptive", "hybrid")}


def adapted(structure: str) -> AdapterSet:
    model = made(lambda: nn.Sequential(nn.Linear(32, 24), nn.Linear(24, 16)))
    add_adapters(model, AdapterConfig(**STRUCTURES[structure]))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_parameters(model):
            parameter.add_(torch.randn(parameter.shape, generator=random))
    return AdapterSet.from_model(model)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_becomes_an_exact_lora(structure: str, tmp_path: Path) -> None:
    adapters, path = adapted(structure), tmp_path / "new" / "a.safetensors"
    assert to_kohya(adapters, path) == 0
    tensors = load_file(path)
    assert set(tensors) == {
        f"lora_unet_{n}.{part}"
        for n in range(2)
        for part in ("lora_down.weight", "lora_up.weight", "alpha")
    }
    for name in adapters.terms:
        down, up = (tensors[f"lora_unet_{name}.lora_{x}.weight"] for x in ("down", "up"))
        scale = float(tensors[f"lora_unet_{name}.alpha"]) / down.shape[0]
        assert_same_update(scale * up.double() @ down.double(), adapters.delta(name))


def test_what_peft_saved_of_convolutions_is_the_same_update_for_kohya(tmp_path: Path) -> None:
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["down.0", "proj_in", "to_q", "video"])
    trained(made(ConvNet), config, tmp_path / "peft")
    wanted = deltas_of_peft(made(ConvNet), tmp_path / "peft")
    to_kohya(read_peft(tmp_path / "peft"), tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    assert tensors["lora_unet_down_0.lora_down.weight"].shape == (2, 4, 3, 3)
    assert tensors["lora_unet_down_0.lora_up.weight"].shape == (8, 2, 1, 1)
    assert tensors["lora_unet_video.lora_down.weight"].shape == (2, 2, 1, 3, 3)
    read = read_lora_file(tmp_path / "a.safetensors")
    assert set(read.terms) == {f"lora_unet_{name.replace('.', '_')}" for name in wanted}
    for name, delta in wanted.items():
        assert_same_update(read.delta(f"lora_unet_{name.replace('.', '_')}"), delta)


def test_the_header_says_what_kohya_looks_for(tmp_path: Path) -> None:
    to_kohya(adapted("global"), tmp_path / "a.safetensors", prefix="lora_te")
    assert metadata(tmp_path / "a.safetensors") == {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "8",
    }
    to_kohya(adapted("adaptive"), tmp_path / "b.safetensors")
    ranks = {
        value.shape[0]
        for key, value in load_file(tmp_path / "b.safetensors").items()
        if "down" in key
    }
    dynamic = metadata(tmp_path / "b.safetensors")["ss_network_dim"] == "Dynamic"
    assert dynamic == (len(ranks) > 1)


def test_a_truncated_file_states_the_error_that_it_has(tmp_path: Path) -> None:
    adapters = adapted("localized")
    error = to_kohya(adapters, tmp_path / "a.safetensors", rank=3)
    read = read_lora_file(tmp_path / "a.safetensors")
    left = sum(float((read.delta(f"lora_unet_{n}") - adapters.delta(n)).norm()) ** 2 for n in "01")
    total = sum(float(adapters.delta(n).norm()) ** 2 for n in "01")
    assert error == pytest.approx((left / total) ** 0.5, rel=1e-4)
    assert error > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    adapters = adapted("localized")
    to_kohya(adapters, tmp_path / "a.safetensors", dtype=dtype)
    tensors = load_file(tmp_path / "a.safetensors")
    assert {v.dtype for k, v in tensors.items() if "alpha" not in k} == {dtype}
    read = read_lora_file(tmp_path / "a.safetensors")
    for name in "01":
        gap = (read.delta(f"lora_unet_{name}") - adapters.delta(name)).norm()
        assert gap < 8 * torch.finfo(dtype).eps * adapters.delta(name).norm()


def test_names_keep_their_component(tmp_path: Path) -> None:
    terms = adapted("global").terms["0"]
    names = [
        "unet.mid_block.attentions.0.proj_in",
        "transformer.transformer_blocks.0.attn.to_q",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1",
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
        "lora_te1_text_model_encoder_layers_0_mlp_fc2",
        "blocks.0.q",
    ]
    adapters = AdapterSet(adapted("global").config, dict.fromkeys(names, terms))
    to_kohya(adapters, tmp_path / "a.safetensors", prefix="lora_prior_unet")
    assert list(read_lora_file(tmp_path / "a.safetensors").terms) == sorted(
        [
            "lora_unet_mid_block_attentions_0_proj_in",
            "lora_transformer_transformer_blocks_0_attn_to_q",
            "lora_te1_text_model_encoder_layers_0_mlp_fc1",
            "lora_te2_text_model_encoder_layers_0_mlp_fc1",
            "lora_te1_text_model_encoder_layers_0_mlp_fc2",
            "lora_prior_unet_blocks_0_q",
        ]
    )


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    adapters = adapted("global")
    with pytest.raises(ValueError, match=r"file must end in .safetensors; it is 'a.bin'"):
        to_kohya(adapters, tmp_path / "a.bin")
    with pytest.raises(ValueError, match=r"prefix must be one of lora_unet, .*; it is 'unet'"):
        to_kohya(adapters, path, prefix="unet")
    with pytest.raises(ValueError, match="dtype must be float32, float16 or bfloat16"):
        to_kohya(adapters, path, dtype=torch.float64)
    with pytest.raises(ValueError, match="rank must be 1 or more; it is 0"):
        to_kohya(adapters, path, rank=0)
    twice = AdapterSet(adapters.config, {"a.b": adapters.terms["0"], "a_b": adapters.terms["0"]})
    with pytest.raises(ValueError, match=r"a\.b and a_b would both be named lora_unet_a_b"):
        to_kohya(twice, path)
    trained(made(gpt2), LoraConfig(r=2, target_modules=["c_attn"]), tmp_path / "gpt2")
    with pytest.raises(ValueError, match=r"c_attn is a Conv1D, which stores \[in, out\]"):
        to_kohya(read_peft(tmp_path / "gpt2"), path)
    assert not path.exists()


def test_a_file_that_does_not_read_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    to_kohya(adapted("global"), path)
    before = path.read_bytes()

    def shuffled(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
        wrong = {n: v.flip(0).contiguous() if v.ndim else v for n, v in tensors.items()}
        save_file(wrong, tmp_path / "wrong", metadata=metadata)
        return (tmp_path / "wrong").read_bytes()

    monkeypatch.setattr(exchange, "to_bytes", shuffled)
    with pytest.raises(ValueError, match="nothing is kept"):
        to_kohya(adapted("global"), path)
    assert path.read_bytes() == before


def test_bert_goes_through_kohya_unchanged(tmp_path: Path) -> None:
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["query"], rank_pattern={"1.+query": 2})
    trained(made(bert), config, tmp_path / "peft")
    wanted = deltas_of_peft(made(bert), tmp_path / "peft")
    to_kohya(read_peft(tmp_path / "peft"), tmp_path / "a.safetensors", prefix="lora_te")
    read = read_lora_file(tmp_path / "a.safetensors")
    for name, delta in wanted.items():
        assert_same_update(read.delta(f"lora_te_{name.replace('.', '_')}"), delta)


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()
