"""What the committed experiment found for the task and the budget that are set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app.shared import answers
from app.views.fine_tune import committed_words as words
from app.views.fine_tune import compute, snippets
from app.views.fine_tune.settings import GRID, RANK, TASK
from lolora_core.training.experiment.findings import compared, methods_table
from lolora_core.training.experiment.protocol import ASKED, RIVALS

__all__ = ["draw"]


def draw() -> None:
    """Draw the committed result, or say why there is none."""
    st.header("What the experiment found", anchor=False)
    found = compute.experiment()
    if found is None:
        st.caption(words.NO_FILE)
        return
    task = found["tasks"].get(TASK.value)
    rank = compute.measured_rank(found, TASK.value, RANK.value)
    if task is not None and not task["learnable"]:
        lead = task["full_minus_frozen"]
        st.markdown(words.dropped(lead["mean"], lead["low"], lead["high"]))
    elif task is None or rank is None:
        st.markdown(words.NOT_ASKED)
    else:
        _cell(found, task, rank)


def _cell(found: Mapping[str, Any], task: Mapping[str, Any], rank: int) -> None:
    table = methods_table(found, TASK.value, rank)
    st.markdown(_answer(found, table[~table["method"].isin(task["methods"])], rank), help=words.HOW)
    notes = [words.nearest(RANK.value, rank)] if rank != RANK.value else []
    if found["grid"] != GRID.value:
        notes.append(words.other_grid(found["grid"], GRID.value))
    if notes:
        st.caption(" ".join(notes))
    metric = f"test {task['metric']}"
    shown = table[
        ["method", "loss", "loss_sd", "metric", "stopped_at", "final_loss", "retained", "lr",
         "num_parameters"]
    ].rename(
        columns={
            "loss": "test loss", "loss_sd": "±", "metric": metric, "stopped_at": "stopped at",
            "final_loss": "loss, last step", "retained": "old data", "lr": "learning rate",
            "num_parameters": "parameters",
        }
    )  # fmt: skip
    number = st.column_config.NumberColumn
    answers.table(
        # Where the base was made for nothing, there is nothing to keep.
        shown if task["forgets"] else shown.drop(columns="old data"),
        key="ft_experiment",
        columns={
            "method": st.column_config.TextColumn(
                help="full trains every weight, frozen the head alone: whatever the budget.",
                pinned=True,
            ),
            "test loss": number(
                format="%.3g",
                help="Mean over the seeds, each where its validation loss was lowest.",
            ),
            "±": number(format="%.2g", help="Standard deviation of the test loss over the seeds."),
            metric: number(format="%.3g", help="At the same steps, mean over the seeds."),
            "stopped at": number(
                format="%.0f",
                help="Step where the validation loss was lowest, mean over the seeds.",
            ),
            "loss, last step": number(format="%.3g", help="Test loss after the last step."),
            "old data": number(
                format="%.3g",
                help="Accuracy that is left on what the base was made for: what was not forgotten.",
            ),
            "learning rate": number(
                format="%.3g", help="The best of a search on validation data, with other seeds."
            ),
            "parameters": number(
                format="localized", help="Trainable parameters, those of the head included."
            ),
        },
        code=snippets.experiment_table(TASK.value, rank),
    )


def _answer(found: Mapping[str, Any], structures: pd.DataFrame, rank: int) -> str:
    first, second = (
        (str(row["method"]), float(row["loss"])) for _, row in structures.head(2).iterrows()
    )
    answer = words.lowest(rank, first, second, len(found["seeds"]))
    rows = compared(found, f"{ASKED}-{RIVALS[0]}")
    for row in rows[(rows["task"] == TASK.value) & (rows["rank"] == rank)].itertuples():
        said = words.outcome(row.first, row.second, row.outcome, row.mean, row.low, row.high)
        answer += f" {said}"
    return answer
