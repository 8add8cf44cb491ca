"""The committed training experiment on the page: verdicts, who trains best, one task closely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.shared import answers, experiment, learning
from app.shared import widgets as controls
from app.views.scoreboard import figures, sentences, snippets
from app.views.scoreboard.settings import TRAINED_RANK, TRAINED_TASK, TRAINED_VARIANTS
from lolora_core.training.experiment.findings import (
    best_trained,
    retention,
    sensitivity,
    verdicts,
)
from lolora_core.training.variants import VARIANTS

__all__ = ["draw"]

_NUMBER = st.column_config.NumberColumn


def draw() -> None:
    """Draw the same question for fine-tuning."""
    st.header("And when it is trained?", anchor=False)
    found = experiment.committed()
    if found is None:
        st.info(experiment.MISSING)
        return
    _verdicts(found)
    _winners(found)
    _one_task(found)


def _verdicts(found: Mapping[str, Any]) -> None:
    table = verdicts(found)
    for row in table[table["stated"].str.contains("2506.00236")].to_dict("records"):
        said = {str(name): value for name, value in row.items()}
        st.markdown(sentences.trained_claim(said, len(found["seeds"])), help=experiment.HOW)
    lost = [name for name, task in found["tasks"].items() if not task["learnable"]]
    if lost:
        st.caption(sentences.dropped(lost))
    shown = table.drop(columns=["question", "tasks", "value"]).rename(
        columns={"mean": "difference", "low": "from", "high": "to"}
    )
    answers.table(
        shown,
        key="verdicts_table",
        columns={
            "cells": _NUMBER(help="Pairs of a task and a budget."),
            "better": _NUMBER(help="Cells where the claim came true, larger than chance."),
            "worse": _NUMBER(help="Cells where the opposite did, larger than chance."),
            "even": _NUMBER(help="Cells where any difference is too small to matter."),
            "unclear": _NUMBER(help="Cells where the seeds do not agree enough to say."),
            "difference": _NUMBER(
                format="%.3g",
                help="Mean over the cells: of the test loss, as a share of the frozen base's; for "
                "what is forgotten, of the accuracy on the old data.",
            ),
            "from": _NUMBER(format="%.3g", help="Lower end of its 95 % interval over the seeds."),
            "to": _NUMBER(format="%.3g", help="Upper end of its 95 % interval over the seeds."),
        },
        code=snippets.verdicts(),
    )


def _winners(found: Mapping[str, Any]) -> None:
    best = best_trained(found)
    answers.chart(
        figures.trained_figure(best),
        key="trained_wins",
        caption=f"{sentences.trained(best)} {sentences.TRAINED}",
        code=snippets.trained(),
    )
    frame = best.rename(
        columns={
            "rank": "rank r",
            "num_parameters": "parameters",
            "winner": "lowest loss",
            "loss": "test loss",
            "runner_up": "next",
            "runner_up_loss": "its test loss",
            "low": "from",
            "high": "to",
            "clear": "larger than chance",
        }
    )
    answers.table(
        frame,
        key="trained_table",
        columns={
            "parameters": _NUMBER(format="localized", help="Trained numbers, with the head."),
            "test loss": _NUMBER(format="%.3g", help="Mean over the seeds, on test examples."),
            "its test loss": _NUMBER(format="%.3g", help="Of the next family."),
            "difference": _NUMBER(format="%.3g", help="Mean lead of the first over the next."),
            "from": _NUMBER(format="%.3g", help="Lower end of the 95 % interval of the lead."),
            "to": _NUMBER(format="%.3g", help="Upper end of the 95 % interval of the lead."),
            "larger than chance": st.column_config.CheckboxColumn(
                help="Whether the interval leaves out 0."
            ),
        },
        code=snippets.trained(),
    )
    answers.csv(best, "Training, CSV", "trained.csv", key="trained_csv")


def _one_task(found: Mapping[str, Any]) -> None:
    st.header("One task closely", anchor=False)
    cells = [(cell["task"], cell["rank"]) for cell in found["results"]]
    left, right = st.columns(2, gap="large")
    with left:
        task = controls.choice(TRAINED_TASK, list(dict.fromkeys(name for name, _ in cells)))
    with right:
        rank = controls.choice(TRAINED_RANK, sorted({r for name, r in cells if name == task}))
    variants = controls.toggle(TRAINED_VARIANTS)
    left, right = st.columns(2, gap="large")
    curves, kept = (
        rows if variants else rows[~rows["method"].isin(list(VARIANTS))]
        for rows in (sensitivity(found, task, rank), retention(found, task, rank))
    )
    with left:
        answers.chart(
            learning.rates_figure(curves),
            key="trained_rates",
            caption=f"{learning.rates_caption(curves)} {sentences.ONE_TASK}",
            code=snippets.one_task("sensitivity", task, rank),
        )
    with right:
        if kept.empty:
            st.info(sentences.NOTHING_OLD)
            return
        answers.chart(
            learning.retention_figure(kept),
            key="trained_kept",
            caption=f"{learning.retention_caption(kept)} {sentences.RETAINED}",
            code=snippets.one_task("retention", task, rank),
        )
