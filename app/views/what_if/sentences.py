"""Sentences of the page What if, from measured numbers. No streamlit here."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.shared.words import format_apart, format_error, join_words, percent, three_digits
from lolora_core.explore.compare import TIE

__all__ = [
    "COLOUR_PAINT",
    "COLOUR_REORDER",
    "COLOUR_TABLE",
    "NO_GRID",
    "OPTIMUM",
    "beyond_slider",
    "grid_errors",
    "grid_map",
    "order_scale",
    "other_tools",
    "painted",
    "pareto",
    "rank_cost",
    "reordering",
    "too_fine",
    "unreadable_map",
    "winner_map",
]

NO_GRID = "No grid is finished yet: press Continue."
COLOUR_TABLE = "A colour image is three matrices; switch the colour off to read this table."
COLOUR_REORDER = "Only one matrix can be reordered; switch the colour off."
COLOUR_PAINT = "A colour image is three matrices; switch the colour off to paint one rank map."

OPTIMUM = "As good as adaptive: you found the optimum."


def winner_map(cells: pd.DataFrame) -> str:
    """Count who wins how many cells, and say where the lead changes on each grid.

    Examples
    --------
    >>> winner_map(pd.DataFrame({"grid_rows": [2, 2], "grid_cols": [2, 2], "rank": [1, 2],
    ...     "winner": ["global", "adaptive"], "tied": [False, False]}))
    'Of 2 cells global leads 1 and adaptive 1. The lead changes on 2×2 at r = 2 (adaptive).'
    """
    counts = cells.loc[~cells.tied, "winner"].value_counts()
    parts = [f"{name} {'leads ' if at == 0 else ''}{n}" for at, (name, n) in
             enumerate(counts.items())]  # fmt: skip
    ties = int(cells.tied.sum())
    if ties:
        parts.append(f"{ties} {'is a tie' if ties == 1 else 'are ties'}")
    text = f"Of {len(cells):,} cells {join_words(parts)}."
    changes = []
    for (rows, cols), part in cells.groupby(["grid_rows", "grid_cols"], sort=False):
        alone = part[~part.tied]
        changed = alone[alone.winner != alone.winner.shift()].iloc[1:]
        if len(changed):
            at = join_words([f"r = {row.rank} ({row.winner})" for row in changed.itertuples()])
            changes.append(f"on {rows}×{cols} at {at}")
    if not changes:
        return f"{text} On no grid does the lead change."
    return f"{text} The lead changes {'; '.join(changes)}."


def pareto(front: pd.DataFrame) -> str:
    """Name the structures on the Pareto front with their ranges of parameters.

    Parameters
    ----------
    front : DataFrame
        With a column `structure`, one row for each change of structure.

    Examples
    --------
    >>> pareto(pd.DataFrame({"structure": ["global", "adaptive 8×8"],
    ...                      "num_parameters": [0, 9216]}))
    'On the front: global from 0 parameters; adaptive 8×8 from 9,216.'
    """
    parts = [
        f"{row.structure} from {row.num_parameters:,}{' parameters' if at == 0 else ''}"
        for at, row in enumerate(front.itertuples())
    ]
    if len(parts) > 8:
        return (
            f"The structure on the front changes {len(parts) - 1} times, from "
            f"{front.iloc[0].structure} to {front.iloc[-1].structure}; the CSV names every row."
        )
    return f"On the front: {'; '.join(parts)}."


def grid_errors(name: str, errors: np.ndarray, rows: list[int], cols: list[int]) -> str:
    """Say which numbers of block rows and columns suit a family best, and which worst.

    Examples
    --------
    >>> grid_errors("localized", np.array([[0.2, 0.1], [0.3, 0.2]]), [1, 2], [1, 4])
    'localized has its lowest error, 0.100, on 1×4 and its highest, 0.300, on 2×1.'
    """
    if not np.isfinite(errors).any():
        return f"{name} is not defined on these grids."
    low = np.unravel_index(np.nanargmin(errors), errors.shape)
    high = np.unravel_index(np.nanargmax(errors), errors.shape)
    if errors[high] - errors[low] <= TIE:
        return f"{name} has the same error, {format_error(errors[low])}, on every grid."
    lowest, highest = format_apart(float(errors[low]), float(errors[high]))

    def on(tied: np.ndarray) -> str:
        grids = [f"{rows[i]}×{cols[j]}" for i, j in np.argwhere(tied).tolist()]
        return join_words(grids) if len(grids) <= 3 else f"{len(grids)} grids"

    return (
        f"{name} has its lowest error, {lowest}, on {on(errors <= errors[low] + TIE)} and its "
        f"highest, {highest}, on {on(errors >= errors[high] - TIE)}."
    )


def painted(used: int, budget: int, error: float, rivals: dict[str, float]) -> str:
    """Say what a painted map costs, what it leaves out, and whom it beats.

    Parameters
    ----------
    used, budget : int
        Parameters.
    error : float
        Relative error of the painted map.
    rivals : dict of str to float
        Errors of other families at the budget.

    Examples
    --------
    >>> painted(900, 1000, 0.1, {"localized": 0.2})
    '900 of 1,000 parameters, 100 left. Error 0.100: better than localized (0.200).'
    >>> painted(1100, 1000, 0.1, {"localized": 0.2})
    '1,100 of 1,000 parameters: 100 too many. Take ranks away; until then nothing counts.'
    """
    spent = f"{used:,} of {budget:,} parameters"
    if used > budget:
        return f"{spent}: {used - budget:,} too many. Take ranks away; until then nothing counts."
    words = []
    for name, other in rivals.items():
        if abs(error - other) <= TIE:
            word = "as good as"
        else:
            word = "better than" if error < other else "worse than"
        figure = format_error(other)
        if figure == format_error(error) and abs(error - other) > TIE:
            figure += f", apart by {abs(error - other):.1g}"
        words.append(f"{word} {name} ({figure})")
    return f"{spent}, {budget - used:,} left. Error {format_error(error)}: {join_words(words)}."


def reordering(before: float, after: float, moved: float) -> str:
    """Say what an order of rows and columns gained for `adaptive`.

    Examples
    --------
    >>> reordering(0.8, 0.2, 1.0)
    'In this order adaptive has an error of 0.200 in place of 0.800; 100 % of the rows and columns \
moved.'
    """
    if before - after <= TIE:
        return (
            f"No order was found that lowers the error of adaptive, {format_error(before)}: the "
            "matrix stays as it is."
        )
    lower, higher = format_apart(after, before)
    return (
        f"In this order adaptive has an error of {lower} in place of {higher}; {percent(moved)} of "
        "the rows and columns moved."
    )


def beyond_slider(rank: int, largest: int) -> str:
    """Say why a choice cannot be opened in Compare."""
    return f"That is r = {rank:,}; Compare goes up to {largest}."


def other_tools(rank: int) -> str:
    """Say how the table of other tools is to be read."""
    return (
        f"What gives rank {rank} to a global LoRA of this matrix in each tool. The same number "
        "means a different thing in each: 0.9 of Σσ² is not 0.9 of Σσ. Each value lies in the "
        "middle of those that give this rank."
    )


def grid_map(rank: int, budget: int) -> str:
    """Say how the map over block rows and block columns is to be read."""
    return (
        f"Relative error at r = {rank}, {budget:,} parameters; ● marks the lowest, the frame the "
        "grid of the sidebar. Click a cell to open Compare there."
    )


def order_scale(low: float, high: float) -> str:
    """Say on which scale the pictures before and after lie, and what an order costs."""
    return (
        f"Both pictures use the scale {three_digits(low)} … {three_digits(high)}. An order of "
        "channels is free at inference where the layers before and after take it in."
    )


def unreadable_map(problem: ValueError) -> str:
    """Say why a rank map as text is not drawn, and what is drawn in its place."""
    return f"{problem}. You see the map of localized; painting starts from it."


def too_fine(grid: str, largest: int) -> str:
    """Say that a grid has too many blocks to be painted."""
    return f"The grid is {grid}; choose one of at most {largest}×{largest} blocks to paint."


def rank_cost(size: tuple[int, int], cost: int) -> str:
    """Say what a rank in the first block costs, and where the error comes from."""
    return (
        f"A rank in a block of {size[0]}×{size[1]} entries costs {cost:,} parameters. The best a "
        "map can do with a budget is the truncated SVD of each block, so the error follows from "
        "singular values alone."
    )
