"""The parts of Your weights: survey, answer, maps, the picked matrix, the table."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from app.shared import answers, progress
from app.shared import widgets as controls
from app.shared.charts import Figure
from app.shared.notices import say_error, say_notes
from app.shared.picking import PICTURE, picked_cell
from app.shared.uploads import look_at
from app.views.your_weights import compute as compute_weights
from app.views.your_weights import figures, pairs, sentences, snippets
from app.views.your_weights.pairs import Pair
from app.views.your_weights.settings import MATRIX
from lolora_core.checkpoints import COLUMN_HELP, Survey, pooled_errors

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

    def run(show: progress.Progress | None = None) -> Survey:
        return compute_weights.surveyed(pair, rank, blocks, show, intruders=intruders)

    try:
        seconds = compute_weights.survey_seconds(pair, rank, blocks, intruders)
        if seconds <= progress.QUICK and not pair.remote:
            return run()
        return progress.with_stop("survey", key, "Surveying", run)
    except (ValueError, OSError) as problem:
        say_error(problem)
        # Rows that were done before it are kept.
        return compute_weights.partial(pair, rank, blocks, intruders)


def answer(found: Survey, moved: pd.DataFrame, rank: int, blocks: Blocks) -> None:
    """Say where the change lives and which structure holds it best."""
    say_notes(found.notes)
    if moved.empty:
        return
    leads = f"{sentences.winner(pooled_errors(moved), rank, blocks)}"
    also = sentences.blocks_win(figures.marked(moved))
    st.markdown(f"{leads} {also}".rstrip(), help=sentences.HOW_MEASURED)
    st.markdown(sentences.where(moved), help=sentences.HOW_MOVED)


def _pick(figure: str) -> None:
    cell = picked_cell(figure)
    if cell:
        MATRIX.set(str(cell[0]))


def _map(title: str, figure: Figure, key: str, caption: str, code: str) -> None:
    """Draw a map in which a click picks a matrix."""
    with st.container():
        st.header(title, anchor=False)
        answers.chart(
            figure,
            key=key,
            caption=caption,
            code=code,
            on_select=lambda: _pick(key),
            selection_mode="points",
            config=PICTURE,
        )


def maps(pair: Pair, frame: pd.DataFrame, picked: str, rank: int, blocks: Blocks) -> None:
    """Draw which family leads on each matrix, and by how much blocks differ from LoRA."""
    marks = figures.marked(frame)
    with controls.side_by_side("maps"):
        _map(
            "Best structure of each matrix",
            figures.structure_figure(marks, picked),
            "structure_map",
            f"{sentences.cells(marks)} {sentences.MAP}",
            snippets.structures(pair.code, rank, blocks),
        )
        _map(
            "Blocks against LoRA",
            figures.ratio_figure(marks, picked),
            "ratio_map",
            f"{sentences.ratios(marks)} {sentences.RATIO}",
            snippets.blocks_against_lora(pair.code, rank, blocks),
        )


def matrix_choice(moved: pd.DataFrame) -> str:
    """Draw the choice of a matrix; return its name."""
    names = [str(name) for name in moved["name"]]
    # No name of this pair: the browser keeps the words of a choice when the pair changes.
    words = {"": "the one that changed most"}
    picked = controls.choice(MATRIX, ["", *names], format_func=lambda name: words.get(name, name))
    return picked or names[0]


def open_picked(pair: Pair, frame: pd.DataFrame, name: str) -> None:
    """Say what was measured of the picked matrix, and open it on the other pages."""
    row = frame[frame["name"] == name].iloc[0]
    target = pairs.update_target(pair, name)
    with st.container(horizontal=True):
        for page, title in (("compare", "Compare"), ("what_if", "What if")):
            st.button(
                f"Open in {title}",
                on_click=look_at,
                args=(target, f"views/{page}/page.py"),
                key=f"open_{page}",
                type="primary" if page == "compare" else "secondary",
            )
    st.caption(sentences.picked(row), help=sentences.PICKED)


def downloads(pair: Pair, found: Survey, frame: pd.DataFrame, rank: int, blocks: Blocks) -> None:
    """List what has no row; offer the survey as files, and the command line that makes them."""
    if found.skipped:
        with st.expander(f"{len(found.skipped)} tensors are not surveyed, and why"):
            answers.table(
                pd.DataFrame(list(found.skipped.items()), columns=["tensor", "reason"]),
                key="skipped",
                columns={
                    "tensor": st.column_config.TextColumn(help=COLUMN_HELP["name"]),
                    "reason": st.column_config.TextColumn(help=sentences.WHY_NOT),
                },
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
        if pair.paths:
            with st.popover("As a command"):
                st.caption(sentences.COMMAND)
                st.code(snippets.command(*pair.paths, rank, blocks), language="bash")
