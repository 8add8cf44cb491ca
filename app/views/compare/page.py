"""Compare: one target, one budget, one grid; every family side by side."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from app.lens import scrub
from app.lens.factors import linked_factors, other_grids
from app.lens.view import linked_view
from app.shared import answers, glossary, progress, sidebar, sight
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.common import BLOCK_COL, BLOCK_ROW, RANK
from app.shared.search import search, search_seconds
from app.shared.settings import Slot, widget_value
from app.shared.style import LUTS
from app.views.compare import parts as details
from app.views.compare import sentences as prose
from app.views.compare import snippets
from app.views.compare.compute import Pictures, comparison, limits, rank_needed
from app.views.compare.settings import BLOCK_MARKS, FIT, GRID_LINES, SCALE, SEARCHED, VIEW
from app.views.compare.structures import structures
from lolora_core import FAMILIES
from lolora_core.explore.compare import explain
from lolora_core.families import REFERENCE

_PICKED = "pictures"
#: What is shown as long as new work is stopped.
_SHOWN: Slot[tuple[Any, ...] | None] = Slot("shown", None)


def _controls() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        view = controls.segments(VIEW)
        controls.segments(SCALE, disabled=view == "reconstruction")
    # A line of their own from the start: one that breaks when its words are loaded moves pictures.
    with st.container(horizontal=True, gap="small"):
        controls.toggle(GRID_LINES)
        controls.toggle(BLOCK_MARKS)
        controls.toggle(SEARCHED)


def _pick() -> None:
    block = (widget_value(_PICKED) or {}).get("block")
    if block:
        BLOCK_ROW.set(int(block["row"]))
        BLOCK_COL.set(int(block["col"]))


def _release() -> None:
    budget = (widget_value(_PICKED) or {}).get("budget")
    if budget:
        RANK.set(int(budget["rank"]))


def _regrid() -> None:
    grid = (widget_value(_PICKED) or {}).get("grid")
    if grid:
        sidebar.set_cut(int(grid["rows"]), int(grid["cols"]))


def _decomposed(scene: compute.Scene) -> compute.Scene:
    """Decompose what is new and return the scene; after a Stop, the last one that was shown."""
    if sum(compute.missing_seconds(scene)) > progress.QUICK:
        words = "Stopped. What was decomposed so far is kept."
        if progress.stopped("work", scene.key, words):
            last = _SHOWN.value
            if last is None:
                st.stop()
            return compute.Scene(compute.recall(last[0]), *last[1:])
        progress.with_stop(
            "work", scene.key, "Decomposing", lambda show: compute.decompositions(scene, show)
        )
    _SHOWN.set((compute.remember(scene.target), *scene.key[1:]))
    return scene


def _searched(scene: compute.Scene, rank: int) -> compute.Scene:
    """Search what is new and return the scene; after a Stop, the scene without its searches."""
    if search_seconds(scene, rank) > progress.QUICK:
        key = (scene.key, rank)
        if progress.stopped("search", key, prose.NOT_SEARCHED):
            return replace(scene, searched=False)
        words = "Sharing the budget between the terms of hybrid"
        progress.with_stop("search", key, words, lambda show: search(scene, rank, show))
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
    # Above the answer: nothing that is drawn later moves the button.
    work, answer = st.container(), st.empty()
    scene, rank = sidebar.looked_at()
    with work:
        scene = _searched(_decomposed(replace(scene, searched=SEARCHED.value)), rank)
    found = comparison(scene, rank)
    best = found.winners[0].relative_error
    channels = compute.decompositions(scene)
    needed = rank_needed(scene, REFERENCE.name, best)
    with answer.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(prose.verdict(found, needed), width="content")
        with st.popover("Why?", type="tertiary", key="why"):
            st.markdown(explain(found, channels))
            st.caption(prose.WHY)
    glossary.words("relative error", "equivalent rank", "Frobenius norm", *FAMILIES, "PSNR", "SSIM")
    _controls()
    target, grid = scene.target, scene.grid
    shown = Pictures(scene, found)
    rebuilt = scrub.rebuilt(scene, RANK.maximum)
    view, selected = VIEW.value, details.selected_block(grid)
    part = None if SCALE.value == FIT else SCALE.value
    limit, block_limit = limits(found, shown, view, part)
    # The factors take no room under the pictures, and come after them.
    lens = st.container(gap=None)
    with lens:
        linked_view(
            key=_PICKED,
            on_pick=_pick,
            on_release=_release,
            on_cut=_regrid,
            on_missing=scrub.forget,
            rebuilt=rebuilt,
            budget=scrub.budget(scene, rank, RANK),
            target=target.array,
            value_range=target.display_range,
            panels=details.panels(scene, found, shown, rebuilt.names if rebuilt else ()),
            view=view,
            limit=limit,
            block_limit=block_limit,
            row_edges=grid.row_edges,
            col_edges=grid.col_edges,
            show_grid=GRID_LINES.value,
            show_block_errors=BLOCK_MARKS.value,
            selected=selected,
            image=target.value_range is not None,
            luts={**LUTS, "values": LUTS[compute.lut_of(target)]},
        )
    _pictures_first()
    with lens:
        linked_factors(scrub.factors(scene, RANK.maximum), key="factors")
        sharp = scrub.sharp(scene, RANK.maximum)
        if sharp is not None:
            linked_factors(sharp, key="sharp_factors")
        scrub.given(scene, RANK.maximum)
        other_grids(partial(scrub.factors_of, scene, RANK.maximum), key="other_grids")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(prose.unmatched(found, target.array.size), width="content")
        answers.python(snippets.pictures(scene, rank), key="pictures_python")
    if sight.seen("curve"):
        structures(found, grid)
        with controls.side_by_side("curve"):
            with st.container():
                details.curve(scene, found)
            with st.container():
                details.block(scene, found, shown)
    if sight.seen("figures"):
        details.table(scene, found)
        with controls.side_by_side("ranks"):
            with st.container():
                details.rank_map(scene, found, selected)
            with st.container():
                details.downloads(scene, found, shown, part)


page()
