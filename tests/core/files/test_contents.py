"""What a file is: every format that is named, from its header and the settings beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    GraloraConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from lolora_core.checkpoints import Contents, what
from lolora_core.files.contents import classify
from lolora_core.files.header import TensorInfo, matrix_views

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
    pytest.mark.filterwarnings("ignore:Target GraLoRA modules"),
]

SQUARE = (8, 8)


def infos(**shapes: Any) -> dict[str, TensorInfo]:
    """Tensors by name: a shape, or a shape and safetensors' spelling of a dtype."""
    found = {}
    for name, given in shapes.items():
        shape, dtype = given if given and isinstance(given[0], tuple) else (given, "F32")
        found[name] = TensorInfo(name, dtype, shape, *matrix_views(dtype, shape))
    return found


def kind(names: dict[str, Any], **more: Any) -> tuple[str, tuple[str, ...]]:
    found = classify(infos(**names), **more)
    assert found.words
    assert found.kind in ("model", "matrices", "update", "own", "factors") or found.advice
    assert sum(group.tensors for group in found.groups) == len(names)
    return found.kind, found.methods


@pytest.mark.parametrize(
    ("names", "methods"),
    [
        (
            ["lora_unet_m.lora_down.weight", "lora_unet_m.lora_up.weight", "lora_unet_m.alpha"],
            "kohya",
        ),
        (
            ["lora_te1_m.lora_down.weight", "lora_te1_m.lora_up.weight", "lora_te1_m.dora_scale"],
            "kohya",
        ),
        (["unet.m.to_q.lora_A.weight", "unet.m.to_q.lora_B.weight"], "diffusers"),
        (["transformer.m.lora_A.weight", "text_encoder.m.lora_B.weight"], "diffusers"),
        (["diffusion_model.m.lora_A.weight", "diffusion_model.m.lora_B.weight"], "diffusers"),
        (
            ["m.attn1.processor.to_q_lora.up.weight", "m.attn1.processor.to_q_lora.down.weight"],
            "diffusers",
        ),
        (["te.q_proj.lora_linear_layer.up.weight"], "diffusers"),
        (["m.lora.up.weight", "m.lora.down.weight"], "diffusers"),
        (["lora_unet_m.hada_w1_a", "lora_unet_m.hada_w2_b", "lora_unet_m.alpha"], "loha"),
        (["lora_unet_m.lokr_w1", "lora_unet_m.lokr_w2_a", "lora_unet_m.alpha"], "lokr"),
        (["lora_unet_m.diff", "lora_unet_m.diff_b"], "diff"),
        (["diffusion_model.m.diff", "diffusion_model.n.diff_b"], "diff"),
        (["lora_unet_m.oft_blocks", "lora_unet_m.alpha"], "oft"),
        (["lora_unet_m.boft_blocks"], "boft"),
        (["lycoris_m.w_norm", "lycoris_m.b_norm"], "norm"),
        (["lora_unet_m.on_input", "lora_unet_m.alpha"], "ia3"),
        (["lora_unet_m.lora_down.weight", "lora_unet_n.hada_w1_a"], "kohya loha"),
    ],
)
def test_files_of_factors_are_known_by_their_names(names: list[str], methods: str) -> None:
    found = kind(dict.fromkeys(names, SQUARE))
    assert found[0] == "factors"
    assert set(found[1]) == set(methods.split())


LAYERS = {"h.0.fc.weight": SQUARE, "h.0.fc.bias": (8,), "wte.weight": (50, 8)}


