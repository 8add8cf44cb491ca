"""The verdict of a race, in plain words. No streamlit here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.shared.words import format_error, join_words
from lolora_core.training.compare import Lead

__all__ = ["Verdict", "interval", "of_one", "of_one_seed", "of_seeds", "open_race", "reached"]


class Verdict(NamedTuple):
    """The answer of the page.

    Attributes
    ----------
    answer : str
        Who is ahead, in a sentence.
    stamp, meaning : str
        Whether that is more than luck, in a few large words, and what they mean.
    """

    answer: str
    stamp: str
    meaning: str


_UNKNOWN = "Spread not known"
_STOP = "Each is stopped where its validation loss was lowest."
_ITS_STOP = "It is stopped where its validation loss was lowest."


def open_race(methods: Sequence[str], *, ended: bool) -> Verdict:
    """Say what is missing before anybody can have won.

    Examples
    --------
    >>> open_race(["full", "global"], ended=False).answer
    'Training full and global. The first result comes when a seed is done.'
    """
    if ended:
        answer = "Nobody has won: no method was trained to its last step."
        return Verdict(answer, "No result", "Start again, and let the race run to its end.")
    answer = f"Training {join_words(methods)}. The first result comes when a seed is done."
    return Verdict(answer, "Still open", "Here you will read whether the winner was just lucky.")


def of_one(method: str, loss: float) -> Verdict:
    """Say what the only method reached.

    Examples
    --------
    >>> of_one("full", 0.4).answer
    'full reached a test loss of 0.400. It is stopped where its validation loss was lowest.'
    """
    answer = f"{method} reached a test loss of {format_error(loss)}. {_ITS_STOP}"
    return Verdict(answer, "Nothing to compare", "Choose a second method to compare it with.")


def _after_the_last_step(best: str, last: Mapping[str, float]) -> str:
    """Say how runs were compared, and whether the last step has another order."""
    first = min(last, key=last.__getitem__)
    loss, other = format_error(last[first]), format_error(last[best])
    if loss == other:
        return _STOP
    return f"{_STOP} After the last step {first} would be ahead with {loss}; {best} has {other}."


def of_one_seed(losses: Mapping[str, float], planned: int, last: Mapping[str, float]) -> Verdict:
    """Say which of several methods has the lowest test loss of one seed, of `planned` ones.

    Parameters
    ----------
    losses, last : mapping of str to float
        By method: the loss where early stopping stopped, and after the last step.
    planned : int

    Examples
    --------
    >>> losses = {"global": 0.5, "localized": 0.4}
    >>> verdict = of_one_seed(losses, 1, losses)
    >>> verdict.answer
    '**localized** is ahead with a test loss of 0.400; global has 0.500. Each is stopped where its \
validation loss was lowest.'
    >>> verdict.stamp
    'Spread not known'
    >>> of_one_seed(losses, 1, {"global": 0.6, "localized": 0.9}).answer[-74:]
    'After the last step global would be ahead with 0.600; localized has 0.900.'
    """
    ranking = sorted(losses, key=losses.__getitem__)
    best = ranking[0]
    # Equal as printed is a tie: one seed says nothing about what lies beyond.
    tied = [n for n in ranking if format_error(losses[n]) == format_error(losses[best])]
    if len(tied) > 1:
        answer = f"{join_words(tied)} have the same test loss, {format_error(losses[best])}"
    else:
        answer = f"**{best}** is ahead with a test loss of {format_error(losses[best])}"
    if len(tied) < len(ranking):
        runner = ranking[len(tied)]
        answer += f"; {runner} has {format_error(losses[runner])}"
    answer = f"{answer}. {_after_the_last_step(best, last)}"
    if planned > 1:
        return Verdict(answer, _UNKNOWN, f"One seed of {planned} is done; wait for the next.")
    meaning = "One seed may be luck. Choose two or more seeds, and Start again."
    return Verdict(answer, _UNKNOWN, meaning)


def of_seeds(lead: Lead, seeds: int, last: Mapping[str, float]) -> Verdict:
    """Say which method is ahead over several seeds, and whether that is more than the spread.

    Parameters
    ----------
    lead : Lead
        Where early stopping stopped.
    seeds : int
    last : mapping of str to float
        By method: the mean loss after the last step.

    Examples
    --------
    >>> from lolora_core.training.compare import Paired
    >>> last = {"a": 0.1, "b": 0.3}
    >>> clear = of_seeds(Lead("a", "b", 0.1, 0.3, Paired(0.2, 0.01, 0.1, 0.3)), 3, last)
    >>> clear.answer
    '**a** is ahead with a mean test loss of 0.100 over 3 seeds; b follows with 0.300. Each is \
stopped where its validation loss was lowest.'
    >>> clear.stamp, of_seeds(Lead("a", "b", 0.1, 0.1, Paired(0.0, 1.0, -1.0, 1.0)), 3, last).stamp
    ('Larger than the spread', 'Not larger than the spread')
    """
    pair, first, second = lead.pair, format_error(lead.best_loss), format_error(lead.second_loss)
    if first == second and not pair.is_clear:
        answer = (
            f"{lead.best} and {lead.second} tie with a mean test loss of {first} over {seeds} seeds"
        )
    else:
        answer = (
            f"**{lead.best}** is ahead with a mean test loss of {first} over {seeds} seeds; "
            f"{lead.second} follows with {second}"
        )
    answer = f"{answer}. {_after_the_last_step(lead.best, last)}"
    if pair.is_clear:
        meaning = "With other random draws the same method would very likely be ahead again."
        return Verdict(answer, "Larger than the spread", meaning)
    meaning = "The gap is no larger than what other random draws change: it may be luck."
    return Verdict(answer, "Not larger than the spread", meaning)


def interval(lead: Lead) -> str:
    """Return the exact statement behind the stamp.

    Examples
    --------
    >>> from lolora_core.training.compare import Paired
    >>> interval(Lead("a", "b", 0.1, 0.3, Paired(0.2, 0.01, 0.1, 0.3)))
    'Test loss of b minus that of a, each where its validation loss was lowest, seed by seed: mean \
0.200, 95 % t-interval 0.100 to 0.300. Larger than the spread means that the interval leaves out 0.'
    """
    low, high = format_error(lead.pair.low), format_error(lead.pair.high)
    return (
        f"Test loss of {lead.second} minus that of {lead.best}, each where its validation loss was "
        f"lowest, seed by seed: mean {format_error(lead.pair.mean)}, 95 % t-interval {low} to "
        f"{high}. Larger than the spread means that the interval leaves out 0."
    )


def reached(rank: int, rows: Mapping[str, tuple[int, float, float]]) -> str:
    """Say how near every method came to a ΔW that is known, and how near it can come.

    Parameters
    ----------
    rank : int
        Of the known ΔW.
    rows : mapping of str to (int, float, float)
        By method: rank of what it learned, its relative error, the least that it can have.

    Examples
    --------
    >>> reached(32, {"global": (8, 0.71, 0.707), "localized": (32, 0.0, 0.0)})
    'The change to learn has rank 32. After the last step: global learned one of rank 8 and stays \
0.710 away; its form cannot come nearer than 0.707. localized learned one of rank 32 and stays 0 \
away; its form can come as near as 0.'
    """
    text = [f"The change to learn has rank {rank}. After the last step:"]
    for method, (own, error, least) in rows.items():
        limit = (
            f"cannot come nearer than {format_error(least)}"
            if least >= 0.01
            else f"can come as near as {format_error(least)}"
        )
        away = format_error(error)
        text.append(f"{method} learned one of rank {own} and stays {away} away; its form {limit}.")
    return " ".join(text)
