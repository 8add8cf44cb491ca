"""Your weights: where a fine-tune lives, which structure holds it, and its adapter as a file."""

import streamlit as st

from app.shared import sidebar
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


def page() -> None:
    """Draw the page."""
    answer = st.container()
    scene, rank = sidebar.looked_at()
    blocks = scene.grid.blocks
    pair = weights_pair.chosen()
    found = weights_parts.surveyed(pair, rank, blocks)
    if found is None or not found.rows:
        st.info("No matrix is surveyed yet.")
        return
    frame = found.frame()
    moved = compute_weights.changed(frame)
    with answer:
        weights_parts.answer(found, moved, rank, blocks)
    st.caption(
        f"{pair.title}: {len(frame)} matrices at r = {rank} on {blocks[0]}×{blocks[1]} blocks; "
        "budget and grid are those of the sidebar, its target plays no part here."
    )
    if moved.empty:
        weights_parts.downloads(found, frame)
        return
    maps = st.container()
    picked = weights_parts.matrix_choice(moved)
    with maps:
        weights_parts.maps(frame, picked, rank, blocks)
    weights_parts.open_picked(pair, frame, picked)
    weights_parts.table(frame)
    weights_parts.downloads(found, frame)
    if found.complete:
        weights_export.draw(pair, moved, rank, blocks)
    else:
        st.info("The adapter can be made when the survey is complete.")


page()
