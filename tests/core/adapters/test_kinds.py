"""The kind of a weight, told from the checkpoint, against the classes of the model itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from transformers.pytorch_utils import Conv1D

from lolora_core.adapters.kinds import weight_kinds
from lolora_core.files.tensors import MappingSource
from tests.core.adapters.peft_models import gpt2, llama, t5, vit

GPT2 = GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=1, n_head=2, pad_token_id=0)
MODELS: dict[str, Any] = {
    "bert": (
        BertForMaskedLM,
        BertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=16,
        ),
    ),
    "gpt2": gpt2,
    "gpt2 with a classifier": (GPT2ForSequenceClassification, GPT2),
    "gpt neox": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=16,
        ),
    ),
    "llama": llama,
    "t5": t5,
    "vit": vit,
    "whisper": (
        WhisperForConditionalGeneration,
        WhisperConfig(
            vocab_size=50,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_source_positions=12,
            max_target_positions=14,
            num_mel_bins=8,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=0,
            decoder_start_token_id=0,
        ),
    ),
}
CLASSES = {
    nn.Linear: "linear",
    Conv1D: "conv1d",
    nn.Embedding: "embedding",
    nn.Conv1d: "conv",
    nn.Conv2d: "conv",
}


def model(name: str) -> Any:
    torch.manual_seed(0)
    found = MODELS[name]
    return found[0](found[1]) if isinstance(found, tuple) else found()


@pytest.mark.parametrize("with_config", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_is_that_of_the_module(name: str, with_config: bool) -> None:
    net = model(name)
    config = net.config.to_dict() if with_config else {}
    found = weight_kinds(MappingSource(net.state_dict()).tensors, config)
    classes = {
        path: CLASSES[kind]
        for path, part in net.named_modules(remove_duplicate=False)
        if (kind := next((c for c in CLASSES if isinstance(part, c)), None))
    }
    assert classes
    assert {path: found[path].stored.kind for path in classes} == classes


# PEFT says that it looks at each module itself where the two kinds are mixed.
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to True")
@pytest.mark.parametrize("name", MODELS)
def test_all_linear_is_what_peft_finds(name: str) -> None:
    import peft

    net = model(name)
    found = weight_kinds(MappingSource(net.state_dict()).tensors, net.config.to_dict())
    ours = {path for path, kind in found.items() if kind.all_linear}
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=1, target_modules="all-linear", fan_in_fan_out="gpt2" in name), net
    )
    theirs = {path for path, part in net.named_modules() if hasattr(part, "lora_A") and part.lora_A}
    assert ours == theirs


def kinds_of(config: dict[str, Any] | None = None, **shapes: tuple[int, ...]) -> dict[str, str]:
    held = {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}
    found = weight_kinds(MappingSource(held).tensors, config)
    return {name: kind.stored.kind for name, kind in found.items()}


def test_a_linear_layer_is_no_embedding_because_of_its_name() -> None:
    assert kinds_of(
        time_embedding__linear_1__weight=(32, 16),
        patch_embedding__weight=(32, 16),
        patch_embedding__bias=(32,),
    ) == {"time_embedding.linear_1": "linear", "patch_embedding": "linear"}


def test_what_the_evidence_does_not_decide_is_unclear_until_something_settles_it() -> None:
    assert kinds_of(embedding__weight=(32, 16)) == {"embedding": "unclear"}
    assert kinds_of({"vocab_size": 32}, embedding__weight=(32, 16)) == {"embedding": "embedding"}
    square: dict[str, tuple[int, ...]] = {"c_proj__weight": (8, 8), "c_proj__bias": (8,)}
    assert kinds_of(None, **square) == {"c_proj": "unclear"}
    assert kinds_of({"model_type": "gpt2"}, **square) == {"c_proj": "conv1d"}
    assert kinds_of({"model_type": "bart"}, **square) == {"c_proj": "linear"}
    # A layer of the same name that is not square says it too.
    sibling: dict[str, tuple[int, ...]] = {
        "mlp__c_proj__weight": (32, 8),
        "mlp__c_proj__bias": (8,),
    }
    assert kinds_of(None, **square, **sibling) == {"c_proj": "conv1d", "mlp.c_proj": "conv1d"}


def test_convolutions_by_their_axes_and_biases() -> None:
    assert kinds_of(
        conv__weight=(8, 4, 3, 3),
        conv__bias=(8,),
        up__weight=(8, 4, 2, 2),
        up__bias=(4,),
        deep__weight=(8, 1, 3, 3),
        sound__weight=(8, 4, 10),
        experts__weight=(4, 8, 6),
    ) == {
        "conv": "conv",
        "up": "unclear",
        "deep": "unclear",
        "sound": "conv",
        "experts": "unclear",
    }


def test_the_output_of_an_attention_that_reads_it_itself_is_left_out() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(16, 2)
            self.out_proj = nn.Linear(16, 16)

    found = weight_kinds(MappingSource(Net().state_dict()).tensors)
    assert {name: kind.all_linear for name, kind in found.items()} == {
        "attn.out_proj": False,
        "out_proj": True,
    }
    assert "would do nothing" in found["attn.out_proj"].why
