"""The sentences of Start."""

from __future__ import annotations

from typing import NamedTuple

from app.shared.words import format_apart, percent
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.explore.compare import TIE

__all__ = ["AREAS", "DOORS", "ERROR", "PAPER", "QUESTION", "Door", "answer", "lesson", "why_care"]

QUESTION = (
    "A matrix is a table of numbers: a photograph, or one layer of a neural network. You may keep "
    "only a few numbers in its place. **Which way of spending them comes closest to the matrix? "
    "And which way learns best when a network is trained?**"
)
PAPER = (
    "[LoRA](https://arxiv.org/abs/2106.09685) (2021) lays two thin strips over the whole matrix. "
    "[Localized LoRA](https://arxiv.org/abs/2506.00236) (2025) cuts the matrix into blocks, gives "
    "each block small strips of its own, and reports a lower error for as many numbers. This "
    "program measures when that is so."
)
AREAS = (
    "Under each picture you see its numbers as an area. The target is all of them. Global keeps "
    "one tall strip B and one wide strip A; the product B·A is the picture above. Localized cuts "
    "the same area into small strips, two for each block."
)
ERROR = (
    "The relative error ‖W − Ŵ‖_F/‖W‖_F: how far the picture Ŵ is from the target W, as a share of "
    "the target. 0 is exact. Both pictures are the best that their strips can make."
)


class Door(NamedTuple):
    """What stands at the door to a page."""

    act: str
    about: str


#: By the page's path in the URL, in the order in which they are offered.
DOORS: dict[str, Door] = {
    "compare": Door("See it", "One matrix, one budget, every structure side by side."),
    "what_if": Door("Explore it", "Every grid and every budget at once: who wins where."),
    "fine_tune": Door("Train it", "Structures race on one task, live in your browser."),
    "your_weights": Door("Bring your own", "Two checkpoints in, the smallest adapter out."),
    "lessons": Door("Learn it", "Short lessons: guess first, then let the program answer."),
    "theory": Door("Prove it", "Each statement with a proof, checked on random matrices."),
    "scoreboard": Door("Count it", "All matrices, grids and budgets in one table."),
}


def _rounded(count: int) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,}"


def why_care(side: int, rank: int) -> str:
    """Say what a low-rank update saves on a layer with `side` rows and columns.

    Examples
    --------
    >>> why_care(4096, 8)[:89]
    'One layer of a language model with 4,096 × 4,096 entries holds 16.8 million numbers. LoRA'
    """
    entries, kept = side * side, budget_for_rank((side, side), rank)
    return (
        f"One layer of a language model with {side:,} × {side:,} entries holds "
        f"{_rounded(entries)} numbers. LoRA of rank {rank} does not touch them and learns "
        f"{_rounded(kept)} new ones, {percent(kept / entries)} of that. Whether these few are well "
        "spent decides what the model can learn."
    )


def lesson(title: str, minutes: int) -> str:
    """Return the line of a lesson in a list.

    Examples
    --------
    >>> lesson("Many blocks", 8)
    '8 minutes: **Many blocks**'
    """
    return f"{minutes} minutes: **{title}**"


def answer(errors: dict[str, float], parameters: int, entries: int) -> str:
    """Say which of two families is closer at a budget.

    Examples
    --------
    >>> answer({"global": 0.0804, "localized": 0.0835}, 32768, 262144).split("**")[1]
    'global comes closer'
    """
    (first, low), (second, high) = sorted(errors.items(), key=lambda item: item[1])
    share = percent(parameters / entries)
    start = f"With {parameters:,} numbers, {share} of the {entries:,} in the "
    if high - low <= TIE:
        return f"{start}photograph, {first} and {second} are equally close."
    lower, higher = format_apart(low, high)
    return (
        f"{start}photograph, **{first} comes closer**: its error is {lower}, that of {second} "
        f"{higher}. Move the handle and see whether that stays so."
    )
