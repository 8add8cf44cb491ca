"""The table of Your weights: its columns, their meaning on hover, intruders on demand, notes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from torch import Tensor

from app.page_settings import EVERY
from app.shared.memory_file import MemoryFile, in_memory
from lolora_core.checkpoints import COLUMN_HELP, survey
from tests.app.views.your_weights.test_page import start, weights


def table(at: AppTest) -> Any:
    (found,) = [frame for frame in at.dataframe if "‖ΔW‖" in frame.value]
    return found


def test_the_columns_are_those_of_the_survey_with_their_meaning() -> None:
    at = start(pair="digits MLP", rank=8)
    frame = survey(weights("digits-mlp-base"), weights("digits-mlp-rotated"), rank=8).frame()
    shown = table(at).value
    assert shown["stable rank"].tolist() == pytest.approx(frame["stable_rank"].tolist())
    assert shown["σ₁/Σσ"].tolist() == pytest.approx(frame["first_singular_share"].tolist())
    assert not {"intruders", "dead ranks", "rounding/‖ΔW‖"} & set(shown)
    said = json.loads(table(at).proto.columns)
    for heading, key in (("stable rank", "stable_rank"), ("σ₁/Σσ", "first_singular_share")):
        assert said[heading]["help"] == COLUMN_HELP[key]
    assert all(said[heading]["help"] for heading in shown)


def test_intruders_are_counted_when_they_are_asked_for() -> None:
    at = start(pair="digits MLP", rank=8)
    at.toggle(key="intruders").set_value(True).run()
    assert not at.exception
    before, after = weights("digits-mlp-base"), weights("digits-mlp-rotated")
    frame = survey(before, after, rank=8, intruders=10).frame()
    shown = table(at).value
    assert shown["intruders"].tolist() == frame["intruders"].tolist()
    assert shown["of random ΔW"].tolist() == frame["intruders_random"].tolist()
    assert {setting.key for setting in EVERY} >= {"intruders"}


def test_rounding_is_named_in_a_note_and_in_the_table() -> None:
    held = {
        f"h.{at}.fc.weight": 0.02 * torch.randn(24, 24, generator=torch.Generator().manual_seed(at))
        for at in range(2)
    }

    def hold(dtype: torch.dtype) -> MemoryFile:
        tensors: dict[str, Tensor] = {name: value.to(dtype) for name, value in held.items()}
        return in_memory(f"{dtype}.safetensors", save(tensors))

    files = hold(torch.bfloat16), hold(torch.float16)
    at = start(pair="own upload", pair_files=files)
    (note,) = [warning.value.replace("\\", "") for warning in at.warning]
    assert note.startswith("2 of 2 matrices differ by rounding alone (BF16 against F16)")
    assert table(at).value["rounding/‖ΔW‖"].to_numpy() == pytest.approx(1, rel=0.1)
