"""The paint box on the page: a rank map that the visitor paints, its cost and its error."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.picking import PICTURE, picked_cell
from app.shared.scene import Scene
from app.shared.settings import Slot, widget_value
from app.views.what_if import figures as figures_sweep
from app.views.what_if import paint
from app.views.what_if import sentences as prose_sweep
from app.views.what_if.settings import BRUSH, BRUSH_RANK, PAINT
from lolora_core import FAMILIES, Grid
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.families.adaptive import Adaptive
from lolora_core.families.localized import Localized

__all__ = ["draw"]

LARGEST = 16
#: The map as it is drawn, and the full rank of each block.
_NOW: Slot[tuple[np.ndarray, np.ndarray] | None] = Slot("painted", None)


def _now() -> tuple[np.ndarray, np.ndarray]:
    painted = _NOW.value
    assert painted is not None, "strokes come from a map that was drawn"
    return painted


def _write(ranks: np.ndarray) -> None:
    PAINT.set(paint.to_text(ranks))


def _stroke() -> None:
    cell = picked_cell("paint_map")
    if cell:
        ranks, limits = _now()
        kind, rank = BRUSH.value, BRUSH_RANK.value
        _write(paint.brush(ranks, kind, (int(cell[0]), int(cell[1])), rank, limits))


def _everywhere() -> None:
    ranks, limits = _now()
    _write(paint.brush(ranks, "all", (0, 0), 0, limits))


def _edited(key: str) -> None:
    ranks, limits = _now()
    ranks = ranks.copy()
    for row, cells in widget_value(key)["edited_rows"].items():
        for column, value in cells.items():
            i, j = int(row), int(column)
            ranks[i, j] = min(max(int(value or 0), 0), limits[i, j])
    _write(ranks)


def _current(text: str, grid: Grid, start: np.ndarray) -> np.ndarray:
    if not text.strip():
        return start
    try:
        return paint.from_text(text, grid.blocks, grid.max_ranks)
    except ValueError as problem:
        st.warning(prose_sweep.unreadable_map(problem))
        return start


def draw(scene: Scene, rank: int) -> None:
    """Draw the box, where the grid is small enough to be painted."""
    st.header("Paint your own rank map", anchor=False)
    grid = scene.grid
    if len(scene.target.channels) > 1:
        st.info(prose_sweep.COLOUR_PAINT)
        return
    if max(grid.blocks) > LARGEST:
        st.info(prose_sweep.too_fine(grid.label, LARGEST))
        return
    budget = budget_for_rank(grid.shape, rank)
    svd = compute.decompositions(scene)[0]
    spectra = svd.on(grid).spectra
    maps = {
        name: svd.rank_map(name, budget)
        for name, family in FAMILIES.items()
        if family.fits(grid) and not family.spans_whole and family.from_spectra
    }
    left, right = st.columns([3, 2], gap="large")
    with right:
        text = controls.text(PAINT, max_chars=2000)
        ranks = _current(text, grid, maps[Localized.name])
        _brushes(maps)
    _NOW.set((ranks, grid.max_ranks))
    errors = {name: spectra.relative_error(found) for name, found in maps.items()}
    best = errors.pop(Adaptive.name)
    with left:
        st.plotly_chart(
            figures_sweep.paint_figure(ranks, int(max(ranks.max(), maps[Adaptive.name].max()))),
            key="paint_map",
            on_select=_stroke,
            selection_mode="points",
            config=PICTURE,
        )
    used, error = int((ranks * grid.costs).sum()), spectra.relative_error(ranks)
    with right:
        _score(used, budget, error, errors, best)
        st.download_button(
            "Rank map, JSON",
            json.dumps(
                {
                    "target": scene.target.id,
                    "sha256": scene.target.sha256,
                    "row_edges": grid.row_edges,
                    "col_edges": grid.col_edges,
                    "rank_map": ranks.tolist(),
                    "num_parameters": used,
                    "relative_error": error,
                }
            ),
            f"{scene.target.id}-rank-map.json",
            "application/json",
            on_click="ignore",
            key="paint_json",
            help="Grid and ranks as `approximate(W, grid=…, rank_map=…)` takes them.",
        )
        first = int(grid.row_sizes[0]), int(grid.col_sizes[0])
        st.caption(prose_sweep.rank_cost(first, int(grid.costs[0, 0])))
    _table(ranks, grid)


def _brushes(maps: dict[str, np.ndarray]) -> None:
    controls.segments(BRUSH)
    controls.number(BRUSH_RANK)
    with st.container(horizontal=True):
        st.button("Clear", on_click=_everywhere, key="paint_clear", help="Rank 0 everywhere.")
        for name, found in maps.items():
            st.button(
                f"Copy {name}",
                on_click=_write,
                args=(found,),
                key=f"paint_{name}",
                help=f"Start from the ranks that {name} gives at this budget.",
            )


def _score(used: int, budget: int, error: float, errors: dict[str, float], best: float) -> None:
    shown = st.toggle(
        "Show the optimum",
        key="paint_optimum",
        help="adaptive takes the singular values with the greatest energy per parameter. Where "
        "all blocks cost the same, no map of this budget does better.",
    )
    rivals: dict[str, Any] = {**errors, **({Adaptive.name: best} if shown else {})}
    st.progress(min(1.0, used / budget) if budget else 0.0)
    sentence = prose_sweep.painted(used, budget, error, rivals)
    if used > budget:
        st.error(sentence)
    elif error <= best + 1e-5:
        st.success(f"{sentence} {prose_sweep.OPTIMUM}")
    else:
        st.info(sentence)


def _table(ranks: np.ndarray, grid: Grid) -> None:
    with st.expander("Ranks as a table, to edit with the keyboard"):
        key = f"paint_table_{hash(ranks.tobytes())}"
        st.data_editor(
            pd.DataFrame(ranks, columns=[str(j) for j in range(ranks.shape[1])]),
            key=key,
            on_change=_edited,
            args=(key,),
            width="stretch",
            column_config={
                str(j): st.column_config.NumberColumn(
                    min_value=0, max_value=int(grid.max_ranks[:, j].max()), step=1
                )
                for j in range(ranks.shape[1])
            },
        )
