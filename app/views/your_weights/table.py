"""The table of Your weights: every matrix, with what each column is on hover."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.shared import answers
from app.shared import widgets as controls
from app.views.your_weights import sentences, snippets
from app.views.your_weights.pairs import Pair
from app.views.your_weights.settings import INTRUDER_DIRECTIONS, INTRUDERS
from lolora_core.checkpoints import COLUMN_HELP
from lolora_core.checkpoints.columns import ENERGY_RANKS

__all__ = ["draw"]

#: Columns that are shown where a matrix has something in them.
_WHERE_KNOWN = {
    "dead ranks": "dead_ranks",
    "intruders": "intruders",
    "of random ΔW": "intruders_random",
    "rounding/‖ΔW‖": "rounding_share",
}


def draw(pair: Pair, frame: pd.DataFrame, rank: int, blocks: tuple[int, int]) -> None:
    """Show every matrix with bars and small curves of energy."""
    st.header("Every matrix", anchor=False)
    controls.toggle(INTRUDERS)
    intruders = INTRUDER_DIRECTIONS if INTRUDERS.value else 0
    answers.table(
        _shown(frame),
        key="layers",
        columns=_columns(frame),
        code=snippets.survey(pair.code, rank, blocks, intruders),
    )


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    energies = frame[[f"energy_{rank}" for rank in ENERGY_RANKS]]
    known = {word: frame[key] for word, key in _WHERE_KNOWN.items() if frame[key].notna().any()}
    return pd.DataFrame(
        {
            "matrix": [sentences.module_name(str(name)) for name in frame["name"]],
            "shape": [f"{m:,}×{n:,}" for m, n in zip(frame["rows"], frame["cols"], strict=True)],
            "‖ΔW‖": frame["update_norm"],
            "‖ΔW‖/‖W‖": frame["relative_update"],
            "effective rank": frame["effective_rank"],
            "stable rank": frame["stable_rank"],
            "σ₁/Σσ": frame["first_singular_share"],
            **known,
            "energy at ranks": energies.to_numpy().tolist(),
            "best": frame["best_family"].fillna("unchanged"),
            "error": frame["best_error"],
            "error of global": frame["error_global"],
            "gain": 100 * frame["gain"],
        }
    )


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    column = st.column_config
    say = COLUMN_HELP
    return {
        "matrix": column.TextColumn(pinned=True, help=f"{say['name']} “.weight” is left out."),
        "shape": column.TextColumn(help="Rows × columns of W; rows are outputs."),
        "‖ΔW‖": column.ProgressColumn(
            help=f"{say['update_norm']} The longest bar is the largest.",
            format="%.3g",
            min_value=0.0,
            max_value=float(frame["update_norm"].max()) or 1.0,
        ),
        "‖ΔW‖/‖W‖": column.NumberColumn(help=say["relative_update"], format="%.3f"),
        "effective rank": column.NumberColumn(help=say["effective_rank"], format="%.1f"),
        "stable rank": column.NumberColumn(help=say["stable_rank"], format="%.2f"),
        "σ₁/Σσ": column.NumberColumn(help=say["first_singular_share"], format="%.3f"),
        "dead ranks": column.NumberColumn(help=say["dead_ranks"]),
        "intruders": column.NumberColumn(help=say["intruders"]),
        "of random ΔW": column.NumberColumn(help=say["intruders_random"]),
        "rounding/‖ΔW‖": column.NumberColumn(help=say["rounding_share"], format="%.3f"),
        "energy at ranks": column.LineChartColumn(
            help=f"Share of ‖ΔW‖² in the first {', '.join(map(str, ENERGY_RANKS))} singular "
            "values, from 0 to 1.",
            y_min=0.0,
            y_max=1.1,
        ),
        "best": column.TextColumn(help=say["best_family"]),
        "error": column.ProgressColumn(
            help=say["best_error"], format="%.3f", min_value=0.0, max_value=1.0
        ),
        "error of global": column.ProgressColumn(
            help=say["error_global"], format="%.3f", min_value=0.0, max_value=1.0
        ),
        "gain": column.NumberColumn(help=say["gain"], format="%.1f %%"),
    }
