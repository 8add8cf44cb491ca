"""Sentences about the error of a whole pair at every budget. No streamlit here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.shared.words import format_error
from app.views.your_weights.sentences import structure

__all__ = ["WHAT_A_KNEE_IS", "knee", "pair_curve"]

WHAT_A_KNEE_IS = (
    "Draw a straight line from the first point of the curve to the last, with both axes scaled to "
    "0…1. The knee is the point farthest below that line (the Kneedle method, 2011). It moves a "
    "little with where the curve ends: here, where storing every entry of ΔW costs as much."
)


def knee(
    family: str, blocks: tuple[int, int], ranks: Sequence[int], errors: Sequence[float], at: int
) -> str:
    """Say where a curve has its knee, and what budget brings before and after it.

    Examples
    --------
    >>> knee("global", (8, 8), [1, 2, 3, 4], [0.9, 0.4, 0.35, 0.3], 1)
    'The knee is at **r = 2**: up to there the error of global (plain LoRA) falls to 0.400. Twice \
that budget brings it only to 0.300.'
    >>> knee("global", (8, 8), [1, 2, 3], [0.9, 0.6, 0.3], 0)
    'There is no knee: each step of the budget brings about as much as the one before.'
    """
    if at == 0 or at == len(ranks) - 1:
        return "There is no knee: each step of the budget brings about as much as the one before."
    text = (
        f"The knee is at **r = {ranks[at]}**: up to there the error of "
        f"{structure(family, blocks)} falls to {format_error(errors[at])}."
    )
    twice = 2 * ranks[at]
    if twice > ranks[-1]:
        return f"{text} The rest of the budget, up to r = {ranks[-1]}, brings it to " + (
            f"{format_error(errors[-1])}."
        )
    later = errors[int(np.searchsorted(ranks, twice, side="right")) - 1]
    return f"{text} Twice that budget brings it only to {format_error(later)}."


def pair_curve(count: int, last: int) -> str:
    """Say what the chart of a pair shows.

    Examples
    --------
    >>> pair_curve(15, 53)
    'What is left of the change in all 15 matrices together, from r = 1 to 53, where storing the \
change itself costs as much. ◆ is the knee of the best line, the dotted line is your budget.'
    """
    them = "the one matrix" if count == 1 else f"all {count} matrices together"
    return (
        f"What is left of the change in {them}, from r = 1 to {last}, where storing the change "
        "itself costs as much. ◆ is the knee of the best line, the dotted line is your budget."
    )
