"""Rows and columns put in order: they move to their places, and the blocks show what it gains."""

from __future__ import annotations

import json

import numpy as np
import streamlit as st

from app.shared import answers
from app.shared import widgets as controls
from app.shared.picking import PICTURE
from app.shared.scene import Scene
from app.views.what_if import compute, figures, sentences, snippets
from app.views.what_if.canvases import moving_picture
from app.views.what_if.settings import REORDER
from lolora_core.explore.compare import TIE
from lolora_core.explore.reorder import Reordering

__all__ = ["draw"]


def draw(scene: Scene, rank: int) -> None:
    """Draw the switch, and where it is on what an order of rows and columns gains."""
    st.header("Put rows and columns in order", anchor=False)
    on = controls.toggle(REORDER)
    if not on:
        st.caption(sentences.ORDER_INVITATION)
        return
    target, grid = scene.target, scene.grid
    if len(target.channels) > 1:
        st.info(sentences.COLOUR_ORDER)
        return
    with st.spinner("Looking for an order …"):
        found = compute.reordered(target, grid, rank)
    moved = np.concatenate(
        [order != np.arange(len(order)) for order in (found.row_order, found.col_order)]
    )
    st.markdown(
        f"**{sentences.reordering(found.error_before, found.error_after, float(moved.mean()))}**",
        help="The order is found by spectral co-clustering of rows and columns, and kept only if "
        "it lowers the error. In a network it costs nothing at inference where the layers before "
        "and after take it in.",
    )
    if found.error_before - found.error_after > TIE:
        _pictures(scene, rank, found)


def _pictures(scene: Scene, rank: int, found: Reordering) -> None:
    target, grid = scene.target, scene.grid
    before, after = compute.block_energies(target, grid, rank)
    row = controls.side_by_side("order")
    with row.container():
        moving_picture(target, found, key="moving")
        st.download_button(
            "Orders, JSON",
            lambda: json.dumps(
                {"rows": found.row_order.tolist(), "columns": found.col_order.tolist()}
            ),
            f"{target.id}-orders.json",
            "application/json",
            on_click="ignore",
            key="orders",
        )
    with row.container():
        answers.chart(
            figures.order_figure((before.shares, before.kept), (after.shares, after.kept)),
            key="order_blocks",
            caption=sentences.order_kept(before.total, after.total),
            code=snippets.reordered(target, grid, found.family, found.budget),
            config=PICTURE,
        )
