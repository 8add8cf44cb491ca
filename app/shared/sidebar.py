"""The sidebar: what the page at hand uses of target, budget, grid and device."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import streamlit as st

from app.shared import answers, gallery, sentences
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.common import (
    BLOCK_COL,
    BLOCK_ROW,
    COLOUR,
    COLS,
    DEVICE,
    LINKED,
    RANK,
    ROWS,
    STRIDE,
    TARGET,
    UPLOAD,
    pattern_setting,
)
from app.shared.notices import say_error
from app.shared.settings import Slot, reset
from app.shared.uploads import uploaded
from lolora_core import Grid
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.common.devices import available_devices, resolve_device
from lolora_core.explore.compare import matched_step
from lolora_core.targets import Entry, Parameter, Target, entry, shuffle_rows

__all__ = ["blocks", "device", "draw", "looked_at", "set_cut"]

# Of one run of the script, which has a thread of its own; the session would keep large arrays.
_LOOKED_AT: ContextVar[tuple[compute.Scene, int]] = ContextVar("looked_at")
_LAST_GOOD: Slot[Any] = Slot("last_good", None)


def _parameter(found: Entry, parameter: Parameter) -> tuple[str, Any]:
    draw_it = controls.number if parameter.name == "seed" else controls.slider
    return parameter.name, draw_it(pattern_setting(found, parameter))


def _bundled(target_id: str) -> Target:
    found = entry(target_id)
    colour = False
    if found.has_colour:
        colour = controls.toggle(COLOUR)
    with st.expander("Shape of the pattern", expanded=True) if found.parameters else st.container():
        parameters = tuple(_parameter(found, p) for p in found.parameters)
    return compute.bundled_target(target_id, colour, parameters)


def _target() -> Target:
    """Return the target that was picked; after a bad one the last good one, with the reason."""
    gallery.draw()
    picked = controls.choice(TARGET, [UPLOAD, *(o for o in TARGET.options if o != UPLOAD)])
    target = None
    try:
        target = uploaded() if picked == UPLOAD else _bundled(picked)
        if target is not None:
            with st.expander("Shuffle the rows", expanded=STRIDE.value > 1):
                target = shuffle_rows(target, controls.number(STRIDE))
    except (ValueError, TypeError) as problem:
        say_error(problem)
    if target is None:
        target = compute.recall(_LAST_GOOD.value)
        st.caption(sentences.until_then(compute.said(target, target.title)))
    _LAST_GOOD.set(compute.remember(target))
    return target


def _about(target: Target) -> None:
    answers.picture(compute.preview(target), target.title, target.shape, width=160)
    about = compute.said(target, target.description)
    st.caption(sentences.about_target(about, target.shape, len(target.channels)))
    for note in target.notes:
        st.caption(compute.said(target, note))
    with st.popover("Source and licence", width="stretch"):
        source, licence = (compute.said(target, words) for words in (target.source, target.licence))
        st.markdown(f"**Source.** {source}\n\n**Licence.** {licence}")


def _budget(target: Target, grid: Grid) -> int:
    rank = controls.slider(RANK)
    m, n = target.shape
    total = budget_for_rank((m, n), rank)
    st.caption(sentences.budget_share(total, m * n, len(target.channels)))
    step = matched_step(grid)
    below, above = (rank - 1) // step * step, (rank // step + 1) * step
    if step <= RANK.maximum:
        left, right = st.columns(2)
        fits = RANK.minimum <= below
        left.button(
            f"◂ r = {below}" if fits else "◂",
            disabled=not fits,
            on_click=RANK.set,
            args=(below,),
            key="matched_below",
            width="stretch",
            help="The next smaller budget that localized uses to the last parameter.",
        )
        right.button(
            f"r = {above} ▸" if above <= RANK.maximum else "▸",
            disabled=above > RANK.maximum,
            on_click=RANK.set,
            args=(above,),
            key="matched_above",
            width="stretch",
            help="The next larger budget that localized uses to the last parameter.",
        )
        st.caption(sentences.matched(step))
    return rank


def _mirror_rows() -> None:
    if LINKED.value:
        COLS.set(ROWS.value)
    reset((BLOCK_ROW, BLOCK_COL))


def set_cut(rows: int, cols: int) -> None:
    """Set the numbers of block rows and block columns; a callback."""
    LINKED.set(rows == cols)
    ROWS.set(rows)
    COLS.set(cols)
    reset((BLOCK_ROW, BLOCK_COL))


def blocks() -> tuple[int, int]:
    """Draw the numbers of block rows and block columns; return them."""
    left, right = st.columns(2)
    with left:
        rows = controls.number(ROWS, on_change=_mirror_rows)
    with right:
        cols = controls.number(COLS, disabled=LINKED.value, on_change=_mirror_rows)
    controls.toggle(LINKED, on_change=_mirror_rows)
    return rows, cols


def _grid(target: Target) -> Grid:
    rows, cols = blocks()
    for cut in target.cuts:
        st.button(
            f"Cut into {cut.name} ({cut.rows}×{cut.cols})",
            key=f"cut_{cut.rows}_{cut.cols}",
            help=cut.description,
            on_click=set_cut,
            args=(cut.rows, cut.cols),
            width="stretch",
        )
    try:
        return Grid.regular(target.shape, rows, cols)
    except ValueError as problem:
        fit = Grid.regular(target.shape, min(rows, target.shape[0]), min(cols, target.shape[1]))
        st.error(sentences.grid_too_fine(str(problem), fit.label))
        st.button(
            f"Use {fit.label}", on_click=set_cut, args=fit.blocks, key="fit_grid", width="stretch"
        )
        return fit


def device() -> str:
    """Draw the choice of the device; return the one behind it."""
    options = ["auto", *available_devices()]
    return str(resolve_device(controls.choice(DEVICE, options)))


def draw() -> None:
    """Draw the sidebar; `looked_at` then says what was picked."""
    target = _target()
    _about(target)
    budget = st.container()
    grid = _grid(target)
    with budget:
        rank = _budget(target, grid)
    on = device()
    _LOOKED_AT.set((compute.Scene(target, grid, on), rank))


def looked_at() -> tuple[compute.Scene, int]:
    """Return what this run of the script looks at, and the equivalent rank of the budget."""
    return _LOOKED_AT.get()
