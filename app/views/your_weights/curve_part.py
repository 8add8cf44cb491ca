"""Error against budget for a whole pair, on Your weights."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.shared import answers
from app.views.your_weights import curve_words, figures, snippets
from app.views.your_weights.pairs import Pair
from lolora_core.checkpoints import Survey, pooled_errors
from lolora_core.checkpoints.columns import error_columns
from lolora_core.explore.curves import knee

__all__ = ["draw"]


def draw(
    pair: Pair, found: Survey, moved: pd.DataFrame, rank: int, blocks: tuple[int, int]
) -> None:
    """Draw the curve of every family, with the knee of the one that leads at the budget."""
    curve = found.curve()
    columns = {family: column for column, family in error_columns(curve).items()}
    leader = next(iter(pooled_errors(moved)))
    ranks, errors = curve["rank"].tolist(), curve[columns[leader]].tolist()
    at = knee(ranks, errors)
    st.header("Error against budget", anchor=False)
    st.markdown(
        curve_words.knee(leader, blocks, ranks, errors, at), help=curve_words.WHAT_A_KNEE_IS
    )
    answers.chart(
        figures.pair_figure(curve, rank, (leader, at)),
        key="pair_curve",
        caption=curve_words.pair_curve(len(moved), ranks[-1]),
        code=snippets.pair_curve(pair.code, blocks, leader),
    )
