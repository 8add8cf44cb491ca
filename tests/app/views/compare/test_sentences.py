from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from skimage import data

from app.views.compare import sentences as prose
from lolora_core import decompose
from lolora_core.explore.compare import Comparison, compare, explain, rank_to_reach


def sentences(w: np.ndarray, grid: int | tuple[int, int], rank: int) -> tuple[str, str, str]:
    channels = [decompose(w, grid)]
    found = compare(channels, rank)
    needed = rank_to_reach(channels, "global", found.winners[0].relative_error)
    left = prose.unmatched(found, w.size)
    return prose.verdict(found, needed), explain(found, channels), left


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


def test_of_noise_the_blocks_are_not_called_simpler() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    verdict, reason, _ = sentences(noise, 8, 32)
    assert verdict.startswith("**adaptive** wins")
    assert reason.startswith("The blocks are no simpler than the whole, effective rank ")
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(4, 4, 2, 16))
    local = np.block([[np.outer(*pair) for pair in row] for row in signs])
    _, reason, _ = sentences(local, 4, 4)
    assert reason.startswith("The blocks are simpler than the whole, effective rank 1 of 16 on")


@pytest.mark.parametrize(("needed", "words"), [
    (129, "global needs 0.8 % more parameters (r = 129) for it."),
    (192, "global needs 1.5× the parameters (r = 192) for it."),
    (128, "comes next with 0.0804."),
])  # fmt: skip
def test_a_factor_of_one_is_not_told(needed: int, words: str) -> None:
    found = told(0.0618, 0.0804)
    assert prose.verdict(replace(found, rank=128), needed).endswith(words)


def told(best: float, runner: float) -> Comparison:
    """The camera with errors as given for adaptive and global."""
    found = compare([decompose(data.camera()[::8, ::8] / 255, 4)], 4)
    results = {
        "global": replace(found.results["global"], relative_error=runner),
        "adaptive": replace(found.results["adaptive"], relative_error=best),
    }
    return replace(found, results=results)


def test_errors_that_print_as_equal_get_the_digits_that_differ() -> None:
    verdict = prose.verdict(told(0.061821, 0.061849), 5)
    assert "wins: error 0.06182; global comes next with 0.06185;" in verdict
    assert prose.verdict(told(0.061821, 0.061825), 5).startswith("All families do equally well")


def test_a_budget_above_dense_storage_is_said_to_be_one() -> None:
    w = np.random.default_rng(0).normal(size=(16, 16))
    assert "dense storage" not in sentences(w, 2, 7)[2]
    assert sentences(w, 2, 8)[2].endswith(
        "This budget pays for dense storage: the 256 entries themselves, without any error."
    )


def test_a_share_that_ends_at_its_limit_is_no_tie() -> None:
    assert prose.marked_figure("energy", 0.99989, 0.999985) == "99.99 %"
    assert prose.marked_figure("energy", 0.999985, 0.999985) == "● 99.99 %"
    assert prose.marked_figure("SSIM", 0.98441, 0.98444) == "● 0.984"


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
