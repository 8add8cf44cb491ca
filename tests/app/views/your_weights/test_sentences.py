"""Sentences of Your weights where numbers print as equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.views.your_weights import sentences as prose


def moved(norms: list[float], relative: list[float]) -> pd.DataFrame:
    names = [f"{letter}.weight" for letter in "abcdef"[: len(norms)]]
    return pd.DataFrame({"name": names, "update_norm": norms, "relative_update": relative})


def test_matrices_that_tie_are_named_together() -> None:
    said = prose.where(moved([1.0, 1.0, 0.5], [0.3, 0.2, 0.30001]))
    assert "the largest part, 44.4 %, is in each of `a` and `b`." in said
    assert said.endswith("Relative to their size each of `a` and `c` moved most, by 30.0 %.")
    said = prose.where(moved([1.0] * 5, [np.nan] * 5))
    assert said.endswith("the largest part, 20.0 %, is in each of 5 matrices.")


@pytest.mark.parametrize(
    ("pooled", "words"),
    [
        ({"adaptive": 0.2, "global": 0.200001}, "; global (plain LoRA) holds it equally well."),
        (
            {"adaptive": 0.20002, "global": 0.20004},
            "error 0.20002 over all matrices, 0.01 % less than global (plain LoRA) with 0.20004.",
        ),
        (
            {"global": 0.20002, "adaptive": 0.20004},
            "the best of the others, adaptive on 4×4 blocks, has 0.20004.",
        ),
    ],
)
def test_a_tie_is_called_a_tie(pooled: dict[str, float], words: str) -> None:
    assert prose.winner(pooled, 8, (4, 4)).endswith(words)


def test_equal_ratios_are_one() -> None:
    marks = pd.DataFrame({"name": ["a.weight", "b"], "ratio": [1.0, 1.001]})
    assert prose.ratios(marks) == "×1.00 on all 2 matrices."
