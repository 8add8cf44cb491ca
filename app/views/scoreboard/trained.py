"""The committed training experiment on the page: who trains best, and whether that is clear."""

from __future__ import annotations

import streamlit as st

from app.shared import answers
from app.views.scoreboard import figures, sentences, snippets
from lolora_core.explore.scoreboard import CLAIMED, RIVALS
from lolora_core.training.experiment.findings import best_trained, read_experiment, trained_duels

__all__ = ["draw"]

_HELP = (
    "Every method was trained with the same examples in the same order, at a learning rate chosen "
    "on other data. Clear, or larger than chance: the 95 % t-interval of the difference, paired by "
    "seed, leaves out 0."
)


def draw() -> None:
    """Draw the same question for fine-tuning."""
    st.header("And when it is trained?", anchor=False)
    try:
        found = read_experiment()
    except FileNotFoundError:
        st.info(sentences.NO_EXPERIMENT)
        return
    st.markdown(
        sentences.trained_claim(trained_duels(found, CLAIMED, RIVALS[0]), len(found["seeds"])),
        help=_HELP,
    )
    answers.python(snippets.trained_duel(RIVALS[0]), key="trained_duel_python")
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
    number = st.column_config.NumberColumn
    answers.table(
        frame,
        key="trained_table",
        columns={
            "parameters": number(format="localized", help="Trained numbers, with the head."),
            "test loss": number(format="%.3g", help="Mean over the seeds, on test examples."),
            "its test loss": number(format="%.3g", help="Of the next family."),
            "difference": number(format="%.3g", help="Mean lead of the first over the next."),
            "from": number(format="%.3g", help="Lower end of the 95 % interval of the lead."),
            "to": number(format="%.3g", help="Upper end of the 95 % interval of the lead."),
            "larger than chance": st.column_config.CheckboxColumn(
                help="Whether the interval leaves out 0."
            ),
        },
        code=snippets.trained(),
    )
    answers.csv(best, "Training, CSV", "trained.csv", key="trained_csv")
