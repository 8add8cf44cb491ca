"""Compare: one target, one budget, one grid; every family side by side."""

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import streamlit as st

from app.lens.view import View, linked_view
from app.shared import scene as compute
from app.shared import settings as state
from app.shared import sidebar
from app.shared import widgets as controls
from app.shared.style import LUTS
from app.views.compare import parts as details
from app.views.compare import sentences as prose
from app.views.compare.compute import comparison, pictures, rank_needed
from lolora_core.explore.compare import explain
from lolora_core.families import REFERENCE

_PICKED = "pictures"
_VIEWS: dict[str, View] = {
    "reconstruction": "reconstruction",
    "signed error": "signed",
    "absolute error": "absolute",
    "per block": "blocks",
}


def _controls() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        view = controls.segments(state.VIEW)
        controls.segments(state.SCALE, disabled=view == "reconstruction")
        controls.toggle(state.GRID_LINES)
        controls.toggle(state.BLOCK_MARKS)
        controls.toggle(state.SEARCHED)


def _pick() -> None:
    block = (st.session_state.get(_PICKED) or {}).get("block")
    if block:
        state.set_value(state.BLOCK_ROW, int(block["row"]))
        state.set_value(state.BLOCK_COL, int(block["col"]))


def _mark_stopped(key: Any) -> None:
    st.session_state["stopped"] = key


def _decomposed(scene: Any) -> Any:
    """Decompose what is new and return the scene; after a Stop, the last one that was shown.

    A bar with the time left and a Stop button appear if it takes more than a moment.
    """
    seconds = sum(compute.missing_seconds(scene))
    place = st.empty()
    if seconds > 0.5 and st.session_state.get("stopped") == scene.key:
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info("Stopped. What was decomposed so far is kept.")
            st.button("Continue", on_click=_mark_stopped, args=(None,), key="continue_work")
        last = st.session_state.get("shown")
        if last is None:
            st.stop()
        return compute.Scene(compute.recall(last[0]), *last[1:])
    if seconds > 0.5:
        with place.container(horizontal=True, vertical_alignment="center"):
            bar = st.progress(0.0, "Decomposing …")
            st.button("Stop", on_click=_mark_stopped, args=(scene.key,), key="stop_work")

        def show(done: int, steps: int) -> None:
            left = max(1, round(seconds * (1 - done / steps)))
            bar.progress(
                done / steps, f"Decomposing, part {done + 1} of {steps}: about {left} s left"
            )

        compute.decompositions(scene, show)
    place.empty()
    st.session_state["shown"] = scene.key
    return scene


def _pictures_first() -> None:
    """Wait until the pictures are on the screen: charts made at once would hold them up.

    In slices, because Streamlit lets a newer slider value in only where something is drawn.
    """
    for _ in range(4):
        time.sleep(0.02)
        st.empty()


def page() -> None:
    """Draw the page."""
    answer = st.empty()
    scene, rank = sidebar.looked_at()
    scene = _decomposed(replace(scene, searched=state.get(state.SEARCHED)))
    with (
        st.spinner("Sharing the budget between the terms of hybrid …", show_time=True)
        if (scene.searched)
        else nullcontext()
    ):
        found = comparison(scene, rank)
    best = found.winners[0].relative_error
    channels = compute.decompositions(scene)
    needed = rank_needed(scene, REFERENCE.name, best)
    answer.markdown(
        f"{prose.verdict(found, needed)} {explain(found, channels)}",
        help=(
            "Relative error is ‖W − Ŵ‖_F/‖W‖_F: 0 is exact, 1 is as bad as the zero matrix. All "
            "families have the same budget. Errors within 1e-5 of each other count as a tie."
        ),
    )
    _controls()
    target, grid = scene.target, scene.grid
    shown = pictures(scene, rank)
    view, selected = _VIEWS[state.get(state.VIEW)], details.selected_block(grid)
    part = int(state.get(state.SCALE).removeprefix("full").removeprefix("1/") or 1)
    linked_view(
        key=_PICKED,
        on_pick=_pick,
        target=target.array,
        value_range=target.display_range,
        panels=details.panels(scene, found, shown),
        view=view,
        limit=shown.peak("signed" if view == "signed" else "absolute") / part,
        block_limit=shown.peak("blocks") / part,
        row_edges=grid.row_edges,
        col_edges=grid.col_edges,
        show_grid=state.get(state.GRID_LINES),
        show_block_errors=state.get(state.BLOCK_MARKS),
        selected=selected,
        image=target.value_range is not None,
        luts=LUTS,
    )
    _pictures_first()
    st.caption(prose.unmatched(found, target.array.size))
    curve, block = st.columns([3, 2], gap="large")
    with curve:
        details.curve(scene, found)
    with block:
        details.block(scene, found, shown)
    details.table(scene, found)
    ranks, downloads = st.columns([3, 2], gap="large")
    with ranks:
        details.rank_map(scene, found, selected)
    with downloads:
        details.downloads(scene, found, shown)


page()