@pytest.mark.parametrize(
    ("names", "settings", "method"),
    [
        ({"m.weight": (SQUARE, "F8_E4M3"), "m.weight_scale_inv": (1, 1)}, {}, "fp8"),
        ({"m.weight": (SQUARE, "F8_E4M3"), "m.weight_scale": (8, 1)}, {}, "fp8"),
        ({"m.weight": (SQUARE, "F8_E4M3"), "m.scale_weight": (1,), "scaled_fp8": (2,)}, {}, "fp8"),
        (
            {
                "m.qweight": (SQUARE, "I32"),
                "m.qzeros": (SQUARE, "I32"),
                "m.scales": SQUARE,
                "m.g_idx": ((8,), "I32"),
            },
            {},
            "gptq",
        ),
        (
            {"m.qweight": (SQUARE, "I32"), "m.qzeros": (SQUARE, "I32"), "m.scales": SQUARE},
            {},
            "awq",
        ),
        ({"m.qweight": (SQUARE, "I32"), "m.scales": SQUARE}, {"quant_method": "gptq"}, "gptq"),
        (
            {
                "m.weight": ((32, 1), "U8"),
                "m.weight.absmax": (4,),
                "m.weight.quant_map": (16,),
                "m.weight.quant_state.bitsandbytes__nf4": ((90,), "U8"),
            },
            {},
            "bitsandbytes",
        ),
        ({"m.weight": (SQUARE, "I8"), "m.SCB": (8,)}, {}, "bitsandbytes"),
        ({"m.weight_packed": (SQUARE, "I32"), "m.weight_scale": SQUARE}, {}, "compressed-tensors"),
        ({"e.w_blocks": ((2, 8, 4, 16), "U8"), "e.w_scales": ((2, 8, 4), "U8")}, {}, "mxfp4"),
        (
            {
                "m.weight": (SQUARE, "U8"),
                "m.weight_scale": (SQUARE, "F8_E4M3"),
                "m.weight_scale_2": (1,),
            },
            {},
            "nvfp4",
        ),
        ({"m.weight": (SQUARE, "I8")}, {"quant_method": "quanto"}, "quanto"),
        ({"m.weight": (SQUARE, "I8")}, {"quant_method": ["odd"]}, "an unknown method"),
    ],
)
def test_packed_weights_are_known_by_what_stands_beside_them(
    names: dict[str, Any], settings: dict[str, Any], method: str
) -> None:
    found = kind(LAYERS | names, config={"quantization_config": settings, "model_type": "llama"})
    assert found == ("packed", (method,))


@pytest.mark.parametrize(
    ("names", "more", "expected"),
    [
        (LAYERS, {}, "model"),
        ({"a.weight": SQUARE}, {"config": {"model_type": "bert"}}, "model"),
        ({"a.weight": SQUARE}, {"config": {"_class_name": "UNet"}}, "model"),
        ({"a.weight": SQUARE}, {"config": {"model_type": 3}}, "matrices"),
        ({"a.weight": SQUARE, "model.embed_tokens.weight": SQUARE}, {}, "model"),
        ({"a.weight": SQUARE}, {"name": "model-00001-of-00002.safetensors"}, "model"),
        ({"a.weight": SQUARE, "b": (4, 3, 2, 2)}, {}, "matrices"),
        # What also stands in adapters does not make one: a vocoder has alphas, a model a diff.
        (LAYERS | {"act.alpha": (8,)}, {}, "model"),
        (LAYERS | {"b1.weight": SQUARE, "m.scalar": (1,)}, {}, "model"),
        (LAYERS | {"m.weight": (SQUARE, "F8_E4M3")}, {}, "model"),
        (LAYERS, {"metadata": {"lolora": "update"}}, "update"),
        (LAYERS, {"metadata": {"lolora": "else"}}, "model"),
        (LAYERS | {"h.0.fc.base_layer.weight": SQUARE}, {}, "unmerged"),
        (
            {"m.base_layer.weight": SQUARE, "m.lora_A.default.weight": SQUARE},
            {"config": {"model_type": "llama"}},
            "unmerged",
        ),
        (
            {"m.weight": SQUARE, "m.lora_A.weight": SQUARE, "m.lora_B.weight": SQUARE},
            {},
            "unmerged",
        ),
        ({"base_model.model.m.lora_A.weight": SQUARE}, {}, "peft"),
        ({"base_model.model.m.hada_w1_a": SQUARE}, {}, "peft"),
        ({"prompt_embeddings": SQUARE}, {}, "peft"),
        ({"m": SQUARE}, {"adapter_config": {"peft_type": "LORA"}}, "peft"),
        ({"m": SQUARE}, {"adapter_config": {"peft_type": ["LORA"]}}, "other"),
        ({"m": SQUARE}, {"adapter_config": {"fine_tune_type": "lora"}}, "other"),
        ({"m": SQUARE}, {"own": {}}, "own"),
        ({"state.0.exp_avg": SQUARE, "state.0.exp_avg_sq": SQUARE}, {}, "other"),
        (LAYERS, {"name": "optimizer.safetensors"}, "other"),
        ({"emb_params": (4, 768)}, {}, "other"),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, {}, "other"),
        ({"a": (8,), "n": ((3,), "I64")}, {}, "other"),
        ({}, {}, "other"),
    ],
)
def test_everything_else_has_its_kind(
    names: dict[str, Any], more: dict[str, Any], expected: str
) -> None:
    assert kind(names, **more)[0] == expected


