"""What an adapter is worth in practice, on Your weights: accuracy, where a model can be run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.shared import answers
from app.views.your_weights import adapter_words, snippets
from app.views.your_weights.accuracy import accuracies
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan

__all__ = ["draw"]


def draw(pair: Pair, plan: AdapterPlan, form: str) -> None:
    """Show the accuracy of base, tuned, and base with the adapter of the file."""
    if pair.network is None:
        return
    st.header("Does the adapter do its job?", anchor=False)
    found = accuracies(pair, plan, form)
    st.markdown(adapter_words.accuracy(found), help=adapter_words.HOW_READ)
    column = st.column_config
    shown = pd.DataFrame(
        {
            "model": found.index,
            "upright": 100 * found["upright"].to_numpy(),
            "turned": 100 * found["rotated"].to_numpy(),
        }
    )
    answers.table(
        shown,
        key="accuracies",
        columns={
            "model": column.TextColumn(help=adapter_words.MODELS),
            "upright": _share(adapter_words.UPRIGHT),
            "turned": _share(adapter_words.TURNED),
        },
        code=snippets.accuracies(pair.code, plan, pair.network.__name__),
    )


def _share(meaning: str) -> Any:
    return st.column_config.NumberColumn(help=meaning, format="%.1f %%")
