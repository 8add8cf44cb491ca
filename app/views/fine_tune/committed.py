"""What the committed experiment found for the task and the budget that are set."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app.shared import answers, experiment
from app.shared.words import format_error
from app.views.fine_tune import committed_words as words
from app.views.fine_tune import compute, snippets
from app.views.fine_tune.settings import GRID, RANK, TASK
from lolora_core.training.experiment.findings import compared, methods_table
from lolora_core.training.experiment.protocol import ASKED, RIVALS

__all__ = ["draw"]


def draw() -> None:
    """Draw the committed result, or say why there is none."""
    st.header("What the experiment found", anchor=False)
    found = experiment.committed()
    if found is None:
        st.caption(experiment.MISSING)
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
    st.markdown(
        _answer(found, table[~table["method"].isin(task["methods"])], rank), help=experiment.HOW
    )
    notes = [words.nearest(RANK.value, rank)] if rank != RANK.value else []
    if found["grid"] != GRID.value:
        notes.append(words.other_grid(found["grid"], GRID.value))
    if notes:
        st.caption(" ".join(notes))
    metric = f"test {task['metric']}"
    rows = [_row(row, metric, forgets=task["forgets"]) for row in table.to_dict("records")]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    answers.table(
        pd.DataFrame(rows),
        key="ft_experiment",
        columns={
            "method": text(
                help="full trains every weight, frozen the head alone: whatever the budget.",
                pinned=True,
            ),
            "test loss": text(
                help="Where the validation loss was lowest: mean ± standard deviation over the "
                "seeds."
            ),
            metric: text(help="At the same steps, mean over the seeds."),
            "stopped at": number(
                help="Step where the validation loss was lowest, mean over the seeds.",
                format="localized",
            ),
            "loss, last step": text(help="Test loss after the last step, mean over the seeds."),
            "old data": text(
                help="Accuracy that is left on what the base was made for: what was not forgotten."
            ),
            "learning rate": text(help="The best of a search on validation data, other seeds."),
            "parameters": number(
                help="Trainable parameters, those of the head included.", format="localized"
            ),
        },
        code=snippets.experiment_table(TASK.value, rank),
    )


def _row(row: Mapping[Hashable, Any], metric: str, *, forgets: bool) -> dict[str, object]:
    return {
        "method": row["method"],
        "test loss": f"{_said(row['loss'])} ± {_said(row['loss_sd'])}",
        metric: _said(row["metric"]),
        "stopped at": round(row["stopped_at"]),
        "loss, last step": _said(row["final_loss"]),
        # Where the base was made for nothing, there is nothing to keep.
        **({"old data": _said(row["retained"])} if forgets else {}),
        "learning rate": "–" if math.isnan(row["lr"]) else f"{row['lr']:g}",
        "parameters": row["num_parameters"],
    }


def _said(value: float) -> str:
    # A run that diverged has no number.
    return "–" if math.isnan(value) else format_error(value)


def _answer(found: Mapping[str, Any], structures: pd.DataFrame, rank: int) -> str:
    losses = {str(row["method"]): float(row["loss"]) for _, row in structures.iterrows()}
    answer = words.lowest(rank, losses, len(found["seeds"]))
    rows = compared(found, f"{ASKED}-{RIVALS[0]}")
    for row in rows[(rows["task"] == TASK.value) & (rows["rank"] == rank)].itertuples():
        said = words.outcome(row.first, row.second, row.outcome, row.mean, row.low, row.high)
        answer += f" {said}"
    return answer
