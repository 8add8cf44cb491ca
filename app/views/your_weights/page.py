"""Your weights: where a fine-tune lives, which structure holds it, and its adapter as a file."""

import streamlit as st

from app.shared import glossary, sight
from app.shared.common import COLS, RANK, ROWS
from app.shared.words import as_text
from app.views.your_weights import (
    accuracy_part,
    choice,
    curve_part,
    export,
    parts,
    sentences,
    table,
    two_adapters,
)
from app.views.your_weights.compute import changed
from app.views.your_weights.settings import INTRUDER_DIRECTIONS, INTRUDERS


def survey_part() -> None:
    """Draw the survey of a pair, from the choice to the adapter."""
    pair = choice.chosen()
    rank, blocks = RANK.value, (ROWS.value, COLS.value)
    # The bar stands above: nothing that is drawn later moves its button.
    work, answer = st.container(), st.container()
    intruders = INTRUDER_DIRECTIONS if INTRUDERS.value else 0
    with work:
        found = parts.surveyed(pair, rank, blocks, intruders)
    if found is None or not found.rows:
        st.info(sentences.NOT_SURVEYED)
        return
    frame = found.frame()
    moved = changed(frame)
    with answer:
        parts.answer(found, moved, rank, blocks)
    st.caption(sentences.looked_at(as_text(pair.title), list(pair.shapes.values()), rank, blocks))
    glossary.words("ΔW", "adapter", "singular value", "SVD", "energy", "effective rank", "knee")
    if moved.empty:
        parts.downloads(pair, found, frame, rank, blocks)
        return
    curve_part.draw(pair, found, moved, rank, blocks)
    maps = st.container()
    shown = parts.matrix_choice(moved)
    with maps:
        parts.maps(pair, frame, shown, rank, blocks)
    parts.open_picked(pair, frame, shown)
    table.draw(pair, frame, rank, blocks)
    parts.downloads(pair, found, frame, rank, blocks)
    if not found.complete:
        st.info(sentences.NOT_COMPLETE)
        return
    # It takes longer than all above it, and the first look is not at it.
    if sight.seen("adapter"):
        file = export.draw(pair, moved, rank, blocks)
        if file is not None:
            accuracy_part.draw(pair, *file)


survey_part()
two_adapters.draw()
