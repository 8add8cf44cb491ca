"""The search for learning rates, in plain words. No streamlit here."""

from __future__ import annotations

from collections.abc import Sequence

from app.shared.words import join_words

__all__ = [
    "BEGUN",
    "IN_USE",
    "KNOWN",
    "ONE_SEED",
    "STOPPED",
    "WAITS",
    "WHY",
    "asked",
    "diverged",
    "failed",
    "shorter",
]

WHY = (
    "How well a method trains depends on its learning rate, and each has a best one of its own. "
    "Where a curve is lowest lies the best rate; a wide valley forgives a poor choice. A race is "
    "fair where each method runs at its best."
)
BEGUN = "Not all rates are tried yet."
STOPPED = "Stopped. What was found until then is shown."
WAITS = "The search waits until the race has ended."
ONE_SEED = (
    "Loss: the lowest on validation data during a run. From one seed: with another, a neighbouring "
    "rate may be as good."
)
IN_USE = "The next race uses these rates: they stand under “Learning rates” in the sidebar."
KNOWN = (
    "Of the methods that are picked. Loss: the lowest on validation data during a run, mean over "
    "the seeds of the search."
)


def asked(methods: Sequence[str], low: float, high: float, steps: int, seed: int) -> str:
    """Say what the button does.

    Examples
    --------
    >>> asked(["global", "full"], 0.001, 0.1, 400, 0)
    'Trains global and full with seed 0 at rates from 0.001 to 0.1, each about 3 times the last, \
and further out until the best lies inside. Each run makes 400 steps, or fewer where all would \
take more than about a minute.'
    """
    named = join_words(methods) if methods else "the methods that are picked"
    return (
        f"Trains {named} with seed {seed} at rates from {low:g} to {high:g}, each about 3 times "
        f"the last, and further out until the best lies inside. Each run makes {steps:,} steps, "
        "or fewer where all would take more than about a minute."
    )


def shorter(steps: int, wanted: int) -> str:
    """Say that runs are shorter than those of a race.

    Examples
    --------
    >>> shorter(20, 80)
    'Each run makes 20 steps in place of 80, so that all take about a minute. Over more steps a \
lower rate is often better.'
    """
    return (
        f"Each run makes {steps:,} steps in place of {wanted:,}, so that all take about a minute. "
        "Over more steps a lower rate is often better."
    )


def failed(reason: str) -> str:
    """Say that a search ended by an error.

    Examples
    --------
    >>> failed("CUDA out of memory")
    'The search ended: CUDA out of memory. What was found until then is kept.'
    """
    return f"The search ended: {reason}. What was found until then is kept."


def diverged(methods: Sequence[str]) -> str:
    """Say which methods have no rate at all.

    Examples
    --------
    >>> diverged(["full"])
    'full diverges at every rate that was tried.'
    """
    verb = "diverges" if len(methods) == 1 else "diverge"
    return f"{join_words(methods)} {verb} at every rate that was tried."
