"""Your weights: where a fine-tune lives, which structure holds it, and its adapter as a file."""

import streamlit as st

from app.shared.common import COLS, RANK, ROWS
from app.views.your_weights import (
    choice as weights_pair,
)
from app.views.your_weights import (
    compute as compute_weights,
)
from app.views.your_weights import (
    export as weights_export,
)
from app.views.your_weights import (
    parts as weights_parts,
)
from app.views.your_weights import sentences, two_adapters
from app.views.your_weights import (
    table as weights_table,
)
from app.views.your_weights.settings import INTRUDER_DIRECTIONS, INTRUDERS


def survey_part() -> None:
    """Draw the survey of a pair, from the choice to the adapter."""
    # The bar stands above: nothing that is drawn later moves its button.
    work, answer = st.container(), st.container()
    rank, blocks = RANK.value, (ROWS.value, COLS.value)
    pair = weights_pair.chosen()
    with work:
        intruders = INTRUDER_DIRECTIONS if INTRUDERS.value else 0
        found = weights_parts.surveyed(pair, rank, blocks, intruders)
    if found is None or not found.rows:
        st.info(sentences.NOT_SURVEYED)
        return
    frame = found.frame()
    moved = compute_weights.changed(frame)
    with answer:
        weights_parts.answer(found, moved, rank, blocks)
    st.caption(
        f"{pair.title}: {len(frame)} matrices at r = {rank} on {blocks[0]}×{blocks[1]} blocks; "
        "budget and grid are those of the sidebar."
    )
    if moved.empty:
        weights_parts.downloads(found, frame)
        return
    maps = st.container()
    picked = weights_parts.matrix_choice(moved)
    with maps:
        weights_parts.maps(frame, picked, rank, blocks)
    weights_parts.open_picked(pair, frame, picked)
    weights_table.draw(frame)
    weights_parts.downloads(found, frame)
    if found.complete:
        weights_export.draw(pair, moved, rank, blocks)
    else:
        st.info(sentences.NOT_COMPLETE)


survey_part()
two_adapters.draw()
