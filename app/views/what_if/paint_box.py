"""The paint box on the page: ranks painted on the target, what they rebuild, and a score."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from app.shared import address, answers
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.scene import Scene
from app.shared.settings import Slot, widget_value
from app.shared.words import format_error
from app.views.what_if import paint, sentences, snippets
from app.views.what_if.canvases import painting, strokes
from app.views.what_if.settings import BRUSH, BRUSH_RANK, PAINT, SETTINGS
from lolora_core import FAMILIES, Decomposition, Grid
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.families.adaptive import Adaptive
from lolora_core.families.localized import Localized

__all__ = ["draw"]

LARGEST = 16


class _Drawn(NamedTuple):
    """What a stroke starts from."""

    ranks: np.ndarray
    grid: Grid
    budget: int
    #: Number of the last stroke that is in it.
    last: int


_DRAWN: Slot[_Drawn | None] = Slot("painted", None)
#: Why the last stroke was not painted.
_REFUSED: Slot[str] = Slot("paint_refused", "")


def _drawn() -> _Drawn:
    drawn = _DRAWN.value
    assert drawn is not None, "strokes come from a map that was drawn"
    return drawn


def _write(ranks: np.ndarray) -> None:
    # What comes before the next drawing starts from this.
    _DRAWN.set(_drawn()._replace(ranks=ranks))
    PAINT.set(paint.to_text(ranks) if ranks.any() else "")


def _offer(ranks: np.ndarray) -> None:
    """Paint what the budget allows; what makes a map cheaper is always allowed."""
    before, grid, budget, _ = _drawn()
    had, costs = int((before * grid.costs).sum()), int((ranks * grid.costs).sum())
    if costs > max(budget, had):
        _REFUSED.set(sentences.refused(costs - had, budget - had))
    else:
        _write(ranks)


def _stroke() -> None:
    for made in strokes("paint_map"):
        ranks, grid, _, last = _drawn()
        if made["count"] <= last:
            continue
        blocks, limits = [(int(i), int(j)) for i, j in made["blocks"]], grid.max_ranks
        if made["add"]:
            ((i, j),) = blocks
            rank = max(0, int(ranks[i, j]) + int(made["add"]))
            _offer(paint.stroke(ranks, "block", blocks, rank, limits))
        else:
            _offer(paint.stroke(ranks, BRUSH.value, blocks, BRUSH_RANK.value, limits))
        _DRAWN.set(_drawn()._replace(last=int(made["count"])))


def _clear() -> None:
    _write(np.zeros_like(_drawn().ranks))


def _edited(key: str) -> None:
    ranks, grid, *_ = _drawn()
    ranks = ranks.copy()
    for row, cells in widget_value(key)["edited_rows"].items():
        for column, value in cells.items():
            i, j = int(row), int(column)
            ranks[i, j] = min(max(int(value or 0), 0), grid.max_ranks[i, j])
    _offer(ranks)


def _current(grid: Grid) -> np.ndarray:
    empty = np.zeros(grid.blocks, dtype=np.int64)
    if not PAINT.value.strip():
        return empty
    try:
        return paint.from_text(PAINT.value, grid.blocks, grid.max_ranks)
    except ValueError as problem:
        st.warning(sentences.unreadable_map(problem))
        return empty


def draw(scene: Scene, rank: int) -> None:
    """Draw the box, where the grid is small enough to be painted."""
    st.header("Paint your own ranks", anchor=False)
    if len(scene.target.channels) > 1:
        st.info(sentences.COLOUR_PAINT)
    elif max(scene.grid.blocks) > LARGEST:
        st.info(sentences.too_fine(scene.grid.label, LARGEST))
    else:
        _box(scene, rank)


@st.fragment
def _box(scene: Scene, rank: int) -> None:
    # A stroke runs this function alone.
    address.write("what_if", SETTINGS, key="address_of_paint")
    st.caption(sentences.PAINT_INVITATION)
    grid, target = scene.grid, scene.target
    budget = budget_for_rank(grid.shape, rank)
    svd = compute.decompositions(scene)[0]
    maps = {
        name: svd.rank_map(name, budget)
        for name, family in FAMILIES.items()
        if family.fits(grid) and not family.spans_whole and family.from_spectra
    }
    _brushes(maps)
    ranks = _current(grid)
    made = strokes("paint_map")
    _DRAWN.set(_Drawn(ranks, grid, budget, int(made[-1]["count"]) if made else 0))
    own = svd.approximate(rank_map=ranks)
    _score(svd, maps, ranks, budget)
    painting(
        target,
        grid,
        ranks,
        own.dense().numpy(force=True),
        sentences.rebuilt(own.relative_error),
        key="paint_map",
        on_stroke=_stroke,
    )
    _take_away(scene, ranks, own.num_parameters, own.relative_error)


def _brushes(maps: dict[str, np.ndarray]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        controls.segments(BRUSH)
        controls.number(BRUSH_RANK, width=150)
    with st.container(horizontal=True):
        st.button("Clear", on_click=_clear, key="paint_clear", help="Start empty.")
        for name, found in maps.items():
            st.button(
                f"Fill like {name}",
                on_click=_write,
                args=(found,),
                key=f"paint_{name}",
                help=f"Take the ranks that {name} gives with your budget.",
            )


def _score(svd: Decomposition, maps: dict[str, np.ndarray], ranks: np.ndarray, budget: int) -> None:
    grid, spectra = svd.grid, svd.on(svd.grid).spectra
    used, error = int((ranks * grid.costs).sum()), spectra.relative_error(ranks)
    equal, best = (spectra.relative_error(maps[name]) for name in (Localized.name, Adaptive.name))
    with st.container(horizontal=True, gap="large"):
        st.metric(
            "Your error",
            format_error(error),
            width="content",
            help="‖W − Ŵ‖_F/‖W‖_F, W the target and Ŵ what your ranks rebuild: 0 is perfect, 1 is "
            "as bad as nothing. Each block is rebuilt as well as its rank allows (truncated SVD).",
        )
        st.metric("Parameters left", f"{budget - used:,}", width="content")
        st.metric(
            "Best error at this budget",
            format_error(best),
            width="content",
            help="adaptive spends where one parameter buys most energy. Where all blocks are of "
            "one size, no map of ranks with this budget does better.",
        )
    refused = _REFUSED.take()
    if refused:
        st.error(refused)
    proven = grid.costs.min() == grid.costs.max()
    sentence = sentences.painted(used, budget, error, (equal, best), proven=bool(proven))
    if used > budget:
        st.error(sentence)
    else:
        st.markdown(f"**{sentence}**")


def _take_away(scene: Scene, ranks: np.ndarray, used: int, error: float) -> None:
    """Offer the map as lines of Python, as a file, as text and as a table."""
    target, grid = scene.target, scene.grid
    with st.container(horizontal=True):
        code = snippets.painted(target, grid, ranks.tolist())
        if code:
            answers.python(code, key="paint_python")
        st.download_button(
            "Rank map, JSON",
            lambda: json.dumps(
                {
                    "target": target.id,
                    "sha256": target.sha256,
                    "row_edges": grid.row_edges,
                    "col_edges": grid.col_edges,
                    "rank_map": ranks.tolist(),
                    "num_parameters": used,
                    "relative_error": error,
                }
            ),
            f"{target.id}-rank-map.json",
            "application/json",
            on_click="ignore",
            key="paint_json",
            help="Grid and ranks as `approximate(W, grid=…, rank_map=…)` takes them.",
        )
    with st.expander("The same ranks as text and as a table"):
        controls.text(PAINT, max_chars=2000)
        _table(ranks, grid)


def _table(ranks: np.ndarray, grid: Grid) -> None:
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
