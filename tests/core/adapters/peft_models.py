"""Tiny models built from a config, and what PEFT itself says of an adapter of theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from lolora_core.adapters import AdapterSet


class ConvNet(nn.Module):
    """Convolutions as in a UNet, in one, two and three dimensions, and one in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2)])
        self.proj_in = nn.Conv2d(8, 6, 1)
        self.to_q = nn.Linear(6, 6)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.audio = nn.Conv1d(4, 6, 5)
        self.video = nn.Conv3d(2, 4, (1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x


def bert() -> nn.Module:
    return BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=16,
        )
    )


def gpt2() -> nn.Module:
    sizes: dict[str, Any] = {
        "vocab_size": 40,
        "n_positions": 16,
        "n_embd": 16,
        "n_layer": 1,
        "n_head": 2,
    }
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def t5() -> nn.Module:
    sizes: dict[str, Any] = {
        "vocab_size": 40,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 1,
    }
    return T5ForConditionalGeneration(T5Config(**sizes, num_heads=2))


def llama(tied: bool = False) -> nn.Module:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
        )
    )


def vit() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return ViTModel(ViTConfig(**sizes, intermediate_size=24, image_size=8, patch_size=4))


def made(model: Callable[[], nn.Module]) -> nn.Module:
    """A model whose values depend on nothing else."""
    torch.manual_seed(0)
    return model().eval()


def trained(model: nn.Module, config: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Save an adapter with every trainable tensor moved, as after training."""
    adapted = get_peft_model(model, config)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.3)
    if dtype is not None:
        adapted.to(dtype)
    adapted.save_pretrained(str(folder))


def deltas_of_peft(model: nn.Module, folder: Path) -> dict[str, Tensor]:
    """What PEFT adds to the weight of each module once it has opened the folder."""
    opened = PeftModel.from_pretrained(model, str(folder))
    return {
        name.removeprefix("base_model.model."): part.get_delta_weight("default").detach()
        for name, part in opened.named_modules()
        if isinstance(part, BaseTunerLayer) and hasattr(part, "get_delta_weight")
    }


def assert_same_update(found: Tensor, wanted: Tensor) -> None:
    """The bound is the promise of the readers: 10⁻⁵ of the norm in every entry."""
    assert wanted.norm() > 0.01
    wanted = wanted.flatten(1)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 1e-5 * wanted.norm()


def assert_read_as_peft_does(read: AdapterSet, wanted: dict[str, Tensor]) -> None:
    assert set(read.terms) == set(wanted)
    for name, delta in wanted.items():
        assert_same_update(read.delta(name), delta)
