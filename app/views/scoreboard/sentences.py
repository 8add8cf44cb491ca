"""Sentences of the page Does it always win?, from measured numbers. No streamlit here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from app.shared.words import join_words, percent, three_digits
from lolora_core.explore.scoreboard import CLAIMED

__all__ = [
    "CLAIM_HELP",
    "KINDS",
    "MAP",
    "NOTHING",
    "NOTHING_DONE",
    "NOTHING_OLD",
    "ONE_TASK",
    "RETAINED",
    "TABLE",
    "TRAINED",
    "best_grid",
    "claim",
    "dropped",
    "extremes",
    "kinds",
    "rival",
    "share_of_wins",
    "stopped",
    "table",
    "trained",
    "trained_claim",
]

#: Kinds of target, as they stand in a sentence and on an axis.
KINDS = {
    "image": "photographs",
    "pattern": "patterns",
    "weights": "weights",
    "update": "updates",
}
PAPER = "[paper](https://arxiv.org/abs/2506.00236)"

NOTHING = "No cell is left: choose more in the sidebar."
NOTHING_DONE = "No matrix is done yet: press Continue."
CLAIM_HELP = (
    "The error is $\\|W-\\hat W\\|_F\\,/\\,\\|W\\|_F$: 0 is a perfect copy, 1 is no copy at all. A "
    "match is one matrix, one grid and one budget. It counts only where both families spend the "
    "whole budget; errors within 0.00001 of each other are a tie."
)
MAP = (
    "Each cell is one comparison; colour and letter name the family with the lowest error. Pale: "
    "the next is close. Full colour: the next has twice the error or more. = is a tie. A star: "
    "not every family can spend the whole budget there. Click a cell to open it in Compare."
)
ONE_TASK = (
    "Each learning rate was searched on other data: by factors of √10, until the best lay inside. "
    "The dot is the one that was used."
)
RETAINED = (
    "Each dot is a look during training: to the right is better on the new data, up is better on "
    "the old. The large dot is the last step."
)
NOTHING_OLD = "The base of this task was made for nothing that it could forget."
TRAINED = (
    "Full colour: the lead over the next is larger than chance. Pale: it may be chance. A cell is "
    "one task at one budget."
)
TABLE = "Every cell of the map. Press Compare in a row to look at it."


def claim(found: pd.DataFrame) -> str:
    """Say what the paper claims, and how often it holds against global here.

    Parameters
    ----------
    found : DataFrame
        Duels of localized against global.

    Examples
    --------
    >>> print(claim(pd.DataFrame({"target": ["a", "a"], "outcome": ["lower", "higher"]})))
    **Not always.** The [paper](https://arxiv.org/abs/2506.00236) says that localized reaches a \
consistently lower error than global with the same number of parameters. Here localized has the \
lower error in **1 of 2 comparisons (50.0 %)** on 1 matrix; global has it in 1.
    """
    count = found["outcome"].value_counts()
    lower, higher, tie = (int(count.get(word, 0)) for word in ("lower", "higher", "tie"))
    verdict = "Always, here." if lower == len(found) else "Never, here." if not lower else ""
    targets = found["target"].nunique()
    ties = f"; {tie} {'is a tie' if tie == 1 else 'are ties'}" if tie else ""
    return (
        f"**{verdict or 'Not always.'}** The {PAPER} says that {CLAIMED} reaches a consistently "
        f"lower error than global with the same number of parameters. Here {CLAIMED} has the lower "
        f"error in **{lower:,} of {len(found):,} comparisons ({percent(lower / len(found))})** on "
        f"{targets} {'matrix' if targets == 1 else 'matrices'}; global has it in {higher:,}{ties}."
    )


def kinds(found: pd.DataFrame) -> str:
    """Say how often the first of a duel has the lower error on each kind of target.

    Parameters
    ----------
    found : DataFrame
        Of `lolora_core.explore.scoreboard.shares`.

    Examples
    --------
    >>> kinds(pd.DataFrame({"kind": ["image", "image", "update"],
    ...     "outcome": ["lower", "higher", "higher"], "cells": [1, 2, 5], "share": [1/3, 2/3, 1]}))
    'It depends on the matrix: localized wins 33.3 % on photographs and 0 % on updates.'
    """
    parts = []
    for kind in dict.fromkeys(found["kind"]):
        won = found.loc[(found["kind"] == kind) & (found["outcome"] == "lower"), "share"].sum()
        parts.append(f"{_percent(float(won))} on {KINDS.get(kind, kind)}")
    return f"It depends on the matrix: {CLAIMED} wins {join_words(parts)}."


def _percent(share: float) -> str:
    return percent(share) if share else "0 %"


def best_grid(found: pd.DataFrame) -> str:
    """Say how often localized wins with the grid that suits it best.

    Examples
    --------
    >>> best_grid(pd.DataFrame({"outcome": ["lower", "higher", "higher"]}))
    'Even when we pick the best grid for each matrix and budget afterwards, it wins 1 of 3.'
    """
    won = int((found["outcome"] == "lower").sum())
    return (
        "Even when we pick the best grid for each matrix and budget afterwards, it wins "
        f"{won:,} of {len(found):,}."
    )


def rival(found: pd.DataFrame, name: str) -> str:
    """Say how often localized wins against another family of the paper.

    Examples
    --------
    >>> rival(pd.DataFrame({"outcome": ["lower", "lower", "higher"]}), "diagonal")
    'Against diagonal it wins 2 of 3 (66.7 %).'
    """
    won = int((found["outcome"] == "lower").sum())
    return f"Against {name} it wins {won:,} of {len(found):,} ({_percent(won / len(found))})."


def extremes(found: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say by how much localized usually wins or loses, and where it is furthest ahead and behind.

    A pattern made by formula can be exact for one of them; there the ratio says nothing.

    Parameters
    ----------
    found : DataFrame
        Duels of localized against global.
    titles : mapping
        Of the targets.

    Examples
    --------
    >>> extremes(pd.DataFrame({"target": ["a", "b", "c"], "kind": ["image", "image", "pattern"],
    ...     "grid": [2, 4, 4], "rank": [2, 4, 8], "ratio": [0.5, 1.25, float("inf")]}),
    ...     {"a": "Camera", "b": "Coins"})
    'In half of the comparisons its error is at least 1.25 times that of global. Patterns aside it \
is furthest ahead on Camera (2×2, r = 2: 0.500 times) and furthest behind on Coins (4×4, r = 4: \
1.25 times).'
    """
    real = found[found["kind"] != "pattern"]
    middle = three_digits(found["ratio"].median())
    text = f"In half of the comparisons its error is at least {middle} times that of global."
    if real.empty:
        return text

    def place(at: int) -> str:
        row = real.iloc[at].to_dict()
        ratio = float(row["ratio"])
        much = f"{three_digits(ratio)} times" if ratio < np.inf else "global rebuilds it exactly"
        return (
            f"{titles[str(row['target'])]} ({row['grid']}×{row['grid']}, r = {row['rank']}: {much})"
        )

    return (
        f"{text} Patterns aside it is furthest ahead on {place(int(real['ratio'].argmin()))} and "
        f"furthest behind on {place(int(real['ratio'].argmax()))}."
    )


def share_of_wins(found: pd.DataFrame) -> str:
    """Say who wins how many cells of each kind of target.

    Parameters
    ----------
    found : DataFrame
        Of `lolora_core.explore.scoreboard.shares`.

    Examples
    --------
    >>> share_of_wins(pd.DataFrame({"kind": ["image", "image"], "outcome": ["global", "tie"],
    ...     "cells": [3, 1], "share": [0.75, 0.25]}))
    'Of 4 comparisons on photographs global wins 3, and 1 is a tie.'
    """
    parts = []
    for kind, part in found.groupby("kind", sort=False):
        won = part[part["outcome"] != "tie"].sort_values("cells", ascending=False, kind="stable")
        words = [
            f"{row.outcome} {'wins ' if at == 0 else ''}{row.cells:,}"
            for at, row in enumerate(won.itertuples())
        ]
        ties = int(part.loc[part["outcome"] == "tie", "cells"].sum())
        tied = f"{ties:,} {'is a tie' if ties == 1 else 'are ties'}" if ties else ""
        said = ", and ".join(filter(None, [join_words(words) if words else "", tied]))
        parts.append(f"{part['cells'].sum():,} comparisons on {KINDS.get(str(kind), kind)} {said}")
    return f"Of {'; of '.join(parts)}."


def table(cells: pd.DataFrame) -> str:
    """Say how many cells are shown, and how many of them are fair comparisons.

    Examples
    --------
    >>> table(pd.DataFrame({"target": ["a", "b"], "exact": [True, False]}))
    '2 cells on 2 matrices are shown; 1 of them is a fair comparison.'
    """
    exact, targets = int(cells["exact"].sum()), cells["target"].nunique()
    return (
        f"{len(cells):,} cells on {targets} {'matrix' if targets == 1 else 'matrices'} are shown; "
        f"{exact:,} of them {'is a fair comparison' if exact == 1 else 'are fair comparisons'}."
    )


def stopped(done: int, total: int) -> str:
    """Say how much of the scoreboard there is after a Stop."""
    return f"Stopped: {done} of {total} matrices are done and shown."


def trained_claim(verdict: Mapping[str, Any], seeds: int) -> str:
    """Say whether one structure trains better than another, and how sure that is.

    Parameters
    ----------
    verdict : mapping
        A row of `lolora_core.training.experiment.findings.verdicts`.
    seeds : int
        How often each was trained.

    Examples
    --------
    >>> trained_claim({"claim": "a trains better than b", "verdict": "holds in part", "cells": 3,
    ...                "better": 1, "worse": 0, "even": 1, "unclear": 1, "mean": -0.04,
    ...                "low": -0.05, "high": -0.03, "value": "test_losses"}, 10)
    '“A trains better than b”: **holds in part**. Of 3 cells, trained 10 times each, it does in 1, \
does worse in 0, comes out even in 1, and 1 is unclear; on average -4 % of the loss of the frozen \
base, 95 % interval -5 to -3.'
    """
    mean, low, high = (f"{100 * verdict[name]:+.3g}" for name in ("mean", "low", "high"))
    unit = (
        "% of the loss of the frozen base"
        if verdict["value"] == "test_losses"
        else "points of the accuracy on the old data"
    )
    claim = verdict["claim"]
    return (
        f"“{claim[0].upper()}{claim[1:]}”: **{verdict['verdict']}**. Of {verdict['cells']} cells, "
        f"trained {seeds} times each, it does in {verdict['better']}, does worse in "
        f"{verdict['worse']}, comes out even in {verdict['even']}, and {verdict['unclear']} "
        f"{'is' if verdict['unclear'] == 1 else 'are'} unclear; on average {mean} {unit}, 95 % "
        f"interval {low} to {high}."
    )


def dropped(names: Sequence[str]) -> str:
    """Say which tasks measure nothing about structure.

    Examples
    --------
    >>> dropped(["digits-inverted"])
    'Dropped, because there training every weight does not beat training the head alone: \
digits-inverted.'
    """
    return (
        "Dropped, because there training every weight does not beat training the head alone: "
        f"{', '.join(names)}."
    )


def trained(best: pd.DataFrame) -> str:
    """Say who has the lowest test loss how often, and how often that is clear.

    Examples
    --------
    >>> trained(pd.DataFrame({"winner": ["adaptive", "adaptive", "global"],
    ...                       "clear": [False, True, False]}))
    'The lowest mean test loss: adaptive 2 times and global once. In 1 of 3 cells the lead over \
the next is larger than chance.'
    """
    counted = best["winner"].value_counts()
    words = [
        f"{name} {'once' if count == 1 else f'{count} times'}" for name, count in counted.items()
    ]
    return (
        f"The lowest mean test loss: {join_words(words)}. In {int(best['clear'].sum())} of "
        f"{len(best)} cells the lead over the next is larger than chance."
    )