def bert() -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    return BertModel(BertConfig(vocab_size=40, num_hidden_layers=1, **sizes))


@pytest.mark.parametrize(
    ("config", "method"),
    [
        (LoraConfig(target_modules=["query"]), "LORA"),
        (GraloraConfig(target_modules=["query"], r=8, gralora_k=2), "GRALORA"),
        (LoHaConfig(target_modules=["query"]), "LOHA"),
        (LoKrConfig(target_modules=["query"]), "LOKR"),
        (IA3Config(target_modules=["query"], feedforward_modules=[]), "IA3"),
        (VeraConfig(target_modules=["query"]), "VERA"),
        (OFTConfig(target_modules=["query"], oft_block_size=4), "OFT"),
        (AdaLoraConfig(target_modules=["query"], total_step=10), "ADALORA"),
        (PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3), "PROMPT_TUNING"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_peft_writes_is_known_with_and_without_its_settings(
    config: Any, method: str, tmp_path: Path
) -> None:
    get_peft_model(bert(), config).save_pretrained(str(tmp_path))
    for where in (tmp_path, tmp_path / "adapter_model.safetensors"):
        found = what(where)
        assert (found.kind, found.methods) == ("peft", (method,))
    (tmp_path / "adapter_config.json").unlink()
    alone = what(tmp_path)
    assert alone.kind == "peft"
    assert "without its adapter_config.json" in alone.words
    assert "put the adapter_config.json beside it" in alone.advice


def test_a_model_that_was_saved_with_its_adapters_is_unmerged(tmp_path: Path) -> None:
    model = get_peft_model(bert(), LoraConfig(target_modules=["query"]))
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    found = what(tmp_path / "whole.safetensors")
    assert found.kind == "unmerged"
    assert "merge_and_unload" in found.advice


def test_groups_count_what_is_there(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    found: Contents = what(tmp_path)
    assert (found.kind, found.words) == ("model", "a whole model")
    assert found.evidence[0] == "config.json says model_type bert"
    parameters = sum(value.numel() for value in bert().state_dict().values())
    assert sum(group.parameters for group in found.groups) == parameters
    matrices = {group.role: group for group in found.groups}["matrices"]
    assert matrices.shapes == {(16, 16): 5, (24, 16): 1, (16, 24): 1}
    assert (matrices.dtypes, matrices.nbytes) == ({"F32": 7}, 4 * matrices.parameters)
    assert sum(found.files.values()) == (tmp_path / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.safetensors", b"GGUF" + bytes(40), "a GGUF file"),
        ("a.gguf", b"GGUF\x03" + bytes(40), "a GGUF file"),
        ("a.npy", b"\x93NUMPY\x01\x00" + bytes(40), "a NumPy file"),
        ("a.png", b"\x89PNG\r\n" + bytes(40), "a picture"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(40), "a picture"),
        ("a.safetensors", b"PK\x03\x04" + bytes(40), "a pickle in a zip, as torch.save writes it"),
        ("a.safetensors", b"\x80\x02}q\x00." + bytes(40), "a pickle"),
        ("a.bin", bytes(40), "a pickle by its name"),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ],
)
def test_other_files_are_known_by_their_first_bytes(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    found = what(tmp_path / name)
    assert found.kind == "other"
    assert found.words.startswith(words)
    assert found.advice
