"""The parts of What if: adviser, winner map, curves, rows × columns, reordering, downloads."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shared import address, charts, progress
from app.shared import widgets as controls
from app.shared.common import BLOCK_COL, BLOCK_ROW, COLS, LINKED, LOG_CURVE, RANK, ROWS
from app.shared.picking import PICTURE, picked_cell
from app.shared.scene import Scene
from app.shared.settings import reset
from app.shared.words import dense_storage
from app.views.what_if import (
    compute as compute_sweep,
)
from app.views.what_if import (
    figures as figures_sweep,
)
from app.views.what_if import (
    sentences as prose_sweep,
)
from app.views.what_if.settings import (
    ACROSS,
    AIM,
    AIM_ENERGY,
    AIM_ERROR,
    LOG_PARAMETERS,
    REORDER,
    SWEEP_GRIDS,
)
from lolora_core import FAMILIES, Grid, Sweep
from lolora_core.explore.advise import DENSE, Advice
from lolora_core.explore.other_tools import CONVERSIONS

__all__ = [
    "adviser",
    "curves",
    "downloads",
    "pairs",
    "reorder",
    "rows_by_columns",
    "wanted",
    "winner_map",
]

_LONG = 4.0


def open_in_compare(rows: int, cols: int, rank: int) -> None:
    """Set grid and budget and go to Compare; a callback."""
    LINKED.set(rows == cols)
    ROWS.set(rows)
    COLS.set(cols)
    RANK.set(min(max(rank, RANK.minimum), RANK.maximum))
    reset((BLOCK_ROW, BLOCK_COL))
    address.go_to("views/compare/page.py")


def adviser(scene: Scene, rank: int, found: Sweep) -> None:
    """Say which structure to choose, with one button that applies it."""
    sentence = st.empty()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        aim = controls.segments(AIM)
        value: float = compute_sweep.budget_of(scene.target, rank)
        if aim == "error":
            value = controls.number(AIM_ERROR, width=220)
        elif aim == "energy":
            value = controls.number(AIM_ENERGY, width=220)
        button = st.empty()
    advice = compute_sweep.advice(scene.target, found, aim, value)
    sentence.markdown(
        f"**{advice}**",
        help="Over every family and every grid of the map below. Errors are ‖W − Ŵ‖_F/‖W‖_F. "
        "Where two are equal to 1e-6, the one with fewer parameters is named. Dense storage, the "
        "entries themselves, is always among them.",
    )
    dense = dense_storage(compute_sweep.budget_of(scene.target, rank), scene.target.array.size)
    if dense:
        st.caption(dense)
    if advice.best.family != DENSE:
        _apply(scene, rank, advice, button)
    _other_tools(scene, advice)


def _apply(scene: Scene, rank: int, advice: Advice, place: DeltaGenerator) -> None:
    """Draw the button that opens the choice in Compare."""
    needed = compute_sweep.rank_of(scene.target, advice.best.num_parameters)
    if advice.goal == "budget":
        needed = rank
    best = advice.best
    place.button(
        f"Open {best.family} on {best.grid_rows}×{best.grid_cols}, r = {needed} in Compare",
        on_click=open_in_compare,
        args=(best.grid_rows, best.grid_cols, needed),
        key="apply_advice",
        type="primary",
        disabled=needed > RANK.maximum,
    )
    if needed > RANK.maximum:
        st.caption(prose_sweep.beyond_slider(needed, RANK.maximum))


def _other_tools(scene: Scene, advice: Advice) -> None:
    with st.expander(f"The same choice in other tools: LoRA of rank {advice.global_rank}"):
        if len(scene.target.channels) > 1:
            st.info(prose_sweep.COLOUR_TABLE)
            return
        rows = [
            {"tool": "PEFT", "setting": name, "value": str(value), "what it means": meaning}
            for name, value in advice.peft.items()
            for meaning in [_PEFT[name]]
        ]
        for conversion in CONVERSIONS:
            value = advice.other_tools[conversion.name]
            rows.append(
                {
                    "tool": conversion.tool,
                    "setting": conversion.setting,
                    "value": "none gives it" if value is None else f"{value:.6g}",
                    "what it means": conversion.definition,
                }
            )
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="other_tools")
        st.caption(prose_sweep.other_tools(advice.global_rank))


_PEFT = {
    "r": "LoRA: the rank of the one product B·A",
    "gralora_r": "GraLoRA: r, shared by the blocks of a row; each has rank r/k",
    "gralora_k": "GraLoRA: number of blocks a side",
}


def _go_to_cell() -> None:
    cell = picked_cell("winners")
    if cell:
        open_in_compare(int(cell[0]), int(cell[1]), int(cell[2]))


def winner_map(scene: Scene, rank: int, found: Sweep) -> None:
    """Draw who wins on each grid at each budget; a click opens Compare there."""
    st.header("Who wins where", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        controls.segments(SWEEP_GRIDS)
        rows, cols = scene.grid.blocks
        st.button(
            f"Open {scene.grid.label}, r = {rank} in Compare",
            on_click=open_in_compare,
            args=(rows, cols, rank),
            key="open_current",
            help="The grid and budget of the sidebar, framed in the map.",
        )
    ranks = compute_sweep.drawn_ranks(scene.target, rank, RANK.maximum)
    cells = compute_sweep.winner_cells(found, scene.target, ranks)
    st.plotly_chart(
        figures_sweep.winner_map_figure(cells, (scene.grid.blocks, rank)),
        key="winners",
        on_select=_go_to_cell,
        selection_mode="points",
        config=PICTURE,
    )
    st.caption(
        "Colour and letter: the family with the lowest error on this grid at this budget; paler "
        "where the next is close, full where it has twice the error or more. Grey bars: the lead "
        "changes. Click a cell to open Compare there. Hybrid is left out: each cell would cost a "
        f"search. {prose_sweep.winner_map(cells)}"
    )


def curves(scene: Scene, rank: int, found: Sweep) -> None:
    """Draw every family on every grid against parameters, and the Pareto front."""
    st.header("Every curve, and the Pareto front", anchor=False)
    with st.container(horizontal=True):
        log_error = controls.toggle(LOG_CURVE)
        log_parameters = controls.toggle(LOG_PARAMETERS)
    frame = compute_sweep.curve_rows(found, scene.target, rank)
    front = found.pareto()
    st.plotly_chart(
        figures_sweep.all_curves_figure(
            frame,
            front[front["num_parameters"] > 0],
            compute_sweep.budget_of(scene.target, rank),
            log_error=log_error,
            log_parameters=log_parameters,
        ),
        key="all_curves",
        config=PICTURE,
    )
    st.caption(
        "A line for each family on each grid; point at one for its name. Thick grey: the Pareto "
        "front, on which no structure has a lower error with as few parameters. Dotted: the "
        f"budget of the sidebar. {prose_sweep.pareto(figures_sweep.front_changes(front))}"
    )


def pairs(scene: Scene, rows: Sequence[int], cols: Sequence[int]) -> tuple[Grid, ...]:
    """Return every grid of rows × columns."""
    return tuple(Grid.regular(scene.grid.shape, r, c) for r in rows for c in cols)


def wanted(scene: Scene, grids: tuple[Grid, ...]) -> bool:
    """Ask first where the sweep takes long."""
    seconds = compute_sweep.missing_seconds(scene.target, grids)
    if seconds <= _LONG:
        return True
    return st.button(
        f"Sweep {len(grids)} grids, about {round(seconds)} s", key="sweep_pairs"
    ) or progress.stopped("pairs", (scene.target.sha256, grids))


def _go_to_pair() -> None:
    cell = picked_cell("rectangles")
    if cell:
        open_in_compare(int(cell[0]), int(cell[1]), RANK.value)


def rows_by_columns(
    scene: Scene, rank: int, found: Sweep, rows: Sequence[int], cols: Sequence[int]
) -> None:
    """Draw the error of one family over block rows × block columns."""
    names = [name for name in found.families if not FAMILIES[name].spans_whole]
    name = controls.choice(ACROSS, names)
    budget = compute_sweep.budget_of(scene.target, rank)
    errors = np.array(
        [
            [
                found.row(name, (r, c), budget).relative_error
                if (name, (r, c)) in found.curves
                else np.nan
                for c in cols
            ]
            for r in rows
        ]
    )
    st.plotly_chart(
        figures_sweep.grid_error_figure(errors, rows, cols, scene.grid.blocks),
        key="rectangles",
        on_select=_go_to_pair,
        selection_mode="points",
        config=PICTURE,
    )
    st.caption(
        f"{prose_sweep.grid_map(rank, budget)} "
        f"{prose_sweep.grid_errors(name, errors, list(rows), list(cols))}"
    )
    st.download_button(
        "Rows × columns, CSV",
        pd.DataFrame(
            errors, index=pd.Index(rows, name="block rows"), columns=pd.Index(cols)
        ).to_csv(),
        f"{scene.target.id}-{name}-r{rank}-grids.csv",
        "text/csv",
        on_click="ignore",
        key="rectangles_csv",
    )


def reorder(scene: Scene, rank: int) -> None:
    """Show the matrix before and after its rows and columns are put in order."""
    st.header("Reordered", anchor=False)
    if not controls.toggle(REORDER):
        st.caption(
            "Blocks see only what lies side by side. Switch on to look for a better order of rows "
            "and columns, found by spectral co-clustering."
        )
        return
    target, grid = scene.target, scene.grid
    if len(target.channels) > 1:
        st.info(prose_sweep.COLOUR_REORDER)
        return
    with st.spinner("Looking for an order …"):
        found = compute_sweep.reordered(target, grid, rank)
    before = target.channels[0]
    left, right = st.columns(2)
    for column, words, array in ((left, "before", before), (right, "after", found.apply(before))):
        column.image(
            charts.picture_png(
                array, target.display_range, image=target.value_range is not None, grid=grid
            ),
            caption=f"{words}, {grid.label} blocks",
            output_format="PNG",
            width="stretch",
        )
    moved = np.concatenate(
        [found.row_order != np.arange(len(found.row_order)),
         found.col_order != np.arange(len(found.col_order))]
    )  # fmt: skip
    low, high = target.display_range
    st.caption(
        f"{prose_sweep.reordering(found.error_before, found.error_after, float(moved.mean()))} "
        f"{prose_sweep.order_scale(low, high)}"
    )
    st.download_button(
        "Orders as JSON",
        json.dumps({"rows": found.row_order.tolist(), "columns": found.col_order.tolist()}),
        f"{target.id}-orders.json",
        "application/json",
        on_click="ignore",
        key="orders",
    )


def downloads(scene: Scene, rank: int, found: Sweep) -> None:
    """Offer the sweep as files."""
    st.header("Download", anchor=False)
    stem = f"{scene.target.id}-sweep"

    def as_json() -> str:
        about = {
            "target": scene.target.id,
            "sha256": scene.target.sha256,
            "shape": scene.target.shape,
            "grids": [grid.blocks for grid in found.grids],
            "rank": rank,
        }
        rows = found.frame().to_dict(orient="records")
        return json.dumps({**about, "rows": rows}, indent=1)

    with st.container(horizontal=True):
        for label, name, mime, make in (
            ("Sweep, CSV", f"{stem}.csv", "text/csv", lambda: found.frame().to_csv(index=False)),
            ("Sweep, JSON", f"{stem}.json", "application/json", as_json),
            (
                "Winner map, CSV",
                f"{stem}-winners.csv",
                "text/csv",
                lambda: found.winners().to_csv(index=False),
            ),
            (
                "Pareto front, CSV",
                f"{stem}-pareto.csv",
                "text/csv",
                lambda: found.pareto().to_csv(index=False),
            ),
        ):
            st.download_button(label, make, name, mime, on_click="ignore")
    st.caption(
        "Every family on every grid at every whole equivalent rank. The camera above a figure "
        "saves it as PNG. All settings are under Share."
    )
