"""Questions that the experiment answers, and how: differences, corrected together, and a word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lolora_core.training.experiment.protocol import ASKED, MARGIN, RIVALS
from lolora_core.training.significance import ALPHA, Difference, difference, holm

__all__ = ["QUESTIONS", "Question", "is_learnable", "judged"]


class Question(NamedTuple):
    """Whether the first method does better than the second at the same budget.

    Attributes
    ----------
    name : str
    claim : str
        What would be true if it did.
    stated : str
        Who says so.
    pairs : tuple of (str, str)
        Methods, the first one claimed to be better.
    value : {"test_losses", "retained"}
        What is compared: the loss on test data, lower is better; or the accuracy that is left on
        the source domain, higher is better.
    """

    name: str
    claim: str
    stated: str
    pairs: tuple[tuple[str, str], ...]
    value: str = "test_losses"


_PAPER = "Localized LoRA, arXiv 2506.00236, abstract"

QUESTIONS = (
    *(
        Question(
            f"{ASKED}-{rival}",
            f"{ASKED} trains better than {rival} at the same budget",
            _PAPER,
            ((ASKED, rival),),
        )
        for rival in RIVALS
    ),
    Question(
        "gradient",
        "ranks chosen in the gradient (adaptive) train better than equal ranks, their cost counted",
        "this project",
        (("adaptive", ASKED),),
    ),
    Question(
        "locality",
        "it is the place of the blocks, not the rank alone: localized trains better than the same "
        "blocks on shuffled rows and columns",
        "a reader's question",
        ((ASKED, "localized-permuted"),),
    ),
    Question(
        "shared-factors",
        "localized trains better than blocks that share factors (BLAST)",
        "a reader's question; BLAST: arXiv 2410.21262",
        ((ASKED, "blast"),),
    ),
    Question(
        "scaling",
        "α/√r trains better than α/r",
        "rsLoRA, arXiv 2312.03732",
        (("localized-rslora", "localized-fixed-alpha"),),
    ),
    Question(
        "two-rates",
        "B learning 16 times as fast as A trains better than one rate",
        "LoRA+, arXiv 2402.12354",
        (("global-lora-plus", "global"), ("localized-lora-plus", ASKED)),
    ),
    Question(
        "forgetting",
        "global LoRA forgets less than full fine-tuning",
        "LoRA Learns Less and Forgets Less, arXiv 2405.09673",
        (("global", "full"),),
        "retained",
    ),
    Question(
        "local-forgetting",
        "localized forgets less than global",
        "a reader's question",
        ((ASKED, "global"),),
        "retained",
    ),
)

#: Counts of (better, worse) to the word of the verdict.
_ALL, _SOME, _DEPENDS, _NONE, _WORSE = (
    "holds",
    "holds in part",
    "depends on the task",
    "not clear in any cell",
    "does not hold",
)


def is_learnable(
    full: Mapping[str, Any], frozen: Mapping[str, Any]
) -> tuple[bool, dict[str, float | None]]:
    """Say whether full fine-tuning is clearly better than the frozen base, and by how much.

    Returns
    -------
    (bool, dict)
        The difference of the test losses, full − frozen; clear where its interval lies below 0
        and its mean beyond the margin.
    """
    found = difference(full["test_losses"], frozen["test_losses"])
    clear = found.high < 0 and found.mean < -MARGIN * frozen["loss_mean"]
    return clear, _finite(found)


def judged(found: Mapping[str, Any], beside: Sequence[float] = ()) -> dict[str, Any]:
    """Return every comparison, corrected together, and the verdict on every question.

    Parameters
    ----------
    found : mapping
        ``tasks`` and ``results`` as `reproduce` makes them.
    beside : sequence of float
        p-values of other comparisons that are corrected with these: those of the whole experiment,
        where this is a part of it.

    Returns
    -------
    dict
        ``comparisons``: a row for each question, pair and cell; ``verdicts``: a row a question.
    """
    rows = [
        row
        for question in QUESTIONS
        for cell in found["results"]
        for row in _rows(question, cell, found["tasks"][cell["task"]])
    ]
    corrected = holm([*(row["p"] for row in rows), *beside])
    for row, p in zip(rows, corrected[: len(rows)], strict=True):
        row["p_holm"] = p
        row["outcome"] = _outcome(row)
    return {"comparisons": rows, "verdicts": [v for q in QUESTIONS if (v := _verdict(q, rows))]}


def _rows(
    question: Question, cell: Mapping[str, Any], task: Mapping[str, Any]
) -> list[dict[str, Any]]:
    methods = {**task["methods"], **cell["methods"]}
    rows = []
    for first, second in question.pairs:
        if first not in methods or second not in methods:
            continue
        values = [methods[name][question.value] for name in (first, second)]
        if None in values or any(None in part for part in values):
            continue
        loss = question.value == "test_losses"
        # Losses in units of what the frozen base has; accuracies as they are.
        unit = task["methods"]["frozen"]["loss_mean"] if loss else 1.0
        own, other = ([value / unit for value in part] for part in values)
        rows.append(
            {
                "question": question.name,
                "task": cell["task"],
                "rank": cell["rank"],
                "first": first,
                "second": second,
                "lower_is_better": loss,
                **_finite(difference(own, other)),
                "differences": [float(f"{a - b:.6g}") for a, b in zip(own, other, strict=True)],
            }
        )
    return rows


def _finite(found: Difference) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in found._asdict().items()}


def _outcome(row: Mapping[str, Any]) -> str:
    """Return better, worse, even or unclear: of the first method."""
    sign = -1 if row["lower_is_better"] else 1
    mean, low, high = (sign * row[key] for key in ("mean", "low", "high"))
    if row["p_holm"] < ALPHA and abs(mean) > MARGIN:
        return "better" if mean > 0 else "worse"
    return "even" if max(abs(low), abs(high)) <= MARGIN else "unclear"


def _verdict(question: Question, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    own = [row for row in rows if row["question"] == question.name]
    if not own:
        return None
    outcomes = [row["outcome"] for row in own]
    better, worse = outcomes.count("better"), outcomes.count("worse")
    if better == len(own):
        word = _ALL
    elif better and worse:
        word = _DEPENDS
    elif better:
        word = _SOME
    else:
        word = _WORSE if worse else _NONE
    each = zip(*(row["differences"] for row in own), strict=True)
    # The mean over cells for each seed; the seeds are what was drawn.
    pooled = difference([sum(seed) / len(own) for seed in each], [0.0] * len(own[0]["differences"]))
    return {
        "question": question.name,
        "claim": question.claim,
        "stated": question.stated,
        "verdict": word,
        "cells": len(own),
        **{name: outcomes.count(name) for name in ("better", "worse", "even", "unclear")},
        "value": question.value,
        "mean": pooled.mean,
        "low": pooled.low,
        "high": pooled.high,
        "tasks": list(dict.fromkeys(row["task"] for row in own)),
    }
