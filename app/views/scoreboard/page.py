"""Does it always win? Every target, every grid and every budget, at matched budgets."""

import pandas as pd
import streamlit as st

from app.shared import glossary, progress
from app.views.scoreboard import compute, parts, sentences, trained
from lolora_core.families import ranked_families


def _rows() -> pd.DataFrame | None:
    """Return the rows of every target; after a Stop, of those that are done."""
    entries, done = compute.entries(), compute.finished()
    if len(done) == len(entries):
        return compute.board(entries)
    key, words = len(entries), sentences.stopped(len(done), len(entries))
    if progress.stopped("scoreboard", key, words):
        return compute.board(done) if done else None
    return progress.with_stop(
        "scoreboard", key, "Scoring", lambda show: compute.board(entries, show)
    )


def page() -> None:
    """Draw the page."""
    # The bar stands above: nothing that is drawn later moves its button.
    status = st.container()
    with st.sidebar:
        picked = parts.filters()
    with status:
        rows = _rows()
    if rows is None:
        st.info(sentences.NOTHING_DONE)
    else:
        parts.claim(rows)
        glossary.words("relative error", "budget", "grid", *ranked_families())
        cells = parts.chosen(rows, picked)
        if cells.empty:
            st.info(sentences.NOTHING)
        else:
            parts.share_of_wins(cells, picked)
            parts.winner_map(cells, picked)
            parts.open_in_compare(cells)
            parts.table(cells, picked)
    trained.draw()


page()
