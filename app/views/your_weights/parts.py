"""The parts of Your weights: survey, answer, maps, the picked matrix, the table."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from app.shared import progress
from app.shared import widgets as controls
from app.shared.picking import PICTURE, picked_cell
from app.shared.uploads import look_at
from app.shared.words import as_text
from app.views.your_weights import (
    compute as compute_weights,
)
from app.views.your_weights import (
    figures as figures_weights,
)
from app.views.your_weights import (
    pairs as checkpoint_pairs,
)
from app.views.your_weights import (
    sentences as prose_weights,
)
from app.views.your_weights.pairs import Pair
from app.views.your_weights.settings import MATRIX
from lolora_core.checkpoints import Survey

__all__ = ["answer", "downloads", "maps", "open_picked", "surveyed"]

Blocks = tuple[int, int]


def surveyed(pair: Pair, rank: int, blocks: Blocks, intruders: int) -> Survey | None:
    """Survey what is new with a bar and Stop; after a Stop, what is done; None for nothing."""
    key = (pair.key, rank, blocks, intruders)
    known = compute_weights.partial(pair, rank, blocks, intruders)
    if known is not None and known.complete:
        return known
    done = len(known.rows) if known else 0
    words = f"Stopped: {done} of {len(pair.names)} matrices are done and shown."
    if progress.stopped("survey", key, words):
        return known
    try:
        return progress.with_stop(
            "survey",
            key,
            "Surveying",
            lambda show: compute_weights.surveyed(pair, rank, blocks, show, intruders=intruders),
        )
    except (ValueError, OSError) as problem:
        st.error(as_text(f"{problem}".rstrip(".") + "."))
        return known


def answer(found: Survey, moved: pd.DataFrame, rank: int, blocks: Blocks) -> None:
    """Say where the change lives and which structure holds it best."""
    for note in found.notes:
        st.warning(as_text(f"{note[:1].upper()}{note[1:]}."))
    if moved.empty:
        return
    pooled = compute_weights.pooled_errors(moved)
    st.markdown(
        f"{prose_weights.where(moved)} {prose_weights.winner(pooled, rank, blocks)}",
        help="Every matrix has the budget r·(m + n). Errors are √(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²) over all "
        "matrices that changed, with the best approximation of each family; hybrid is not among "
        "them, because a survey reads singular values only. Where the grid does not fit a "
        "matrix, global holds it.",
    )


def _pick(figure: str) -> None:
    cell = picked_cell(figure)
    if cell:
        MATRIX.set(str(cell[0]))


def maps(frame: pd.DataFrame, picked: str, rank: int, blocks: Blocks) -> None:
    """Draw which family leads on each matrix, and by how much blocks differ from LoRA."""
    marks = figures_weights.marked(frame)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Best structure of each matrix", anchor=False)
        st.plotly_chart(
            figures_weights.structure_figure(marks, picked),
            key="structure_map",
            on_select=lambda: _pick("structure_map"),
            selection_mode="points",
            config=PICTURE,
        )
        st.caption(
            f"The family with the lowest error at r = {rank} on {blocks[0]}×{blocks[1]} blocks, "
            f"layers × kinds of matrix; = is a tie, · did not change. "
            f"{prose_weights.cells(marks)} Click a cell to pick the matrix."
        )
    with right:
        st.header("Blocks against LoRA", anchor=False)
        st.plotly_chart(
            figures_weights.ratio_figure(marks, picked),
            key="ratio_map",
            on_select=lambda: _pick("ratio_map"),
            selection_mode="points",
            config=PICTURE,
        )
        st.caption(
            "Error of the best family with blocks as a multiple of the error of global: below 1 "
            "blocks gain over LoRA, above 1 they lose; = where LoRA is exact. "
            f"{prose_weights.ratios(marks)}"
        )


def matrix_choice(moved: pd.DataFrame) -> str:
    """Draw the choice of a matrix; return its name."""
    names = [str(name) for name in moved["name"]]
    # No name of this pair: the browser keeps the words of a choice when the pair changes.
    words = {"": "the one with the largest ‖ΔW‖"}
    picked = controls.choice(MATRIX, ["", *names], format_func=lambda name: words.get(name, name))
    return picked or names[0]


def open_picked(pair: Pair, frame: pd.DataFrame, name: str) -> None:
    """Say what was measured of the picked matrix, and open it on the other pages."""
    row = frame[frame["name"] == name].iloc[0]
    target = checkpoint_pairs.update_target(pair, name)
    with st.container(horizontal=True):
        for page, title in (("compare", "Compare"), ("what_if", "What if")):
            st.button(
                f"Open in {title}",
                on_click=look_at,
                args=(target, f"views/{page}/page.py"),
                key=f"open_{page}",
                type="primary" if page == "compare" else "secondary",
            )
    st.caption(prose_weights.picked(row))


def downloads(found: Survey, frame: pd.DataFrame) -> None:
    """List what has no row, and offer the survey as files."""
    if found.skipped:
        with st.expander(f"{len(found.skipped)} tensors are not surveyed, and why"):
            st.dataframe(
                pd.DataFrame(list(found.skipped.items()), columns=["tensor", "reason"]),
                hide_index=True,
                width="stretch",
                key="skipped",
            )

    def as_json() -> str:
        rows = json.loads(frame.to_json(orient="records"))
        return json.dumps({"rows": rows, "skipped": found.skipped, "notes": found.notes}, indent=1)

    with st.container(horizontal=True):
        for label, name, mime, make in (
            ("Survey, CSV", "survey.csv", "text/csv", lambda: frame.to_csv(index=False)),
            ("Survey, JSON", "survey.json", "application/json", as_json),
        ):
            st.download_button(label, make, name, mime, on_click="ignore")
