"""The columns of a survey beside its errors: definitions, spectra, ranks, intruders, rounding."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from lolora_core.checkpoints import COLUMN_HELP, survey
from lolora_core.checkpoints.columns import column_help


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def row_of(base: Tensor | None, tuned: Tensor, **settings: Any) -> dict[str, Any]:
    before = None if base is None else {"a.weight": base}
    (row,) = survey(before, {"a.weight": tuned}, rank=2, grids=[4], n_jobs=1, **settings).rows
    return row


def test_every_column_has_a_sentence_and_every_sentence_a_column() -> None:
    base = {"a.weight": draw(32, 24)}
    tuned = {"a.weight": base["a.weight"] + draw(32, 24, seed=1)}
    frame = survey(base, tuned, rank=2, grids=[4, (2, 8)], n_jobs=1).frame()
    assert all(column_help(column).endswith(".") for column in map(str, frame))
    assert set(COLUMN_HELP) <= set(frame)
    assert "8 blocks" in column_help("error_localized_2x8")
    with pytest.raises(KeyError, match="no survey has a column 'error_lora'"):
        column_help("error_lora")


def test_spectral_columns_are_their_definitions() -> None:
    base, update = draw(40, 30), draw(40, 30, seed=1)
    row = row_of(base, base + update)
    values = np.linalg.svd((base + update - base).double().numpy(), compute_uv=False)
    assert row["stable_rank"] == pytest.approx((values**2).sum() / values[0] ** 2)
    assert row["first_singular_share"] == pytest.approx(values[0] / values.sum())
    spike = row_of(None, 100 * draw(40, 1) @ draw(1, 30) + update)
    assert spike["stable_rank"] < 1.1 < row["stable_rank"]
    still = row_of(base, base)
    assert (still["stable_rank"], still["first_singular_share"]) == (0, 0)


def peft_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.Linear(32, 16))
    wrapped: Any = get_peft_model(
        model, LoraConfig(r=6, target_modules=["0", "1"], init_lora_weights=False)
    )
    with torch.no_grad():
        layer = wrapped.base_model.model.get_submodule("0")
        layer.lora_A["default"].weight[4:] = layer.lora_A["default"].weight[:2]  # two ranks twice
    wrapped.save_pretrained(str(folder))
    return folder


def test_dead_ranks_are_those_held_less_those_used(tmp_path: Path) -> None:
    base = {"0.weight": draw(32, 24), "1.weight": draw(16, 32)}
    for before in (None, base):
        frame = survey(before, peft_folder(tmp_path), rank=2, n_jobs=1).frame()
        assert dict(zip(frame["name"], frame["dead_ranks"], strict=True)) == {
            "0.weight": 2,
            "1.weight": 0,
        }
    assert row_of(draw(9, 9), draw(9, 9, seed=1))["dead_ranks"] is None


def test_intruders_are_counted_where_they_are_asked_for() -> None:
    base = draw(60, 60)
    tuned = base + 2 * draw(60, 5, seed=1) @ draw(5, 60, seed=2)
    asked = row_of(base, tuned, intruders=10)
    assert asked["intruders"] == asked["intruders_random"] == 5
    row = row_of(base, tuned)
    assert row["intruders"] is row["intruders_random"] is None
    # The scale of the random update is that of ΔW, whatever the scale of the spectrum.
    small = row_of(1e-20 * base, 1e-20 * tuned, intruders=10)
    assert (small["intruders"], small["intruders_random"]) == (5, 5)


def test_intruders_without_a_base_are_empty_and_say_so() -> None:
    found = survey(None, {"a.weight": draw(9, 9)}, rank=1, grids=[3], intruders=3, n_jobs=1)
    assert found.frame()["intruders"].isna().all()
    assert found.notes == (
        "intruders are not counted: they are found against the base, and none is given",
    )


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [(-1, ValueError, "it is -1"), (1.5, TypeError, "must be an integer; it is 1.5")],
)
def test_bad_counts_are_refused(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        row_of(None, draw(9, 9), intruders=value)


def test_counts_stay_counts_in_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"a.1.weight": draw(20, 20), "b.weight": draw(20, 12)}
    tuned = {name: value.bfloat16() for name, value in base.items()}
    output = tmp_path / "survey.csv"
    settings: dict[str, Any] = {"rank": 2, "grids": [4], "n_jobs": 1}
    frame = survey(base, tuned, intruders=4, output=output, **settings).frame()
    counts = ["layer", "best_parameters", "dead_ranks", "intruders", "intruders_random"]
    assert {str(frame[column].dtype) for column in counts} == {"Int64"}
    assert frame["rounding_only"].dtype == bool
    pd.testing.assert_frame_equal(pd.read_csv(output), frame, check_dtype=False)
    kept = output.with_name("survey.csv.jsonl")
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert {row["rounding_only"] for row in rows} == {True}
    # What was measured otherwise is another survey.
    with pytest.raises(ValueError, match="other settings"):
        survey(base, tuned, intruders=5, output=output, **settings)
    with monkeypatch.context() as patch:
        module = importlib.import_module("lolora_core.checkpoints.survey")
        patch.setattr(module, "COLUMN_HELP", {"name": "as an earlier version had them"})
        with pytest.raises(ValueError, match="other settings"):
            survey(base, tuned, intruders=4, output=output, **settings)
    assert survey(base, tuned, intruders=4, output=output, **settings).complete


def weights(layers: int = 3) -> dict[str, Tensor]:
    return {f"layers.{at}.weight": 0.02 * draw(48, 64, seed=at) for at in range(layers)}


def cast(tensors: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(dtype) for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (torch.bfloat16, torch.float16, "BF16 against F16"),
        (torch.float16, torch.bfloat16, "F16 against BF16"),
        (torch.float32, torch.bfloat16, "F32 against BF16"),
        (torch.float16, torch.float32, "F16 against F32"),
    ],
)
def test_two_roundings_of_one_model_are_named(
    one: torch.dtype, other: torch.dtype, words: str
) -> None:
    found = survey(cast(weights(), one), cast(weights(), other), rank=2, n_jobs=1)
    assert found.frame()["rounding_only"].all()
    assert found.frame()["rounding_share"].to_numpy() == pytest.approx(1, rel=0.1)
    (note,) = found.notes
    assert note.startswith(f"3 of 3 matrices differ by rounding alone ({words})")


def test_an_update_is_told_from_the_rounding_around_it() -> None:
    tuned = weights()
    tuned["layers.1.weight"] += 1e-4 * draw(48, 2, seed=8) @ draw(2, 64, seed=9)
    found = survey(cast(weights(), torch.bfloat16), cast(tuned, torch.float16), rank=2, n_jobs=1)
    assert found.frame()["rounding_only"].tolist() == [True, False, True]
    assert "2 of 3 matrices differ by rounding alone" in found.notes[0]
    assert "in 1 of 3 matrices that is a tenth of ‖ΔW‖ or more, at most" in found.notes[1]


def test_a_tiny_update_stored_more_finely_is_no_rounding() -> None:
    base = cast(weights(), torch.bfloat16)
    tuned = {name: value.float() + 1e-6 * draw(48, 64, seed=5) for name, value in base.items()}
    found = survey(base, tuned, rank=2, n_jobs=1)
    assert not found.frame()["rounding_only"].any()
    assert "if the one was rounded" in found.notes[0]


def test_one_type_has_no_rounding() -> None:
    base = weights()
    tuned = {name: value + 1e-3 for name, value in base.items()}
    found = survey(base, tuned, rank=2, n_jobs=1)
    assert found.notes == ()
    assert found.frame()["rounding_share"].isna().all()
