"""The bundled pairs: where blocks win in a real fine-tune, as PROVENANCE.md says."""

from __future__ import annotations

import numpy as np
import pytest

from lolora_core.checkpoints import BUNDLED_PAIRS, bundled_pair, survey, update_target
from lolora_core.targets import catalogue, load


def gains(rank: int, grid: tuple[int, int]) -> dict[str, float]:
    """By how much blocks change the error of LoRA, for each matrix of MiniLM."""
    base, tuned = bundled_pair("MiniLM")
    frame = survey(base, tuned, rank=rank, grids=[grid]).frame()
    of_blocks = frame.filter(like=f"_{grid[0]}x{grid[1]}").min(axis=1)
    return dict(zip(frame["name"], of_blocks / frame["error_global"] - 1, strict=True))


def attention(layer: int, kind: str) -> str:
    return f"encoder.layer.{layer}.attention.self.{kind}.weight"


def test_one_block_a_head_wins_on_queries_and_keys_at_small_budgets() -> None:
    found = gains(8, (12, 1))
    led = {attention(layer, kind) for layer in (1, 2) for kind in ("query", "key")}
    assert all(-0.013 < found[name] < -0.002 for name in led)
    assert all(found[attention(layer, "value")] > 0.05 for layer in (1, 2))
    later = gains(16, (12, 1))
    assert all(later[name] > 0 for name in led)


def test_blocks_win_where_only_the_first_positions_change() -> None:
    found = gains(32, (8, 8))
    assert found["embeddings.position_embeddings.weight"] == pytest.approx(-0.58, abs=0.005)
    update = load("update-minilm-positions").array
    assert update.shape == (512, 384)
    assert np.abs(update[:48]).max(axis=1).all()
    assert not update[48:].any()


@pytest.mark.parametrize("name", BUNDLED_PAIRS)
def test_the_cuts_fit(name: str) -> None:
    base, tuned = bundled_pair(name)
    assert set(base.tensors) == set(tuned.tensors)
    for cut in BUNDLED_PAIRS[name].cuts:
        assert survey(base, tuned, rank=4, grids=[(cut.rows, cut.cols)]).rows


def test_the_targets_are_the_updates_of_the_pair() -> None:
    base, tuned = bundled_pair("MiniLM")
    ids = [entry.id for entry in catalogue() if entry.id.startswith("update-minilm")]
    assert len(ids) == len(base.tensors) == 7
    made = update_target(base, tuned, attention(1, "key")).array
    stored = load("update-minilm-1-key").array
    # base + ΔW was rounded to float32.
    np.testing.assert_allclose(made, stored, atol=1e-7)
    assert not np.allclose(made, load("update-minilm-1-query").array, atol=1e-4)


def test_an_unknown_pair_is_refused_with_near_names() -> None:
    with pytest.raises(ValueError, match="did you mean MiniLM"):
        bundled_pair("MiniML")
