"""Your weights: choose family and budget, see error and size, download the adapter."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.shared import answers, progress
from app.shared import widgets as controls
from app.shared.notices import say_error
from app.shared.words import format_error
from app.views.your_weights import adapter_words, snippets
from app.views.your_weights import compute as compute_weights
from app.views.your_weights.archive import archive, folder_name
from app.views.your_weights.compute import Kept
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan
from app.views.your_weights.settings import FORMAT, KEEP, KEEP_ENERGY, SPEND, STORED
from lolora_core import FAMILIES
from lolora_core.checkpoints import Extraction

__all__ = ["draw"]

_LONG = 4.0


def _plan(rank: int, blocks: tuple[int, int]) -> tuple[AdapterPlan, str]:
    """Draw all choices, also the format: drawn before the work they stay in the link."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        family = controls.choice(KEEP, list(FAMILIES))
    with right, st.container(horizontal=True, vertical_alignment="bottom"):
        spend = controls.segments(SPEND)
        energy = 0.0
        if spend == "energy":
            energy = controls.number(KEEP_ENERGY, width=220)
        stored = controls.segments(STORED)
        form = controls.segments(FORMAT)
    return AdapterPlan(family, blocks, spend, rank, energy, stored), form


def _extracted(pair: Pair, plan: AdapterPlan) -> Kept | None:
    seconds = compute_weights.extraction_seconds(pair, plan)
    key = (pair.key, plan.key)
    if seconds == 0 or (seconds <= progress.QUICK and not pair.remote):
        return compute_weights.extracted(pair, plan)
    if progress.stopped("extract", key, "Stopped: no adapter was made."):
        return None
    if seconds > _LONG and not st.button(f"Make it, about {round(seconds)} s", key="extract"):
        return None
    return progress.with_stop(
        "extract", key, "Extracting", lambda show: compute_weights.extracted(pair, plan, show)
    )


def _sizes(pair: Pair, plan: AdapterPlan, kept: Kept) -> None:
    formats = (
        ("PEFT", adapter_words.holds(kept.exact), kept.exact.num_parameters, kept.exact.nbytes,
         kept.exact.relative_error),
        ("PEFT, truncated", adapter_words.holds(kept.truncated), kept.truncated.num_parameters,
         kept.truncated.nbytes, kept.truncated.relative_error),
        ("lolora_core", f"{plan.family}, exact", kept.extraction.adapters.num_parameters,
         kept.own_bytes, 0.0),
    )  # fmt: skip
    whole = pair.tuned_bytes
    rows = [
        {
            "format": form,
            "what it holds": words,
            "parameters": count,
            "size": adapter_words.file_size(size),
            "of tuned": None if whole is None else 100 * size / whole,
            "lost in this format": "nothing" if error == 0 else format_error(error),
        }
        for form, words, count, size, error in formats
    ]
    column = st.column_config
    answers.table(
        pd.DataFrame(rows),
        key="formats",
        columns={
            "format": column.TextColumn(help="What the file is for."),
            "what it holds": column.TextColumn(
                help="Blocks written as plain LoRA need the rank of the whole ΔŴ, so an exact "
                "LoRA may be larger than ΔW itself."
            ),
            "parameters": column.NumberColumn(help="Numbers in all factors.", format="localized"),
            "size": column.TextColumn(help="Of the factors; 1 kB is 1,000 bytes."),
            "of tuned": column.ProgressColumn(
                help="Size as a share of the file of tuned.",
                format="%.1f %%",
                min_value=0.0,
                max_value=100.0,
            ),
            "lost in this format": column.TextColumn(
                help="Relative error against the adapter, before rounding, over all its matrices. "
                "What the file leaves of ΔW is in the sentence above."
            ),
        },
    )


def _matrices(found: Extraction) -> None:
    frame = found.frame()
    column = st.column_config
    with st.expander(adapter_words.adapted(len(frame))):
        answers.table(
            pd.DataFrame(
                {
                    "matrix": frame["name"],
                    "largest rank": frame["rank"],
                    "global rank": frame["global_rank"],
                    "parameters": frame["num_parameters"],
                    "error": frame["relative_error"],
                }
            ),
            key="adapted",
            columns={
                "matrix": column.TextColumn(help="Name of the module in the model."),
                "largest rank": column.NumberColumn(help="Of a block."),
                "global rank": column.NumberColumn(help="Of hybrid's first term."),
                "parameters": column.NumberColumn(
                    help="Numbers in the factors of this matrix.", format="localized"
                ),
                "error": column.ProgressColumn(
                    help="‖ΔW − ΔŴ‖/‖ΔW‖, measured on what the file holds.",
                    format="%.3f",
                    min_value=0.0,
                    max_value=1.0,
                ),
            },
        )
        answers.table(
            pd.DataFrame(
                {
                    "tensor": list(found.skipped),
                    "‖change‖": [found.changes.get(name) for name in found.skipped],
                    "why it has no adapter": list(found.skipped.values()),
                }
            ),
            key="left_out",
            columns={
                "tensor": column.TextColumn(help="Name of the tensor in the file."),
                "why it has no adapter": column.TextColumn(
                    help="It keeps the value of the base, so its change is lost."
                ),
                "‖change‖": column.NumberColumn(
                    help="Norm of tuned − base, no unit; it counts in the error over the whole "
                    "tuned model. Empty where it is not known.",
                    format="%.3g",
                ),
            },
        )


def draw(
    pair: Pair, moved: pd.DataFrame, rank: int, blocks: tuple[int, int]
) -> tuple[AdapterPlan, str] | None:
    """Draw the choice, what it costs, and the download; return plan and format of what is made."""
    st.header("Take the adapter along", anchor=False)
    plan, form = _plan(rank, blocks)
    try:
        kept = _extracted(pair, plan)
    except (ValueError, OSError) as problem:
        say_error(problem)
        return None
    if kept is None:
        return None
    try:
        with st.spinner("Packing …"):
            file = archive(pair, plan, form)
    except (ValueError, OSError) as problem:
        say_error(problem)
        return None
    found = file.stored
    st.markdown(
        adapter_words.adapter(
            plan.family,
            form,
            (len(found.rows), len(moved)),
            (found.relative_error, found.whole_relative_error),
            (found.adapters.num_parameters, file.num_parameters),
            (len(file.data), pair.tuned_bytes),
        ),
        help=adapter_words.HOW_MEASURED,
    )
    _sizes(pair, plan, kept)
    name = folder_name(pair, plan, form)
    st.download_button(
        f"Download for {form}: zip, {adapter_words.file_size(len(file.data))}",
        lambda: file.data,
        f"{name}.zip",
        "application/zip",
        on_click="ignore",
        key="adapter",
        type="primary",
    )
    st.code(adapter_words.loader(name, form), language="python")
    st.caption(adapter_words.packed(_share(pair, kept)))
    answers.python(snippets.adapter(pair.code, plan, form), key="adapter_python")
    _matrices(found)
    return plan, form


def _share(pair: Pair, kept: Kept) -> float:
    adapted = sum(row["rows"] * row["cols"] for row in kept.extraction.rows)
    return float(adapted / sum(m * n for m, n in pair.shapes.values()))
