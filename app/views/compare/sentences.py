"""The sentences of Compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from app.shared.words import (
    dense_storage,
    format_apart,
    format_error,
    join_words,
    percent,
    three_digits,
)
from lolora_core import FAMILIES, Decomposition
from lolora_core.common.metrics import effective_rank
from lolora_core.explore.compare import TIE, Comparison, Result, energy_count
from lolora_core.families import REFERENCE

__all__ = [
    "FLOOR",
    "NOT_SEARCHED",
    "SPECTRUM",
    "WHY",
    "beyond_grid",
    "block",
    "chosen_ranks",
    "crossings",
    "curve",
    "files",
    "format_count",
    "format_figure",
    "marked_figure",
    "same_figure",
    "structure",
    "structures",
    "table",
    "target_definition",
    "target_facts",
    "undefined",
    "unmatched",
    "verdict",
]


def verdict(found: Comparison, global_rank_needed: int | None) -> str:
    """Say who wins and by how much.

    Parameters
    ----------
    found : Comparison
    global_rank_needed : int or None
        Equivalent rank at which `global` reaches the winner's error.
    """
    winners = found.winners
    names = [result.family.name for result in winners]
    best = winners[0].relative_error
    if len(winners) == len(found.results):
        if best < TIE:
            return "**Every family rebuilds it exactly** with this budget."
        return f"**No family is better here.** Each has error {format_error(best)}."
    who, one = join_words(names).capitalize(), len(winners) == 1
    runner = next(r for r in found.ranking if r.family.name not in names)
    lowest, next_one = format_apart(best, runner.relative_error)
    if best < TIE:
        text = f"**{who} {'rebuilds' if one else 'rebuild'} it exactly.** The next best is "
    else:
        its = "Its" if one else "Their"
        text = f"**{who} {'comes' if one else 'come'} closest.** {its} error is {lowest}; "
        text += "the next best is "
    text += f"{runner.family.name} with {next_one}."
    if REFERENCE.name in names:
        return text
    if global_rank_needed is None:
        return f"{text} No budget lets {REFERENCE.name} match it."
    factor = global_rank_needed / max(found.rank, 1)
    if f"{factor:.2g}" != "1":
        more = f"{factor:.2g} times the parameters"
    elif factor > 1:
        more = f"{percent(factor - 1)} more parameters"
    else:
        return text
    pronoun = "it" if one else "them"
    return (
        f"{text} To match {pronoun}, {REFERENCE.name} would need {more} (r = {global_rank_needed})."
    )


def unmatched(found: Comparison, entries: int) -> str:
    """Say whether the families use the budget to the last, and if it pays for dense storage."""
    return f"{_left_over(found)} {dense_storage(found.budget, entries)}".rstrip()


def _left_over(found: Comparison) -> str:
    left = [
        f"{name} leaves {result.unused_parameters:,}"
        for name, result in found.results.items()
        if result.unused_parameters
    ]
    if not left:
        return "Every family spends the whole budget."
    return f"Of this budget {join_words(left)} unused."


def format_figure(column: str, value: float) -> str:
    """Return one figure of the table with its unit, three significant digits.

    Examples
    --------
    >>> format_figure("PSNR", 27.8412), format_figure("energy", 0.99353)
    ('27.8 dB', '99.4 %')
    """
    if column == "energy":
        return percent(value)
    if column == "PSNR":
        return f"{three_digits(value)} dB"
    return format_error(value) if column == "relative error" else three_digits(value)


def marked_figure(column: str, value: float, best: float) -> str:
    """Return a figure of the table with a dot where it is the best, or prints as the best.

    Examples
    --------
    >>> marked_figure("PSNR", 27.83, 27.84), marked_figure("PSNR", 26.8, 27.84)
    ('● 27.8 dB', '26.8 dB')
    """
    text = format_figure(column, value)
    same = same_figure(column, value, best)
    # Shares end at 99.99 %, so what prints as equal may be far apart.
    if column != "energy":
        same |= text == format_figure(column, best)
    return f"● {text}" if same else text


def structure(result: Result) -> str:
    """Say into which factors a family puts its parameters, of the first channel.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> from lolora_core.explore.compare import compare
    >>> found = compare([decompose(np.eye(64), 8)], 8)
    >>> structure(found.results["localized"])
    'Localized: 64 blocks with B and A of rank 1; 1,024 parameters.'
    >>> structure(found.results["global"])
    'Global: B of 64×8 and A of 8×64 for the whole matrix; 1,024 parameters.'
    """
    found = result.channels[0]
    parts = []
    for grid, ranks in found.terms:
        if grid.blocks == (1, 1):
            (m, n), r = grid.shape, int(ranks[0, 0])
            parts.append(f"B of {m}×{r} and A of {r}×{n} for the whole matrix")
            continue
        used = ranks[ranks > 0]
        low, high = int(used.min()), int(used.max())
        each = str(low) if low == high else f"{low} to {high}"
        word = "block" if used.size == 1 else "blocks"
        parts.append(f"{used.size:,} {word} with B and A of rank {each}")
    what = ", and ".join(parts) or "nothing yet: one rank costs more than the budget"
    return f"{result.family.name.capitalize()}: {what}; {found.num_parameters:,} parameters."


def structures(found: Comparison, entries: int) -> str:
    """Say how the drawings of the structures are to be read."""
    per_channel = found.budget // len(next(iter(found.results.values())).channels)
    return (
        "Each block, in grey, is the product of the tall B at its left and the wide A above it, "
        "drawn in true proportion. The coloured area is what is trained: at most "
        f"{per_channel:,} of the matrix's {entries:,} numbers ({percent(per_channel / entries)}), "
        "the same for every family."
    )


def undefined(family: str, grid: str) -> str:
    """Say why a family has no picture on a grid."""
    return f"{family.capitalize()} needs as many block rows as block columns; the grid is {grid}."


def curve(frame: pd.DataFrame, largest: int, grid: str, points: Sequence[str]) -> str:
    """Describe the curves up to equivalent rank `largest`; families in `points` have none."""
    text = (
        f"How the error falls as the budget grows, up to r = {largest}. {crossings(frame)} Grey: "
        f"no map of ranks on this {grid} grid can get below this line."
    )
    for name in points:
        text += f" {name.capitalize()} is one point, because each of its budgets costs a search."
    return text


def beyond_grid(grid: str, asked: tuple[int, int], shown: tuple[int, int]) -> str:
    """Say that a link asks for a block that the grid does not have."""
    return f"The {grid} grid ends before block {asked}; you see block {shown}."


def block(
    at: tuple[int, int],
    size: tuple[int, int],
    wholes: Mapping[str, int],
    terms: Mapping[str, int],
    *,
    channels: int,
) -> str:
    """Describe the spectrum of one block.

    Parameters
    ----------
    at, size : (int, int)
    wholes, terms : mapping of str to int
        Ranks of families for the whole matrix alone, and of their terms for the whole.
    channels : int

    Examples
    --------
    >>> block((0, 3), (64, 64), {"global": 32}, {"hybrid": 8}, channels=1).split("line. ")[1]
    'Global keeps 32 of the whole matrix, not of this block. Hybrid has a term of rank 8 for the \
whole.'
    """
    text = (
        f"Block {at}, counted from 0, has {size[0]}×{size[1]} entries. Each dot is one of its "
        "patterns, the strongest first; a family keeps the dots left of its line."
    )
    for name, rank in wholes.items():
        text += f" {name.capitalize()} keeps {rank} of the whole matrix, not of this block."
    if channels > 1:
        text += " The dots are the mean over the three colours."
    for name, rank in terms.items():
        text += f" {name.capitalize()} has a term of rank {rank} for the whole."
    return text


def table(*, image: bool) -> str:
    """Say how the table is to be read."""
    span = "1" if image else "the span of the target's values"
    return f"● is the best of a column. PSNR and SSIM take {span} as the range of values."


def chosen_ranks(chosen: np.ndarray, uniform: int) -> str:
    """Say between which ranks `adaptive` chose, where `localized` gives every block `uniform`.

    Examples
    --------
    >>> chosen_ranks(np.array([[0, 4]]), 2)
    'Adaptive gives up to rank 4 where detail is, and nothing to 1 of 2 blocks. Localized gives \
every block 2. The frame marks the picked block.'
    >>> chosen_ranks(np.array([[2, 2]]), 2)
    'Every block gets rank 2, the same as localized gives. The frame marks the picked block.'
    """
    low, high, zero = int(chosen.min()), int(chosen.max()), int((chosen == 0).sum())
    frame = "The frame marks the picked block."
    same = f"Localized gives every block {uniform}."
    if low == high:
        other = "the same as localized gives" if low == uniform else f"localized gives it {uniform}"
        return f"Every block gets rank {low}, {other}. {frame}"
    least = (
        f"nothing to {zero:,} of {chosen.size:,} blocks" if zero else f"rank {low} to the plainest"
    )
    return f"Adaptive gives up to rank {high} where detail is, and {least}. {same} {frame}"


def files(limit: float) -> str:
    """Say what the files hold whose error pictures end at ±`limit`."""
    return (
        f"PNG files have one pixel an entry. The error picture runs from −{limit:.3g} to "
        f"{limit:.3g}, the same for every family. What lies outside the target's range is cut off "
        "in the PNG and kept in the NPY. All settings are under Share."
    )


def same_figure(column: str, value: float, best: float) -> bool:
    """Return whether a figure is the best of its column, ties as close as errors are known."""
    return value == best or abs(value - best) <= TIE * max(abs(best), TIE)


def crossings(frame: pd.DataFrame) -> str:
    """Say which family leads over which budgets, as drawn."""
    names = [name for name in FAMILIES if name in frame]
    used = frame[frame["equivalent rank"] > 0]
    leads: list[tuple[str, int, int]] = []
    for rank, row in zip(used["equivalent rank"], used[names].to_numpy(), strict=True):
        tied = [name for name, error in zip(names, row, strict=True) if error <= row.min() + TIE]
        lead = join_words(tied) if len(tied) < len(names) else "every family"
        if leads and leads[-1][0] == lead:
            leads[-1] = (lead, leads[-1][1], int(rank))
        else:
            leads.append((lead, int(rank), int(rank)))
    if len(leads) == 1:
        return f"At every budget {leads[0][0]} has the lowest error."
    if len(leads) > 4:
        return f"The lead changes {len(leads) - 1} times over these budgets."
    parts = [f"{who} at r = {low if low == high else f'{low}–{high}'}" for who, low, high in leads]
    return f"Lowest error: {', then '.join(parts)}."


def target_facts(channels: Sequence[Decomposition], *, image: bool) -> str:
    """Say how many patterns make up the target: its effective rank, and those for 98 %."""
    spectra = [c.on(c.grid.whole()).spectra for c in channels]
    effective = max(effective_rank(s.values) for s in spectra)
    few = energy_count(channels, 0.98)
    what = "picture" if image else "matrix"
    colour = "" if len(channels) == 1 else " of its hardest colour"
    return (
        f"About {format_count(effective)} make up most of this {what}{colour}; {few:,} give 98 %."
    )


def target_definition(channels: Sequence[Decomposition]) -> str:
    """Return the figures behind `target_facts`, and how they are defined."""
    spectra = [c.on(c.grid.whole()).spectra for c in channels]
    norm = float(np.sqrt(sum(s.total for s in spectra)))
    effective = max(effective_rank(s.values) for s in spectra)
    return (
        f"A pattern is one singular value with its two vectors. Effective rank {effective:.3g}: "
        "the exponential of the entropy of the normalised σ². 98 % is of the energy "
        f"‖W‖²_F = Σσ²; here ‖W‖_F = {norm:.4g}."
    )


def format_count(patterns: float) -> str:
    """Return about how many patterns, small numbers as words.

    Examples
    --------
    >>> format_count(1.99), format_count(1.2), format_count(153.6)
    ('two patterns', 'one pattern', '154 patterns')
    """
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    count = max(1, round(patterns))
    word = words[count - 1] if count <= len(words) else f"{count:,}"
    return f"{word} {'pattern' if count == 1 else 'patterns'}"


FLOOR = (
    "The grey line takes the largest rank that any map of ranks on this grid can buy, and the "
    "least error of any matrix of that rank (Eckart–Young)."
)
NOT_SEARCHED = "Stopped: hybrid was not searched at this budget, and is not shown."
SPECTRUM = (
    r"A pattern is one singular value $\sigma$ of the block with its two vectors. The best "
    r"approximation of rank $r$ keeps the $r$ largest; its squared error is "
    r"$\sum_{i>r} \sigma_i^2$."
)
WHY = (
    r"The error is relative, $\|W - \hat W\|_F / \|W\|_F$ with $\|W\|_F^2 = \sum_{ij} W_{ij}^2$: "
    "0 is exact; 1 is as bad as storing nothing. Every family has the same number of parameters to "
    "spend. Errors within 1e-5 of each other count as a tie."
)
