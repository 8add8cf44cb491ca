from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skimage import data

from app.views.compare import sentences as prose
from lolora_core import decompose
from lolora_core.explore.compare import compare, rank_to_reach


def sentences(w: np.ndarray, grid: int | tuple[int, int], rank: int) -> tuple[str, str, str]:
    channels = [decompose(w, grid)]
    found = compare(channels, rank)
    needed = rank_to_reach(channels, "global", found.winners[0].relative_error)
    return prose.verdict(found, needed), prose.reason(found, channels), prose.unmatched(found)


def low_rank(rank: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(64, rank)) @ rng.normal(size=(rank, 64))


def test_adaptive_wins_on_the_camera() -> None:
    verdict, reason, left = sentences(data.camera() / 255, 8, 32)
    assert verdict.startswith("**adaptive** wins: error 0.0618; global comes next with 0.0804;")
    assert "global needs 1.7× the parameters (r = 53) for it." in verdict
    assert reason.startswith("The blocks differ: 18 of 64 hold half of the energy, and adaptive")
    assert left == "Exactly matched: every family uses the whole budget."


def test_global_wins_on_low_rank() -> None:
    verdict, reason, _ = sentences(low_rank(4), 4, 4)
    assert verdict.startswith("**global** wins: exact to rounding;")
    assert reason.startswith("98 % of the energy lies in 4 of 64 singular values. The budget keeps")


def test_block_diagonal() -> None:
    w = np.zeros((16, 16))
    for i in range(4):
        w[4 * i : 4 * i + 4, 4 * i : 4 * i + 4] = np.random.default_rng(i).normal(size=(4, 4))
    verdict, reason, _ = sentences(w, 4, 4)
    assert verdict.startswith("**diagonal and adaptive** tie and win: exact to rounding;")
    assert reason == "100 % of the energy lies in the 4 diagonal blocks."


def test_one_block_and_full_rank() -> None:
    verdict, reason, _ = sentences(low_rank(10), 1, 4)
    assert verdict.startswith("All families do equally well here: error 0.")
    assert reason == "The grid has one block, so every family is the same truncated SVD."


def test_budget_too_small_for_a_block() -> None:
    w = np.random.default_rng(0).normal(size=(8, 8))
    verdict, _, left = sentences(w, (2, 8), 1)
    assert "wins" in verdict
    assert "localized leaves 16" in left


def test_zero_matrix() -> None:
    verdict, reason, _ = sentences(np.zeros((8, 8)), 2, 1)
    assert verdict == "All families capture this target exactly at r = 1."
    assert reason


def test_crossings() -> None:
    frame = pd.DataFrame(
        {
            "equivalent rank": [0, 1, 2, 3],
            "global": [1, 0.5, 0.5, 0.1],
            "adaptive": [1, 0.4, 0.4, 0.2],
        }
    )
    assert prose.crossings(frame) == "Lowest: adaptive (r = 1–2); global (r = 3)."
    assert prose.crossings(frame[:3]) == "Lowest at every budget shown: adaptive."


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (1e-9, "0.01 %"), (0.999999, "99.99 %"), (0.5, "50.0 %")]
)
def test_percent_never_claims_a_certainty(share: float, text: str) -> None:
    assert prose.percent(share) == text
