"""What an uploaded file is, said before anything is surveyed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from torch import Tensor

from app.shared.memory_file import MemoryFile, in_memory
from app.views.your_weights import pairs
from tests.app.views.your_weights.test_page import start, text


def kohya(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    found: dict[str, Tensor] = {}
    for block in range(2):
        module = f"lora_unet_down_blocks_{block}_attentions_0_proj_in"
        found |= {
            f"{module}.lora_down.weight": torch.randn(8, 64),
            f"{module}.lora_up.weight": torch.randn(64, 8),
            f"{module}.alpha": torch.tensor(4.0),
        }
    return found


def upload(**files: dict[str, Tensor]) -> tuple[MemoryFile, ...]:
    return tuple(in_memory(f"{name}.safetensors", save(held)) for name, held in files.items())


def shown(files: tuple[MemoryFile, ...]) -> AppTest:
    return start(pair="own upload", pair_files=files)


def test_two_adapters_are_no_base_and_tuned() -> None:
    at = shown(upload(epoch1=kohya(1), epoch10=kohya(2)))
    (problem,) = [error.value for error in at.error]
    assert "a LoRA in kohya's format" in problem
    assert "lora_up" not in text(at)
    assert "Until then" in text(at)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (kohya(0), "a LoRA in kohya's format"),
        ({"h.0.fc.weight": torch.ones(4, 4), "h.0.ln.weight": torch.ones(4)}, "a whole model"),
        (
            {
                "h.0.fc.qweight": torch.ones(4, 4, dtype=torch.int32),
                "h.0.fc.qzeros": torch.ones(1, 4, dtype=torch.int32),
                "h.0.fc.scales": torch.ones(1, 4, dtype=torch.float16),
                "h.0.fc.g_idx": torch.ones(4, dtype=torch.int32),
            },
            "packed by GPTQ",
        ),
    ],
)
def test_a_file_says_what_it_is(held: dict[str, Any], words: str) -> None:
    (file,) = upload(file=held)
    found = pairs.contents_of(file)
    assert words in found.sentence
    assert found.evidence
