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
    assert verdict == (
        "**Adaptive comes closest.** Its error is 0.0618; the next best is global with 0.0804. "
        "To match it, global would need 1.7 times the parameters (r = 53)."
    )
    assert reason.startswith("Detail is uneven: adaptive spends half of its parameters on 15 of 64")
    assert ", up to rank 13, and gives the plainest rank 1." in reason
    assert left == "Every family spends the whole budget."


def test_global_wins_on_low_rank() -> None:
    verdict, reason, _ = sentences(low_rank(4), 4, 4)
    assert verdict.startswith("**Global rebuilds it exactly.** The next best is adaptive with ")
    assert reason.startswith("4 of 64 patterns hold 98 % of the energy. The budget pays for 4 of")


def test_block_diagonal() -> None:
    w = np.zeros((16, 16))
    for i in range(4):
        w[4 * i : 4 * i + 4, 4 * i : 4 * i + 4] = np.random.default_rng(i).normal(size=(4, 4))
    verdict, reason, _ = sentences(w, 4, 4)
    assert verdict.startswith("**Diagonal and adaptive rebuild it exactly.** The next best is ")
    assert reason.startswith("The 4 diagonal blocks hold 100 % of the energy.")


def test_of_noise_the_blocks_are_not_called_simpler() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    verdict, reason, _ = sentences(noise, 8, 32)
    assert verdict.startswith("**Adaptive comes closest.**")
    assert reason.startswith("One block is no simpler than the whole: it is made of about ")
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(4, 4, 2, 16))
    local = np.block([[np.outer(*pair) for pair in row] for row in signs])
    _, reason, _ = sentences(local, 4, 4)
    assert reason.startswith("One block is simpler than the whole: it is made of about 1 of 16")


@pytest.mark.parametrize(("needed", "words"), [
    (129, "To match it, global would need 0.8 % more parameters (r = 129)."),
    (192, "To match it, global would need 1.5 times the parameters (r = 192)."),
    (128, "the next best is global with 0.0804."),
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
    assert "error is 0.06182; the next best is global with 0.06185." in verdict
    assert prose.verdict(told(0.061821, 0.061825), 5).startswith("**No family is better here.**")


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
    assert verdict.startswith("**No family is better here.** Each has error 0.")
    assert reason == "The grid has one block, so every family is the same truncated SVD."


def test_budget_too_small_for_a_block() -> None:
    w = np.random.default_rng(0).normal(size=(8, 8))
    verdict, reason, left = sentences(w, (2, 8), 1)
    assert "comes closest" in verdict
    assert "localized leaves 16" in left
    assert (
        "Localized needs 80 parameters for one rank in each of its blocks; the budget is 16, so "
        in reason
    )


def test_zero_matrix() -> None:
    verdict, reason, _ = sentences(np.zeros((8, 8)), 2, 1)
    assert verdict == "**Every family rebuilds it exactly** with this budget."
    assert reason


def test_crossings() -> None:
    frame = pd.DataFrame(
        {
            "equivalent rank": [0, 1, 2, 3],
            "global": [1, 0.5, 0.5, 0.1],
            "adaptive": [1, 0.4, 0.4, 0.2],
        }
    )
    assert prose.crossings(frame) == "Lowest error: adaptive at r = 1–2, then global at r = 3."
    assert prose.crossings(frame[:3]) == "At every budget adaptive has the lowest error."


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (1e-9, "0.01 %"), (0.999999, "99.99 %"), (0.5, "50.0 %")]
)
def test_percent_never_claims_a_certainty(share: float, text: str) -> None:
    assert prose.percent(share) == text
