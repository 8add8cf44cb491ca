"""The parts of What if that read the sweep: adviser, winner map, curves, rows × columns, files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shared import address, answers, progress
from app.shared import widgets as controls
from app.shared.common import BLOCK_COL, BLOCK_ROW, COLS, LINKED, LOG_CURVE, RANK, ROWS
from app.shared.picking import PICTURE, picked_cell
from app.shared.scene import Scene
from app.shared.settings import reset
from app.shared.words import dense_storage
from app.views.what_if import compute, figures, sentences, snippets
from app.views.what_if.settings import (
    ACROSS,
    AIM,
    AIM_ENERGY,
    AIM_ERROR,
    LOG_PARAMETERS,
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
        value: float = compute.budget_of(scene.target, rank)
        if aim == "error":
            value = controls.number(AIM_ERROR, width=220)
        elif aim == "energy":
            value = controls.number(AIM_ENERGY, width=220)
        button = st.empty()
    advice = compute.advice(scene.target, found, aim, value)
    sentence.markdown(
        f"**{advice}**",
        help="Looked for among every family and every grid of the map below. The relative error is "
        "‖W − Ŵ‖_F/‖W‖_F: 0 is perfect, 1 is as bad as nothing. Of two that are equal to 1e-6 the "
        "cheaper is named. Dense storage, the entries themselves, is always among them.",
    )
    dense = dense_storage(compute.budget_of(scene.target, rank), scene.target.array.size)
    if dense:
        st.caption(dense)
    if advice.best.family != DENSE:
        _apply(scene, rank, advice, button)
    _other_tools(scene, found, advice)


def _apply(scene: Scene, rank: int, advice: Advice, place: DeltaGenerator) -> None:
    """Draw the button that opens the choice in Compare."""
    needed = compute.rank_of(scene.target, advice.best.num_parameters)
    if advice.goal == "budget":
        needed = rank
    best = advice.best
    on = "" if FAMILIES[best.family].spans_whole else f" on {best.grid_rows}×{best.grid_cols}"
    place.button(
        f"Open {best.family}{on}, r = {needed} in Compare",
        on_click=open_in_compare,
        args=(best.grid_rows, best.grid_cols, needed),
        key="apply_advice",
        type="primary",
        disabled=needed > RANK.maximum,
    )
    if needed > RANK.maximum:
        st.caption(sentences.beyond_slider(needed, RANK.maximum))


def _other_tools(scene: Scene, found: Sweep, advice: Advice) -> None:
    with st.expander(f"The same choice in other tools: LoRA of rank {advice.global_rank}"):
        if len(scene.target.channels) > 1:
            st.info(sentences.COLOUR_TABLE)
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
        answers.table(pd.DataFrame(rows), key="other_tools")
        st.caption(sentences.other_tools(advice.global_rank))
        code = snippets.advice(scene.target, found.grids, advice.goal, advice.target)
        if code:
            answers.python(code, key="advice_python")


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
    st.header(
        "Who wins where",
        anchor=False,
        help="Each cell is one grid at one budget; from column to column the budget grows by "
        "about the same factor. A tie is two errors within 1e-5. Hybrid is left out: each of its "
        "cells would cost a search.",
    )
    ranks = compute.drawn_ranks(scene.target, rank, RANK.maximum)
    cells = compute.winner_cells(found, scene.target, ranks)
    st.markdown(f"**{sentences.moral(cells)}**")
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
    answers.chart(
        figures.winner_map_figure(cells, (scene.grid.blocks, rank)),
        key="winners",
        caption=(
            "Colour and letter: who has the lowest error. Pale: won by little. Full colour: the "
            "next has twice the error or more. Grey bars: the lead changes. Click a cell to open "
            f"it in Compare. {sentences.lead_changes(cells)}"
        ),
        code=snippets.winners(scene.target, found.grids),
        config=PICTURE,
        on_select=_go_to_cell,
        selection_mode="points",
    )


def curves(scene: Scene, rank: int, found: Sweep) -> None:
    """Draw the best curve of each family against parameters, and the lowest of all."""
    st.header(
        "The best that each family can do",
        anchor=False,
        help="At each budget a family takes the grid of the map above on which its error is "
        "lowest; point at a line for that grid. Grids of one block count for global alone. The "
        "grey band is the Pareto front: no family on any grid has a lower error with as few "
        "parameters.",
    )
    with st.container(horizontal=True):
        log_error = controls.toggle(LOG_CURVE)
        log_parameters = controls.toggle(LOG_PARAMETERS)
    front = compute.front(found, scene.target)
    leaders = compute.leaders(front)
    answers.chart(
        figures.best_curves_figure(
            compute.best_curves(found, scene.target),
            front[front["num_parameters"] > 0],
            compute.budget_of(scene.target, rank),
            log_error=log_error,
            log_parameters=log_parameters,
        ),
        key="all_curves",
        caption=(
            "One line a family, on its best grid at each budget. Grey band: the lowest of all. "
            f"Dotted: your budget. {sentences.curves(leaders, int(front['num_parameters'].max()))}"
        ),
        code=snippets.best_curves(scene.target, found.grids),
        config=PICTURE,
    )


def pairs(scene: Scene, rows: Sequence[int], cols: Sequence[int]) -> tuple[Grid, ...]:
    """Return every grid of rows × columns."""
    return tuple(Grid.regular(scene.grid.shape, r, c) for r in rows for c in cols)


def wanted(scene: Scene, grids: tuple[Grid, ...]) -> bool:
    """Ask first where the sweep takes long."""
    seconds = compute.missing_seconds(scene.target, grids)
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
    budget = compute.budget_of(scene.target, rank)
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
    answers.chart(
        figures.grid_error_figure(errors, rows, cols, scene.grid.blocks),
        key="rectangles",
        caption=(
            f"{sentences.grid_errors(name, errors, list(rows), list(cols))} "
            f"{sentences.grid_map(rank, budget)}"
        ),
        code=snippets.rectangles(scene.target, rows, cols, name, budget),
        config=PICTURE,
        on_select=_go_to_pair,
        selection_mode="points",
    )
    answers.csv(
        pd.DataFrame(errors, index=pd.Index(rows, name="block rows"), columns=pd.Index(cols)),
        "Rows × columns, CSV",
        f"{scene.target.id}-{name}-r{rank}-grids.csv",
        key="rectangles_csv",
        index=True,
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
        "The sweep holds every family on every grid at every whole equivalent rank. The camera "
        "above a figure saves it as PNG. All settings are under Share."
    )
