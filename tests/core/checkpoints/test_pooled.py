"""The error of a whole pair at every budget, against surveys at single budgets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lolora_core.checkpoints import bundled_pair, pooled_errors, survey
from lolora_core.checkpoints.columns import error_columns
from lolora_core.explore.curves import knee

BASE, TUNED = bundled_pair("digits transformer")


def test_the_curve_is_that_of_surveys_at_each_rank() -> None:
    # 12 blocks a side do not fit the head (10×96) nor the embedding (96×4).
    curve = survey(BASE, TUNED, grids=[12], curve=True).curve()
    columns = error_columns(curve)
    assert set(columns.values()) == {"global", "diagonal", "localized", "adaptive"}
    assert curve["rank"].tolist() == list(range(1, len(curve) + 1))
    for rank in (1, 7, 23, int(curve["rank"].iloc[-1])):
        frame = survey(BASE, TUNED, rank=rank, grids=[12]).frame()
        together = pooled_errors(frame[frame["update_norm"] > 0])
        at = curve[curve["rank"] == rank].iloc[0]
        for column, family in columns.items():
            assert at[column] == pytest.approx(together[family], abs=1e-6)


def test_the_curve_ends_where_the_entries_cost_as_much() -> None:
    before = {"a": torch.zeros(300, 300), "b": torch.zeros(300, 600), "same": torch.ones(8, 8)}
    after = {
        name: w + (0 if name == "same" else torch.randn(w.shape)) for name, w in before.items()
    }
    ranks = survey(before, after, grids=[(300, 300)], curve=True).curve()["rank"]
    assert ranks[:128].tolist() == list(range(1, 129))
    assert 0.95 * (270_000 / 1500) <= ranks.iloc[-1] <= 270_000 / 1500


def test_a_curve_survives_a_stop(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    stop = survey(BASE, TUNED, output=file, curve=True, progress=lambda done, *_: done < 5)
    assert not stop.complete
    again = survey(BASE, TUNED, output=file, curve=True)
    whole = survey(BASE, TUNED, curve=True)
    assert again.curve().equals(whole.curve())
    assert "curve" not in whole.frame()


def test_without_curves_it_says_how() -> None:
    with pytest.raises(ValueError, match="curve=True"):
        survey(BASE, TUNED).curve()
    still = survey(BASE, BASE, curve=True)
    assert still.curve().empty


def test_the_knee_is_the_point_farthest_from_the_chord() -> None:
    ranks = np.arange(1, 51)
    errors = np.exp(-ranks / 6.0)
    # By geometry: the distance to the line through both ends, on axes of length 1.
    x = (ranks - ranks[0]) / (ranks[-1] - ranks[0])
    y = (errors - errors[-1]) / (errors[0] - errors[-1])
    distance = (1 - x - y) / math.sqrt(2)
    at = knee(ranks.tolist(), errors.tolist())
    assert at == int(distance.argmax())
    # The slope of the curve there is that of the chord.
    slope = (errors[-1] - errors[0]) / 49
    assert errors[at + 1] - errors[at] > slope > errors[at] - errors[at - 1]
    assert knee([1, 2, 3], [0.9, 0.9, 0.0]) == 0
    assert knee([1], [0.5]) == 0
    assert knee([1, 2], [0.5, 0.5]) == 0
