"""Sentences of the page Your weights, from measured numbers. No streamlit here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from app.shared.words import as_text, format_apart, format_error, join_words, percent, three_digits
from lolora_core import FAMILIES
from lolora_core.common.names import printable
from lolora_core.explore.compare import TIE

__all__ = [
    "COMMAND",
    "HOW_IT_IS_TOLD",
    "HOW_MEASURED",
    "HOW_MOVED",
    "HUB_STOPPED",
    "LARGER",
    "MAP",
    "NOT_COMPLETE",
    "NOT_SURVEYED",
    "NO_HUB",
    "NO_PATHS",
    "OTHER_FILE",
    "PICKED",
    "RATIO",
    "TOO_LARGE",
    "TWO_FILES",
    "TWO_IDS",
    "TWO_PATHS",
    "WHY_NOT",
    "blocks_win",
    "budget",
    "cells",
    "larger",
    "looked_at",
    "module_name",
    "picked",
    "quoted",
    "ratios",
    "structure",
    "what_it_is",
    "where",
    "winner",
]

OTHER_FILE = "Upload the other of the two files as well."
TWO_FILES = "Upload the weights before and after fine-tuning. An upload is not part of a link."
HUB_STOPPED = "Stopped: nothing was read from the Hub."
NO_HUB = (
    "This host does not read models from the Hugging Face Hub. Whoever runs it can allow "
    "it: start the app with LOLORA_ALLOW_HUB=1. Or upload two files."
)
NO_PATHS = (
    "This host does not read its own files for visitors. On your own machine `make app` allows it, "
    "with LOLORA_ALLOW_PATHS=1."
)
TWO_IDS = "Give both model ids."
TWO_PATHS = "Give both paths. The files are read where they are; nothing is copied."
NOT_SURVEYED = "No matrix is surveyed yet."
HOW_IT_IS_TOLD = (
    "Decided from the names, types and shapes in the file's header before anything is computed; "
    "the name of the file does not count."
)
NOT_COMPLETE = "The adapter can be made when the survey is complete."
TOO_LARGE = "In a terminal `lolora survey` takes files of any size."
LARGER = "Files too large to upload?"
COMMAND = "Makes this survey in a terminal, also on a machine without this app."
HOW_MOVED = (
    "Shares of the change are shares of ‖ΔW‖²_F, the sum of its squared entries; how far a matrix "
    "moved is ‖ΔW‖_F/‖W‖_F."
)
HOW_MEASURED = (
    "Every m×n matrix has the budget r·(m + n). The error over all matrices "
    "is √(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²), with the best approximation of each family; hybrid is not among "
    "them, because a survey reads singular values only. Where the grid does not fit a matrix, "
    "global holds it."
)
MAP = "= is a tie, · did not change. Click a cell to pick its matrix."
RATIO = "Below 1 blocks do better than LoRA, above 1 worse; = where LoRA makes no error."
WHY_NOT = "Only matrices that stand in both files with one shape are compared."
PICKED = (
    "Size is the Frobenius norm ‖ΔW‖_F, over ‖W‖_F for the share. Directions are the effective "
    "rank, exp of the entropy of σ²/Σσ²; what the first 8 singular values hold is a share of "
    "‖ΔW‖²_F. The buttons open ΔW on the other pages, as a target of this session."
)


def larger(megabytes: int) -> str:
    """Say what to do with files that are larger than an upload may be.

    Examples
    --------
    >>> larger(64)
    'An upload may have 64 MB. On your own machine `make app` also takes paths, and files of any \
size are read where they are. In a terminal this makes the same survey:'
    """
    return (
        f"An upload may have {megabytes} MB. On your own machine `make app` also takes paths, and "
        "files of any size are read where they are. In a terminal this makes the same survey:"
    )


def budget(rank: int) -> str:
    """Say what a budget is for each matrix.

    Examples
    --------
    >>> budget(8)
    'Each m×n matrix may train 8·(m + n) numbers, as many as a LoRA of rank 8.'
    """
    return f"Each m×n matrix may train {rank}·(m + n) numbers, as many as a LoRA of rank {rank}."


def looked_at(
    title: str, shapes: Sequence[tuple[int, int]], rank: int, blocks: tuple[int, int]
) -> str:
    """Say what the page is about, and what the budget comes to.

    Examples
    --------
    >>> looked_at("Digits", [(96, 96), (192, 96)], 8, (4, 4))
    'Digits: 2 matrices at r = 8 on 4×4 blocks. The budget is 3,840 numbers in all, 13.9 % of \
their entries.'
    """
    count = len(shapes)
    total = sum(rank * (m + n) for m, n in shapes)
    share = percent(total / sum(m * n for m, n in shapes))
    what, their = ("1 matrix", "its") if count == 1 else (f"{count} matrices", "their")
    return (
        f"{title}: {what} at r = {rank} on {blocks[0]}×{blocks[1]} blocks. The budget is "
        f"{total:,} numbers in all, {share} of {their} entries."
    )


def what_it_is(words: str, evidence: Sequence[str]) -> str:
    """Say what an uploaded file is and what tells so; names come from strangers' files.

    Examples
    --------
    >>> what_it_is("a LoRA in kohya's format", ["12 pairs of factors, such as a"])
    "This is a LoRA in kohya's format: 12 pairs of factors, such as a."
    """
    reasons = "; ".join(printable(reason) for reason in evidence[:3])
    return f"This is {as_text(words)}{': ' if reasons else ''}{as_text(reasons)}."


def module_name(name: str) -> str:
    """Return the name of a matrix without ".weight".

    Examples
    --------
    >>> module_name("blocks.0.query.weight")
    'blocks.0.query'
    """
    return name.removesuffix(".weight")


def quoted(name: str) -> str:
    """Return the name of a matrix as code; names come from strangers' files.

    Examples
    --------
    >>> quoted("a`**b**.weight")
    '`a**b**`'
    """
    return f"`{printable(module_name(name)).replace('`', '')}`"


def structure(family: str, blocks: tuple[int, int]) -> str:
    """Name a family with its grid.

    Examples
    --------
    >>> structure("adaptive", (8, 8)), structure("global", (8, 8))
    ('adaptive on 8×8 blocks', 'global (plain LoRA)')
    """
    if FAMILIES[family].spans_whole:
        return f"{family} (plain LoRA)"
    return f"{family} on {blocks[0]}×{blocks[1]} blocks"


def where(moved: pd.DataFrame) -> str:
    """Say in which matrices the change lives.

    Parameters
    ----------
    moved : DataFrame
        Columns name, update_norm and relative_update of the matrices that changed, the largest
        ‖ΔW‖ first.

    Examples
    --------
    >>> where(pd.DataFrame({"name": ["a.weight", "b"], "update_norm": [2.0, 1.0],
    ...                     "relative_update": [0.1, 0.3]}))
    'Half of the change sits in 1 of 2 matrices; the largest part, 80.0 %, is in `a`. Relative to \
its size `b` moved most, by 30.0 %.'
    """
    energy = moved["update_norm"].to_numpy() ** 2
    shares = energy / energy.sum()
    first = quoted(str(moved["name"].iloc[0]))
    if len(moved) == 1:
        text = f"All of the change lies in {first}."
    else:
        half = int(np.searchsorted(np.cumsum(shares), 0.5)) + 1
        largest = percent(float(shares[0]))
        tied = [n for n, s in zip(moved["name"], shares, strict=True) if percent(s) == largest]
        text = (
            f"Half of the change sits in {half} of {len(moved)} matrices; the largest part, "
            f"{largest}, is in {_several(tied)}."
        )
    ratios = moved["relative_update"].to_numpy(dtype=float)
    ratios = np.where(np.isfinite(ratios), ratios, -np.inf)
    if np.isfinite(ratios).any():
        most = percent(float(ratios.max()))
        tied = [n for n, r in zip(moved["name"], ratios, strict=True) if percent(r) == most]
        size = "its size" if len(tied) == 1 else "their size"
        text += f" Relative to {size} {_several(tied)} moved most, by {most}."
    return text


def _several(names: Sequence[str]) -> str:
    """Name what ties, where it is not many."""
    if len(names) > 3:
        return f"each of {len(names)} matrices"
    each = "" if len(names) == 1 else "each of "
    return each + join_words([quoted(str(name)) for name in names])


def winner(pooled: Mapping[str, float], rank: int, blocks: tuple[int, int]) -> str:
    """Say which structure holds the change best at a budget, and by how much.

    Parameters
    ----------
    pooled : mapping
        Relative error over all matrices of each family, best first.

    Examples
    --------
    >>> winner({"adaptive": 0.2, "global": 0.25}, 8, (4, 4))
    '**adaptive on 4×4 blocks** holds the change best at r = 8: error 0.200 over all \
matrices, 20.0 % less than global (plain LoRA) with 0.250.'
    >>> winner({"global": 0.2, "adaptive": 0.25}, 8, (4, 4))
    '**global (plain LoRA)** holds the change best at r = 8: error 0.200 over all \
matrices; the best of the others, adaptive on 4×4 blocks, has 0.250, 1.25 times as much.'
    """
    (best, error), *others = pooled.items()
    text = f"**{structure(best, blocks)}** holds the change best at r = {rank}: "
    if error < TIE:
        text += "exact to rounding"
    else:
        text += f"error {format_error(error)} over all matrices"
    if not others:
        return f"{text}."
    # Against LoRA, or against what comes next where LoRA leads.
    second, more = others[0] if FAMILIES[best].spans_whole else _lora(others)
    if more - error <= TIE:
        return f"{text}; {structure(second, blocks)} holds it equally well."
    lowest, other = format_apart(error, more)
    text = text.replace(f"error {format_error(error)}", f"error {lowest}")
    if not FAMILIES[best].spans_whole:
        saved = percent(1 - error / more)
        return f"{text}, {saved} less than {structure(second, blocks)} with {other}."
    factor = three_digits(more / error) if error >= TIE else "1.00"
    times = "" if factor == "1.00" else f", {factor} times as much"
    return f"{text}; the best of the others, {structure(second, blocks)}, has {other}{times}."


def blocks_win(marks: pd.DataFrame) -> str:
    """Say on how many matrices blocks do better than LoRA, and where most; empty for none.

    Parameters
    ----------
    marks : DataFrame
        Columns name, mark (a family, "tie" or "unchanged"), other and ratio.

    Examples
    --------
    >>> blocks_win(pd.DataFrame({"name": ["a.weight", "b"], "mark": ["adaptive", "global"],
    ...                          "other": ["adaptive", "adaptive"], "ratio": [0.8, 1.1]}))
    'Blocks do better than plain LoRA on 1 of 2 matrices, most in `a`: adaptive has 20.0 % less \
error there.'
    """
    known = [name for name, family in FAMILIES.items() if not family.spans_whole]
    won = marks[marks["mark"].isin(known)]
    if won.empty:
        return ""
    first = won.iloc[int(won["ratio"].to_numpy().argmin())]
    return (
        f"Blocks do better than plain LoRA on {len(won)} of {len(marks)} matrices, most in "
        f"{quoted(str(first['name']))}: {first['other']} has {percent(1 - float(first['ratio']))} "
        "less error there."
    )


def _lora(pooled: Sequence[tuple[str, float]]) -> tuple[str, float]:
    return next((name, error) for name, error in pooled if FAMILIES[name].spans_whole)


def cells(marks: pd.DataFrame) -> str:
    """Count what leads how many matrices, as the map shows it.

    Parameters
    ----------
    marks : DataFrame
        Column `mark`: a family, "tie" or "unchanged".

    Examples
    --------
    >>> cells(pd.DataFrame({"mark": ["global", "global", "tie"]}))
    'Of 3 matrices global leads on 2; 1 is a tie.'
    """
    counts = marks["mark"].value_counts()
    families = [f"{n} leads on {c}" for n, c in counts.items() if n not in ("tie", "unchanged")]
    parts = [join_words(families)] if families else ["no family leads alone"]
    for word, one, many in (
        ("tie", "is a tie", "are ties"),
        ("unchanged", "has not changed", "have not changed"),
    ):
        count = int(counts.get(word, 0))
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    return f"Of {len(marks)} matrices {'; '.join(parts)}."


def ratios(marks: pd.DataFrame) -> str:
    """Say between which multiples of LoRA's error the best blocks lie.

    Examples
    --------
    >>> ratios(pd.DataFrame({"name": ["a.weight", "b"], "ratio": [0.5, 2.0]}))
    'From ×0.500 (`a`) to ×2.00 (`b`).'
    """
    known = marks[marks["ratio"].notna()]
    if known.empty:
        return "Here LoRA is exact, or the grid fits no matrix."
    values, names = known["ratio"].to_numpy(), [quoted(str(name)) for name in known["name"]]
    low, high = int(values.argmin()), int(values.argmax())
    text = f"×{three_digits(float(values[low]))} ({names[low]})"
    if len(known) == 1:
        return f"{text}."
    if three_digits(float(values[low])) == three_digits(float(values[high])):
        return f"×{three_digits(float(values[low]))} on all {len(known)} matrices."
    return f"From {text} to ×{three_digits(float(values[high]))} ({names[high]})."


def picked(row: pd.Series) -> str:
    """Say what was measured of one matrix, given its row of the survey."""
    side = min(row.rows, row.cols)
    best = "no blocks on this grid do better"
    if row.best_error < row.error_global - TIE:
        best = f"{row.best_family} leaves the least, {format_error(row.best_error)}"
    moved = ""
    if np.isfinite(row.relative_update):
        moved = f", {percent(float(row.relative_update))} of the size of the matrix"
    return (
        f"{quoted(str(row['name']))} is {row.rows:,} × {row.cols:,}, stored as {row['dtype']}. Its "
        f"change has size {three_digits(row.update_norm)}{moved}. About "
        f"{three_digits(row.effective_rank)} of its {side} directions share the change; the first "
        f"8 hold {percent(float(row.energy_8))} of it. At this budget plain LoRA leaves an error "
        f"of {format_error(row.error_global)}; {best}."
    )
