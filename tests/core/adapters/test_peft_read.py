"""What is read of PEFT's folders, with PEFT's own ΔW as the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    ArrowConfig,
    GraloraConfig,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from torch import nn

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.peft_read import open_adapters, read_adapters, read_peft
from lolora_core.adapters.stored import LINEAR, Stored
from tests.core.adapters.peft_models import (
    ConvNet,
    assert_read_as_peft_does,
    assert_same_update,
    bert,
    deltas_of_peft,
    gpt2,
    llama,
    made,
    t5,
    trained,
    vit,
)

pytestmark = [
    # PEFT still reads the name that transformers has deprecated.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    pytest.mark.filterwarnings("ignore:Could not identify embedding layer"),
    pytest.mark.filterwarnings("ignore:LoRA adapter added to ConvNd layer with groups"),
    pytest.mark.filterwarnings("ignore:Adapter 'default'. 6 LoRA tensor.s. have invalid shape"),
    pytest.mark.filterwarnings("ignore:(PiSSA|OLoRA) changes the base weights"),
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`"),
    pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`"),
]

QUERY = "encoder.layer.0.attention.self.query"
BERT: dict[str, Any] = {
    "r": 4,
    "lora_alpha": 6,
    "target_modules": ["query", "value", "intermediate.dense"],
}

READ: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "plain": (bert, LoraConfig(**BERT)),
    "no start": (bert, LoraConfig(**BERT, init_lora_weights=False)),
    "gaussian": (bert, LoraConfig(**BERT, init_lora_weights="gaussian")),
    "orthogonal": (bert, LoraConfig(**BERT, init_lora_weights="orthogonal")),
    "mica": (bert, LoraConfig(**BERT, init_lora_weights="mica")),
    "rslora": (bert, LoraConfig(**BERT, use_rslora=True)),
    "dropout": (bert, LoraConfig(**BERT, lora_dropout=0.1)),
    "negative alpha": (bert, LoraConfig(**{**BERT, "lora_alpha": -3})),
    "lora_bias": (bert, LoraConfig(**BERT, lora_bias=True)),
    "bias lora_only": (bert, LoraConfig(**BERT, bias="lora_only")),
    "bias all": (bert, LoraConfig(**BERT, bias="all")),
    "patterns": (
        bert,
        LoraConfig(
            **BERT,
            use_rslora=True,
            rank_pattern={
                "0.attention.self.query": 2,
                "layer.1.attention.self.query": 3,
                "^encoder.layer.0.intermediate.dense$": 5,
            },
            alpha_pattern={r".*1\.attention.*": 10, "value": 7},
        ),
    ),
    "one layer": (bert, LoraConfig(**BERT, layers_to_transform=[1], layers_pattern="layer")),
    "excluded": (bert, LoraConfig(**BERT, exclude_modules=["value"])),
    "rank above full": (bert, LoraConfig(**{**BERT, "r": 40})),
    "conv1d": (gpt2, LoraConfig(r=2, target_modules=["c_attn", "c_proj", "c_fc"])),
    "conv1d and head": (gpt2, LoraConfig(r=2, target_modules=["c_attn", "c_proj", "lm_head"])),
    "conv1d and embedding": (gpt2, LoraConfig(r=2, target_modules=["wte", "c_attn"])),
    "gralora conv1d": (gpt2, GraloraConfig(r=4, alpha=6, gralora_k=2, target_modules=["c_fc"])),
    "hybrid gralora conv1d": (
        gpt2,
        GraloraConfig(r=4, alpha=6, gralora_k=2, hybrid_r=2, target_modules=["c_fc", "c_attn"]),
    ),
    "t5": (t5, LoraConfig(r=2, target_modules=["q", "wo", "shared", "relative_attention_bias"])),
    "head": (llama, LoraConfig(r=2, target_modules=["q_proj", "lm_head"])),
    "embedding": (llama, LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"])),
    "embedding mica": (
        llama,
        LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"], init_lora_weights="mica"),
    ),
    "embedding above full": (llama, LoraConfig(r=40, target_modules=["embed_tokens"])),
    "modules_to_save": (
        llama,
        LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    ),
    "tokens": (llama, LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=[1, 2])),
    "tied": (
        lambda: llama(tied=True),
        LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True),
    ),
    "vit": (vit, LoraConfig(r=2, target_modules=["q_proj", "projection", "fc1"])),
    "conv": (
        ConvNet,
        LoraConfig(
            r=2, lora_alpha=3, target_modules=["down.0", "down.1", "proj_in", "to_q", "audio"]
        ),
    ),
    "conv 3d": (ConvNet, LoraConfig(r=2, target_modules=["video"])),
    "conv above full": (ConvNet, LoraConfig(r=9, target_modules=["proj_in", "down.0"])),
}


@pytest.mark.parametrize("case", READ)
def test_every_safe_setting_is_read_as_peft_reads_it(case: str, tmp_path: Path) -> None:
    model, config = READ[case]
    trained(made(model), config, tmp_path)
    read = read_peft(tmp_path)
    assert_read_as_peft_does(read, deltas_of_peft(made(model), tmp_path))
    assert read.carried["inference_mode"] is True
    again = read_adapters(tmp_path / "adapter_model.safetensors")
    assert set(again.terms) == set(read.terms)


def test_what_stands_beside_the_factors_is_left_out_with_the_reason(tmp_path: Path) -> None:
    reasons = {
        "lora_bias": "a trained bias",
        "bias lora_only": "a trained bias",
        "modules_to_save": "a whole weight",
        "tokens": "new values of some tokens",
        "embedding": "a weight of the base",
    }
    for case, words in reasons.items():
        model, config = READ[case]
        trained(made(model), config, tmp_path / case)
        read = read_peft(tmp_path / case)
        held = load_file(tmp_path / case / "adapter_model.safetensors")
        left = [name for name in held if "lora_A.w" not in name and "lora_B.w" not in name]
        left = [name for name in left if "lora_embedding" not in name]
        assert left
        assert set(read.left_out) == set(left)
        assert any(words in reason for reason in read.left_out.values()), read.left_out


def test_kinds_and_notes_of_what_was_read(tmp_path: Path) -> None:
    for case in ("conv1d and head", "t5", "conv", "rank above full"):
        trained(made(READ[case][0]), READ[case][1], tmp_path / case)
    mixed = read_peft(tmp_path / "conv1d and head")
    assert mixed.stored_as("transformer.h.0.attn.c_attn") == Stored("conv1d")
    assert mixed.stored_as("lm_head") == LINEAR
    assert read_peft(tmp_path / "t5").stored_as("shared") == Stored("embedding")
    conv = read_peft(tmp_path / "conv")
    assert conv.stored_as("down.1") == Stored("conv", (3, 3))
    assert conv.stored_as("audio") == Stored("conv", (5,))
    assert conv.stored_as("to_q") == LINEAR
    above = read_peft(tmp_path / "rank above full")
    assert f"{QUERY}: rank 40 is above the full rank 32 of its 32×32 weight" in above.notes[0]
    assert above.terms[QUERY][0].layout.rank_map.tolist() == [[32]]


def test_without_evidence_the_flag_decides_and_a_note_says_so(tmp_path: Path) -> None:
    trained(made(gpt2), READ["conv1d and head"][1], tmp_path)
    edit(tmp_path, auto_mapping=None)
    read = read_peft(tmp_path)
    assert "fan_in_fan_out is false, which PEFT saves for the last module only" in read.notes[0]
    assert read.delta("transformer.h.0.attn.c_attn").shape == (48, 16)
    edit(tmp_path, fan_in_fan_out=True)
    turned = read_peft(tmp_path)
    assert torch.equal(
        turned.delta("transformer.h.0.attn.c_attn"), read.delta("transformer.h.0.attn.c_attn").T
    )
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    edit(tmp_path, base_model_name_or_path=str(tmp_path / "base"), fan_in_fan_out=False)
    known = read_peft(tmp_path)
    assert known.notes == ()
    assert known.delta("transformer.h.0.attn.c_attn").shape == (16, 48)
    assert known.delta("lm_head").shape == (40, 16)


def test_a_convolution_in_groups_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=["grouped", "to_q"])
    trained(made(ConvNet), config, tmp_path)
    read = read_peft(tmp_path)
    assert set(read.terms) == {"to_q"}
    assert len(read.left_out) == 2
    assert all("a convolution in groups" in reason for reason in read.left_out.values())


def test_attention_of_torch_is_read_and_not_written(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.MultiheadAttention(8, 2)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    trained(made(Net), LoraConfig(r=2, target_modules=["blocks.0"]), tmp_path)
    read, wanted = read_peft(tmp_path), deltas_of_peft(made(Net), tmp_path)
    assert set(read.terms) == {"blocks.0", "blocks.0.out_proj"}
    assert_same_update(read.delta("blocks.0"), wanted["blocks.0"])
    assert_same_update(read.delta("blocks.0.out_proj"), wanted["blocks.0.base_layer.out_proj"])
    assert read.stored_as("blocks.0").kind == "unclear"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["plain", "rslora", "patterns", "embedding"])
def test_scales_of_half_precision_files_are_not_rounded(
    case: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    model, config = READ[case]
    trained(made(model), config, tmp_path, dtype)
    read = read_peft(tmp_path)
    assert_read_as_peft_does(read, deltas_of_peft(made(model), tmp_path))
    kept = {term.A[0].dtype for terms in read.terms.values() for term in terms}
    assert dtype in kept


RENAMED: dict[str, Callable[[str], str]] = {
    "name of the adapter": lambda key: key.replace(".weight", ".default.weight"),
    "no prefix": lambda key: key.removeprefix("base_model.model."),
    "compiled": lambda key: key.replace("base_model.model.", "base_model.model._orig_mod."),
    "compiled whole": lambda key: f"_orig_mod.{key}",
}


@pytest.mark.parametrize("case", RENAMED)
def test_unusual_keys_are_read(case: str, tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    wanted = deltas_of_peft(made(bert), tmp_path)
    rename(tmp_path, RENAMED[case])
    read = read_peft(tmp_path)
    assert_read_as_peft_does(read, wanted)
    assert any("PEFT itself finds no factor" in note for note in read.notes) == (
        case == "no prefix"
    )


def test_several_adapters_in_one_file_are_refused(tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    rename(tmp_path, lambda k: k.replace(".weight", f".{'one' if 'query' in k else 'two'}.weight"))
    with pytest.raises(ValueError, match="several adapters in one file, 'one', 'two'"):
        read_peft(tmp_path)


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora"])
def test_a_start_that_changes_the_base_is_read_once_converted(start: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**BERT, "init_lora_weights": start}
    config = LoraConfig(**settings)
    torch.manual_seed(5)
    model = get_peft_model(made(bert), config)
    config.init_lora_weights = True
    model.save_pretrained(str(tmp_path / "start"))
    config.init_lora_weights = settings["init_lora_weights"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape), alpha=0.05)
    model.save_pretrained(str(tmp_path / "raw"))
    with pytest.raises(ValueError, match=rf'init_lora_weights to "{start}".*convert it'):
        read_peft(tmp_path / "raw")
    model.save_pretrained(
        str(tmp_path / "converted"),
        path_initial_model_for_weight_conversion=str(tmp_path / "start"),
    )
    wanted = deltas_of_peft(made(bert), tmp_path / "converted")
    assert_read_as_peft_does(read_peft(tmp_path / "converted"), wanted)


def test_eva_leaves_the_base_as_it_is_and_is_read(tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    wanted = deltas_of_peft(made(bert), tmp_path)
    edit(tmp_path, init_lora_weights="eva", eva_config={"rho": 2.0})
    assert_read_as_peft_does(read_peft(tmp_path), wanted)


REFUSED: dict[str, Any] = {
    "init_lora_weights": "corda",
    "use_dora": True,
    "use_qalora": True,
    "use_bdlora": {"target_modules_bd_a": ["query"], "nblocks": 2},
    "layer_replication": [[0, 2], [1, 2]],
    "alora_invocation_tokens": [1, 2],
    "target_parameters": ["experts.gate_up_proj"],
    "arrow_config": ArrowConfig().__dict__,
    "kasa_config": {"beta": 0.1},
    "velora_config": {"num_groups": 2},
    "monteclora_config": {"num_samples": 4},
    "megatron_config": {"tensor_model_parallel_size": 1},
    "a_setting_of_tomorrow": 0.5,
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_setting_is_refused_by_name(name: str, tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    edit(tmp_path, **{name: REFUSED[name]})
    with pytest.raises(ValueError, match=rf"sets {name} to "):
        read_peft(tmp_path)


@pytest.mark.parametrize("start", ["loftq", "lora_ga", "a_start_of_tomorrow"])
def test_every_other_start_is_refused_by_name(start: str, tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    edit(tmp_path, init_lora_weights=start)
    with pytest.raises(ValueError, match=f'init_lora_weights to "{start}"'):
        read_peft(tmp_path)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_a_new_setting_that_is_off_is_no_reason_to_refuse(value: object, tmp_path: Path) -> None:
    trained(made(bert), LoraConfig(**BERT), tmp_path)
    edit(tmp_path, a_setting_of_tomorrow=value)
    assert len(read_peft(tmp_path).terms) == 6


def test_every_field_of_peft_is_decided_upon() -> None:
    """PEFT's own defaults are read, whatever fields the installed version has."""
    from lolora_core.adapters.peft_settings import check_settings

    for config in (LoraConfig(), GraloraConfig(), LoHaConfig(), LoKrConfig()):
        values = json.loads(json.dumps(config.to_dict(), default=str))
        kind = values["peft_type"].removeprefix("PeftType.")
        assert check_settings({**values, "peft_type": kind}, "it") == kind


