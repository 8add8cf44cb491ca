"""What if: every grid and every budget at once; own rank maps; the adviser."""

import streamlit as st

from app.shared import glossary, progress, sidebar
from app.shared.scene import Scene
from app.views.what_if import compute as compute_sweep
from app.views.what_if import order_box, paint_box, sentences
from app.views.what_if import parts as sweep_parts
from app.views.what_if.settings import SWEEP_GRIDS
from lolora_core import Grid, Sweep
from lolora_core.families import ranked_families


def _swept(scene: Scene, grids: tuple[Grid, ...], name: str) -> Sweep | None:
    """Sweep what is new with a bar and a Stop button; after a Stop, what is finished."""
    target = scene.target
    if compute_sweep.missing_seconds(target, grids) <= progress.QUICK:
        return compute_sweep.swept(target, grids)
    key, done = (target.sha256, grids), compute_sweep.finished(target, grids)
    words = f"Stopped: {len(done)} of {len(grids)} grids are done and shown."
    if progress.stopped(name, key, words):
        return compute_sweep.swept(target, done) if done else None

    return progress.with_stop(
        name, key, "Sweeping", lambda show: compute_sweep.swept(target, grids, show)
    )


def page() -> None:
    """Draw the page."""
    # The bar stands above: nothing that is drawn later moves its button.
    status, controls_row = st.container(), st.container()
    glossary.words(
        "grid", "budget", "equivalent rank", "relative error", "energy", *ranked_families()
    )
    scene, rank = sidebar.looked_at()
    with status:
        found = _swept(scene, compute_sweep.grids_of(scene, SWEEP_GRIDS.value), "all")
    if found is None:
        st.info(sentences.NO_GRID)
    else:
        with controls_row:
            sweep_parts.adviser(scene, rank, found)
        sweep_parts.winner_map(scene, rank, found)
        sweep_parts.curves(scene, rank, found)
    paint_box.draw(scene, rank)
    order_box.draw(scene, rank)
    st.header("Wide or tall blocks?", anchor=False)
    rows, cols = compute_sweep.rectangles(scene)
    pairs = sweep_parts.pairs(scene, rows, cols)
    if sweep_parts.wanted(scene, pairs):
        rectangles = _swept(scene, pairs, "pairs")
        if rectangles is not None:
            sweep_parts.rows_by_columns(scene, rank, rectangles, rows, cols)
    if found is not None:
        sweep_parts.downloads(scene, rank, found)


page()
