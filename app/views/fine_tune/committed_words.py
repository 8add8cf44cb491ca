"""What the committed experiment found for a task, in plain words. No streamlit here."""

from __future__ import annotations

from collections.abc import Mapping

from app.shared.words import format_error, join_words, three_digits

__all__ = ["NOT_ASKED", "dropped", "lowest", "nearest", "other_grid", "outcome"]

NOT_ASKED = "The experiment did not train on this task."
_OUTCOMES = {
    "better": "Here {0} trains **better** than {1}",
    "worse": "Here {0} trains **worse** than {1}",
    "even": "Here {0} and {1} come out **even**",
    "unclear": "Here it is **unclear** whether {0} trains better than {1}",
}


def dropped(mean: float, low: float, high: float) -> str:
    """Say why the experiment dropped a task.

    Parameters
    ----------
    mean, low, high : float
        Test loss of full fine-tuning less that of the frozen base, with its 95 % interval.

    Examples
    --------
    >>> dropped(-0.01, -0.04, 0.02)
    'The experiment dropped this task: training every weight is not clearly better here than \
training the head alone, so no structure of ΔW can show what it is worth. The difference of their \
test losses, full − frozen, is −0.0100, 95 % interval −0.0400 to 0.0200.'
    """
    return (
        "The experiment dropped this task: training every weight is not clearly better here than "
        "training the head alone, so no structure of ΔW can show what it is worth. The difference "
        f"of their test losses, full − frozen, is {three_digits(mean)}, 95 % interval "
        f"{three_digits(low)} to {three_digits(high)}."
    )


def nearest(asked: int, measured: int) -> str:
    """Say which budget stands for one that was not measured.

    Examples
    --------
    >>> nearest(6, 8)
    'Of r = 8, the nearest to your r = 6 that was measured.'
    """
    return f"Of r = {measured}, the nearest to your r = {asked} that was measured."


def other_grid(own: int, asked: int) -> str:
    """Say that the experiment had another grid.

    Examples
    --------
    >>> other_grid(4, 8)
    'On a grid of 4×4 blocks; yours has 8×8.'
    """
    return f"On a grid of {own}×{own} blocks; yours has {asked}×{asked}."


def lowest(rank: int, losses: Mapping[str, float], seeds: int) -> str:
    """Say which method had the lowest test loss, and which followed.

    Parameters
    ----------
    rank : int
        The budget.
    losses : mapping of str to float
        Mean test loss by method.
    seeds : int

    Examples
    --------
    >>> lowest(8, {"localized": 0.28, "global": 0.291}, 10)
    'At r = 8, **localized** has the lowest mean test loss of all methods with this budget, 0.280 \
over 10 seeds; global follows with 0.291.'
    >>> lowest(8, {"adaptive": 0.0, "hybrid": 0.0, "global": 0.1}, 10)[:73]
    'At r = 8, **adaptive** and **hybrid** have the lowest mean test loss of a'
    """
    ranking = sorted(losses, key=losses.__getitem__)
    least = format_error(losses[ranking[0]])
    # Equal as printed is a tie.
    first = [name for name in ranking if format_error(losses[name]) == least]
    text = (
        f"At r = {rank}, {join_words([f'**{name}**' for name in first])} "
        f"{'has' if len(first) == 1 else 'have'} the lowest mean test loss of all methods with "
        f"this budget, {least} over {seeds} seeds"
    )
    if len(first) < len(ranking):
        second = ranking[len(first)]
        text += f"; {second} follows with {format_error(losses[second])}"
    return f"{text}."


def outcome(first: str, second: str, word: str, mean: float, low: float, high: float) -> str:
    """Say whether one structure trains better than another.

    Parameters
    ----------
    first, second : str
    word : {"better", "worse", "even", "unclear"}
    mean, low, high : float
        Test loss of the first less that of the second, in units of the frozen base's loss.

    Examples
    --------
    >>> outcome("localized", "global", "unclear", -0.0265, -0.0543, 0.00124)
    "Here it is **unclear** whether localized trains better than global: the difference of their \
test losses, localized − global, is −2.65 % of the frozen base's loss, 95 % interval −5.43 to \
0.124."
    """
    share, least, most = (three_digits(100 * value) for value in (mean, low, high))
    return (
        f"{_OUTCOMES[word].format(first, second)}: the difference of their test losses, "
        f"{first} − {second}, is {share} % of the frozen base's loss, 95 % interval {least} to "
        f"{most}."
    )