def test_other_types_and_parts_are_refused_by_name(tmp_path: Path) -> None:
    ada = AdaLoraConfig(total_step=10, target_modules=["query"])
    trained(made(bert), ada, tmp_path / "ada")
    with pytest.raises(ValueError, match="type 'ADALORA'"):
        read_peft(tmp_path / "ada")
    edit(tmp_path / "ada", peft_type="LORA", total_step=None, tinit=None, tfinal=None)
    settings = json.loads((tmp_path / "ada" / "adapter_config.json").read_text())
    plain = {k: v for k, v in settings.items() if k in LoraConfig().to_dict()}
    (tmp_path / "ada" / "adapter_config.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=r"which is no factor of LoRA, GraLoRA"):
        read_peft(tmp_path / "ada")


DENSE: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "loha": (bert, LoHaConfig(r=2, alpha=3, target_modules=["query", "intermediate.dense"])),
    "loha patterns": (
        bert,
        LoHaConfig(
            r=2,
            target_modules=["query", "value"],
            rank_pattern={"query": 3},
            alpha_pattern={"1.attention.self.query": 5},
        ),
    ),
    "loha conv": (ConvNet, LoHaConfig(r=2, target_modules=["down.0", "proj_in", "audio"])),
    "loha conv core": (
        ConvNet,
        LoHaConfig(r=2, target_modules=["down.0", "proj_in", "audio"], use_effective_conv2d=True),
    ),
    "lokr": (bert, LoKrConfig(r=2, alpha=3, target_modules=["query", "intermediate.dense"])),
    "lokr both": (bert, LoKrConfig(r=1, target_modules=["query"], decompose_both=True)),
    "lokr whole": (bert, LoKrConfig(r=16, target_modules=["query"])),
    "lokr conv": (ConvNet, LoKrConfig(r=1, target_modules=["down.0", "proj_in", "audio"])),
    "lokr conv core": (
        ConvNet,
        LoKrConfig(r=1, target_modules=["down.0", "proj_in"], use_effective_conv2d=True),
    ),
}


@pytest.mark.parametrize("case", DENSE)
def test_loha_and_lokr_are_read_as_dense_updates(case: str, tmp_path: Path) -> None:
    model, config = DENSE[case]
    trained(made(model), config, tmp_path)
    source = open_adapters(tmp_path)
    assert isinstance(source, AdapterSource)
    wanted = deltas_of_peft(made(model), tmp_path)
    assert set(source.tensors) == {f"{name}.weight" for name in wanted}
    for name, delta in wanted.items():
        assert source.tensors[f"{name}.weight"].shape == delta.flatten(1).shape
        assert_same_update(source.read(f"{name}.weight"), delta)
    with pytest.raises(ValueError, match=r"no product of two factors \((LoHa|LoKr)\)"):
        read_peft(tmp_path)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rename(folder: Path, new: Callable[[str], str]) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({new(key): value for key, value in load_file(path).items()}, path)
