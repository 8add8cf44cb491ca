"""The committed training experiment, read once for all pages, and what they say of it alike."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lolora_core.training.experiment.findings import read_experiment

__all__ = ["HOW", "MISSING", "committed"]

MISSING = (
    "The results of the training experiment lie in the repository, in docs/; they are not part of "
    "the installed package."
)
#: What stands behind a verdict.
HOW = (
    "Every method was trained with the same examples in the same order, at a learning rate chosen "
    "on other data, and stopped where its validation loss was lowest. Better and worse: the "
    "paired difference over the seeds is larger than chance, corrected for all comparisons of the "
    "experiment, and larger than a hundredth of the frozen base's loss. Even: the whole 95 % "
    "t-interval lies within that hundredth."
)


@st.cache_resource(show_spinner=False)
def committed() -> dict[str, Any] | None:
    """Return what the committed experiment found; None where its file is not installed."""
    try:
        return read_experiment()
    except FileNotFoundError:
        return None
