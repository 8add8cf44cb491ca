"""Two adapters at once, on Your weights: upload, verdict, table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.shared import answers, held, progress
from app.shared.host import host
from app.shared.notices import say_error, say_notes
from app.shared.pool import unseen
from app.shared.settings import Slot
from app.shared.words import as_text
from app.views.your_weights import overlap_words, overlaps, sentences, snippets
from app.views.your_weights.overlaps import Files
from lolora_core.checkpoints import OVERLAP_HELP, Overlap

__all__ = ["draw"]

#: The files of A and of B.
_ADAPTERS: Slot[tuple[Files, ...]] = Slot("two_adapters", ())

#: Headings of the table, each with its column of `Overlap.frame`.
_COLUMNS = {
    "matrix": "name",
    "outputs": "rows",
    "inputs": "cols",
    "rank of A": "first_rank",
    "rank of B": "second_rank",
    "‖A‖": "first_norm",
    "‖B‖": "second_norm",
    "‖A + B‖": "sum_norm",
    "cosine": "cosine",
    "columns shared": "column_overlap",
    "columns by chance": "column_random",
    "largest cosine of columns": "column_largest_cosine",
    "mean cosine of columns": "column_mean_cosine",
    "rows shared": "row_overlap",
    "rows by chance": "row_random",
    "largest cosine of rows": "row_largest_cosine",
    "mean cosine of rows": "row_mean_cosine",
}


def draw() -> None:
    """Draw the part: what takes the files, then what was found."""
    st.header("Two adapters at once", anchor=False)
    try:
        found = _found(_files())
    except (ValueError, OSError) as problem:
        say_error(problem)
        return
    if found is None:
        return
    say_notes(found.notes)
    st.markdown(as_text(found.verdict), help=overlap_words.CLASH)
    if found.rows:
        _table(found.frame(), snippets.overlap(*overlaps.names(_ADAPTERS.value)))
    _rest(found)


def _files() -> tuple[Files, ...]:
    uploads: list[list[Any]] = []
    for column, letter in zip(st.columns(2), "AB", strict=True):
        uploads.append(
            column.file_uploader(
                f"Adapter {letter}",
                type=["safetensors", "json"],
                accept_multiple_files=True,
                key=f"adapter_{letter.lower()}",
                max_upload_size=host().max_upload_mb,
                help=overlap_words.ADAPTER_FILES,
            )
        )
    if all(uploads):
        _ADAPTERS.set((_held("adapter_a", uploads[0]), _held("adapter_b", uploads[1])))
    elif any(uploads):
        st.info(overlap_words.OTHER_ADAPTER)
        return ()
    elif not _ADAPTERS.value:
        st.info(overlap_words.TWO_ADAPTERS)
    return _ADAPTERS.value


def _held(uploader: str, files: list[Any]) -> Files:
    found = held.take(uploader, files, sentences.TOO_LARGE)
    return tuple(sorted(found, key=lambda file: file.identity))


def _found(files: tuple[Files, ...]) -> Overlap | None:
    key = tuple(file.key for held_files in files for file in held_files)
    if not files or progress.stopped("overlap", key, overlap_words.STOPPED):
        return None
    first, second = files
    if overlaps.small(first, second):
        return overlaps.compared(first, second, unseen)
    return progress.with_stop(
        "overlap", key, "Comparing", lambda show: overlaps.compared(first, second, show)
    )


def _table(frame: pd.DataFrame, code: str) -> None:
    shown = pd.DataFrame({heading: frame[column] for heading, column in _COLUMNS.items()})
    shown["matrix"] = [sentences.module_name(str(name)) for name in shown["matrix"]]
    column = st.column_config
    whole = ("outputs", "inputs", "rank of A", "rank of B")
    answers.table(
        shown,
        key="overlaps",
        columns={
            heading: column.TextColumn(pinned=True, help=OVERLAP_HELP[key])
            if key == "name"
            else column.NumberColumn(
                help=OVERLAP_HELP[key], format="localized" if heading in whole else "%.3g"
            )
            for heading, key in _COLUMNS.items()
        },
        code=code,
    )
    answers.csv(frame, "Comparison, CSV", "overlap.csv")


def _rest(found: Overlap) -> None:
    left = {
        **dict.fromkeys(found.only_first, "only in A"),
        **dict.fromkeys(found.only_second, "only in B"),
        **found.skipped,
    }
    if left:
        with st.expander(f"{len(left)} tensors are not compared, and why"):
            answers.table(
                pd.DataFrame(list(left.items()), columns=["tensor", "reason"]),
                key="not_compared",
                columns={
                    "tensor": st.column_config.TextColumn(help=OVERLAP_HELP["name"]),
                    "reason": st.column_config.TextColumn(help=overlap_words.WHY_NOT),
                },
            )
