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
from lolora_core.families import REFERENCE, Family

__all__ = [
    "beyond_grid",
    "block",
    "chosen_ranks",
    "crossings",
    "curve",
    "files",
    "format_figure",
    "marked_figure",
    "panel",
    "ranks_of",
    "result_panel",
    "same_figure",
    "table",
    "target_facts",
    "undefined",
    "unmatched",
    "verdict",
]

#: Joins words that stay on one line.
NO_BREAK = "\u00a0"


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
            return f"All families capture this target exactly at r = {found.rank}."
        return f"All families do equally well here: error {format_error(best)}."
    word = "wins" if len(winners) == 1 else "tie and win"
    runner = next(r for r in found.ranking if r.family.name not in names)
    text = f"**{join_words(names)}** {word}: "
    lowest, next_one = format_apart(best, runner.relative_error)
    text += "exact to rounding; " if best < TIE else f"error {lowest}; "
    text += f"{runner.family.name} comes next with {next_one}"
    if REFERENCE.name in names:
        return f"{text}."
    if global_rank_needed is None:
        return f"{text}, and {REFERENCE.name} reaches that at no budget."
    factor = global_rank_needed / max(found.rank, 1)
    if f"{factor:.2g}" != "1":
        times = f"{factor:.2g}× the parameters"
        text += f"; {REFERENCE.name} needs {times} (r = {global_rank_needed}) for it"
    elif factor > 1:
        more = percent(factor - 1)
        text += f"; {REFERENCE.name} needs {more} more parameters (r = {global_rank_needed}) for it"
    return f"{text}."


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
        return "Exactly matched: every family uses the whole budget."
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


def undefined(family: str, grid: str) -> str:
    """Say why a family has no picture on a grid."""
    return f"{family.capitalize()} needs as many block rows as block columns; the grid is {grid}."


def panel(error: float, ranks: str, parameters: int) -> str:
    """Return what stands over the picture of a family.

    Examples
    --------
    >>> panel(0.0804, "32", 32768).replace(NO_BREAK, "~")
    'error~0.0804 · rank~32 · 32,768~parameters'
    """
    words = f"error {format_error(error)}", f"rank {ranks}", f"{parameters:,} parameters"
    return " · ".join(word.replace(" ", NO_BREAK) for word in words)


def ranks_of(family: Family, rank_maps: np.ndarray, terms: Sequence[int] = ()) -> str:
    """Return the lowest and the highest rank of a family's blocks, after those of global terms.

    Examples
    --------
    >>> ranks_of(FAMILIES["diagonal"], np.array([[[4, 0], [0, 4]]]))
    '4'
    >>> ranks_of(FAMILIES["hybrid"], np.array([[[1, 3]]]), [8])
    '8 + 1–3'
    """
    # Off the diagonal a family that needs a square grid has no blocks.
    some = family.needs_square_grid and rank_maps.any()
    used = rank_maps[rank_maps > 0] if some else rank_maps
    low, high = int(used.min()), int(used.max())
    spread = str(low) if low == high else f"{low}–{high}"
    if family.from_spectra:
        return spread
    return f"{'/'.join(map(str, dict.fromkeys(terms)))} + {spread}"


def result_panel(result: Result) -> str:
    """Return what stands over the picture of a family at one budget."""
    terms = [channel.global_rank for channel in result.channels]
    ranks = ranks_of(result.family, result.rank_maps, terms)
    return panel(result.relative_error, ranks, result.num_parameters)


def curve(frame: pd.DataFrame, largest: int, grid: str, points: Sequence[str]) -> str:
    """Describe the curves up to equivalent rank `largest`; families in `points` have none."""
    text = (
        f"Relative error of every family at every budget up to r = {largest}, from singular values "
        "alone. Grey: the Eckart–Young floor, the least error of any matrix of the largest rank "
        f"that a rank map on this {grid} grid can buy. {crossings(frame)}"
    )
    for name in points:
        text += f" {name.capitalize()} is a point: each budget of it costs a search."
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
    >>> block((0, 3), (64, 64), {"global": 32}, {"hybrid": 8}, channels=1).split("keeps. ")[1]
    'Global keeps 32 of the whole matrix, not of this block. Hybrid has a term of rank 8 for the \
whole.'
    """
    text = (
        f"Block {at}, counted from 0: {size[0]}×{size[1]} entries. Dots: its singular values, "
        "logarithmic; lines: how many of them each family keeps."
    )
    for name, rank in wholes.items():
        text += f" {name.capitalize()} keeps {rank} of the whole matrix, not of this block."
    if channels > 1:
        text += " Root mean square over the three channels."
    for name, rank in terms.items():
        text += f" {name.capitalize()} has a term of rank {rank} for the whole."
    return text


def table(*, image: bool) -> str:
    """Say how the table is to be read."""
    span = "1" if image else "the span of the target's values"
    return f"● marks the best of a column. PSNR and SSIM take {span} as the data range."


def chosen_ranks(chosen: np.ndarray, uniform: int) -> str:
    """Say between which ranks `adaptive` chose, where `localized` gives every block `uniform`.

    Examples
    --------
    >>> chosen_ranks(np.array([[0, 4]]), 2)
    'Ranks from 0 to 4 where localized gives every block 2; 1 of 2 blocks gets none. The frame \
marks the picked block.'
    >>> chosen_ranks(np.array([[2, 2]]), 2)
    'Every block gets rank 2, as localized gives it. The frame marks the picked block.'
    """
    low, high, zero = int(chosen.min()), int(chosen.max()), int((chosen == 0).sum())
    if low == high:
        other = "as localized gives it" if low == uniform else f"where localized gives it {uniform}"
        return f"Every block gets rank {low}, {other}. The frame marks the picked block."
    none = f"{zero} of {chosen.size} blocks {'gets' if zero == 1 else 'get'} none"
    return (
        f"Ranks from {low} to {high} where localized gives every block {uniform}; {none}. The "
        "frame marks the picked block."
    )


def files(limit: float) -> str:
    """Say what the files hold whose error pictures end at ±`limit`."""
    return (
        f"PNG files have one pixel an entry. The error picture uses −{limit:.3g} … {limit:.3g}, "
        "the scale of all families; values of a reconstruction outside the target's range are "
        "clipped in the PNG and whole in the NPY. All settings are under Share."
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
        return f"Lowest at every budget shown: {leads[0][0]}."
    if len(leads) > 4:
        return f"The lead changes {len(leads) - 1} times over these budgets."
    parts = [f"{who} (r = {low if low == high else f'{low}–{high}'})" for who, low, high in leads]
    return f"Lowest: {'; '.join(parts)}."


def target_facts(channels: Sequence[Decomposition]) -> str:
    """Describe the target's spectrum: norm, effective rank, singular values for 98 %."""
    spectra = [c.on(c.grid.whole()).spectra for c in channels]
    norm = float(np.sqrt(sum(s.total for s in spectra)))
    effective = max(effective_rank(s.values) for s in spectra)
    few = energy_count(channels, 0.98)
    word = "" if len(channels) == 1 else ", of the hardest channel"
    return (
        f"The target: ‖W‖_F = {norm:.4g}; effective rank {effective:.3g} (exp of the entropy of "
        f"the normalised σ²); {few:,} singular values hold 98 % of its energy{word}."
    )
