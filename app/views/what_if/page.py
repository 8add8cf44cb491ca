"""What if: every grid and every budget at once; own rank maps; the adviser."""

from typing import Any

import streamlit as st

from app.shared import settings as state
from app.shared import sidebar
from app.shared.scene import Scene
from app.views.what_if import compute as compute_sweep
from app.views.what_if import paint_box
from app.views.what_if import parts as sweep_parts
from lolora_core import Grid, Sweep


def _mark_stopped(key: Any) -> None:
    st.session_state["stopped_sweep"] = key


def _swept(scene: Scene, grids: tuple[Grid, ...], name: str) -> Sweep | None:
    """Sweep what is new with a bar and a Stop button; after a Stop, what is finished."""
    target = scene.target
    seconds = compute_sweep.missing_seconds(target, grids)
    key = (target.sha256, grids)
    place = st.empty()
    if seconds > 0.5 and st.session_state.get("stopped_sweep") == key:
        done = compute_sweep.finished(target, grids)
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info(f"Stopped: {len(done)} of {len(grids)} grids are done and shown.")
            st.button("Continue", on_click=_mark_stopped, args=(None,), key=f"continue_{name}")
        return compute_sweep.swept(target, done) if done else None
    if seconds <= 0.5:
        return compute_sweep.swept(target, grids)
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, "Sweeping …")
        st.button("Stop", on_click=_mark_stopped, args=(key,), key=f"stop_{name}")

    def show(done: int, total: int) -> None:
        left = max(1, round(seconds * (1 - done / total)))
        bar.progress(done / total, f"Sweeping, grid {done + 1} of {total}: about {left} s left")

    found = compute_sweep.swept(target, grids, show)
    place.empty()
    return found


def page() -> None:
    """Draw the page."""
    if st.session_state.pop("go_compare", False):
        # Without query_params Streamlit clears the link, which bound widgets forbid.
        st.switch_page("views/compare/page.py", query_params={})
    place = st.container()
    scene, rank = sidebar.looked_at()
    with place:
        controls_row = st.container()
        status = st.container()
    with status:
        found = _swept(scene, compute_sweep.grids_of(scene, state.get(state.SWEEP_GRIDS)), "all")
    if found is None:
        st.info("No grid is finished yet: press Continue.")
    else:
        with controls_row:
            sweep_parts.adviser(scene, rank, found)
        sweep_parts.winner_map(scene, rank, found)
        sweep_parts.curves(scene, rank, found)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Block rows × block columns", anchor=False)
        rows, cols = compute_sweep.rectangles(scene)
        pairs = sweep_parts.pairs(scene, rows, cols)
        if sweep_parts.wanted(scene, pairs):
            rectangles = _swept(scene, pairs, "pairs")
            if rectangles is not None:
                sweep_parts.rows_by_columns(scene, rank, rectangles, rows, cols)
    with right:
        sweep_parts.reorder(scene, rank)
    paint_box.draw(scene, rank)
    if found is not None:
        sweep_parts.downloads(scene, rank, found)


page()
