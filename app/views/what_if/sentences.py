"""Sentences of the page What if, from measured numbers. No streamlit here."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.shared.words import as_text, format_apart, format_error, join_words, percent
from lolora_core.explore.compare import TIE

__all__ = [
    "BLOCKS_HINT",
    "COLOUR_ORDER",
    "COLOUR_PAINT",
    "COLOUR_TABLE",
    "NO_GRID",
    "ORDER_INVITATION",
    "PAINT_INVITATION",
    "beyond_slider",
    "canvas_label",
    "curves",
    "grid_errors",
    "grid_map",
    "lead_changes",
    "moral",
    "moving_label",
    "order_kept",
    "other_tools",
    "painted",
    "rebuilt",
    "refused",
    "reordering",
    "too_fine",
    "unreadable_map",
]

NO_GRID = "No grid is finished yet: press Continue."
COLOUR_TABLE = "A colour image is three matrices. Switch the colour off to read this table."
COLOUR_ORDER = "Only one matrix can be put in order. Switch the colour off."
COLOUR_PAINT = "A colour image is three matrices. Switch the colour off to paint one of them."
ORDER_INVITATION = (
    "A block sees only the rows and columns that lie side by side. If those that belong together "
    "lie far apart, no grid finds them. Switch on to look for a better order."
)
PAINT_INVITATION = (
    "You have the budget of the sidebar. Choose a rank, then paint it on the blocks that need it: "
    "more rank, more detail, more parameters. Can you get as close as adaptive?"
)
BLOCKS_HINT = "Drag over blocks to paint them. Keys: arrows move, Space paints, + and − change one."
#: From this share of its cells on, a family is said to win in one corner of the map.
_MOSTLY = 0.8


def moral(cells: pd.DataFrame) -> str:
    """Say who wins where on the winner map, and on which share of it.

    Parameters
    ----------
    cells : DataFrame
        Columns grid_rows, grid_cols, rank, winner and tied; one row a cell.

    Examples
    --------
    >>> cells = pd.DataFrame({"grid_rows": [2, 2, 2, 4, 4, 4], "grid_cols": [2, 2, 2, 4, 4, 4],
    ...     "rank": [1, 2, 3] * 2, "winner": ["global", *["adaptive"] * 5],
    ...     "tied": [False] * 6})
    >>> moral(cells)
    'adaptive wins most of this map, 83 % of its cells. global wins 17 %, mostly at small budgets \
and on few blocks.'
    >>> moral(cells.assign(tied=True))
    'Nobody wins: on every cell of this map the best families tie.'
    """
    alone = cells[~cells.tied]
    if not len(alone):
        return "Nobody wins: on every cell of this map the best families tie."
    places = _places(cells)[~cells.tied]
    shares = alone.winner.value_counts() / len(cells)
    leader = str(shares.index[0])
    if shares.iloc[0] == 1:
        return f"{leader} wins everywhere on this map."
    how = "wins most of this map" if shares.iloc[0] > 0.5 else "wins the largest part of this map"
    first = f"{leader} {how}, {_whole(shares.iloc[0])} of its cells"
    corner = _corner(places[alone.winner == leader])
    parts = [f"{first}, {corner}." if corner else f"{first}."]
    for name, share in shares.iloc[1:].items():
        corner = _corner(places[alone.winner == name])
        parts.append(f"{name} wins {_whole(share)}{', ' if corner else ''}{corner}.")
    ties = cells[cells.tied]
    if len(ties):
        alike = (ties.grid_rows * ties.grid_cols == 1).mean() >= _MOSTLY
        why = ", because on one block all families are the same" if alike else ""
        parts.append(f"{_whole(len(ties) / len(cells))} is a tie{why}.")
    return " ".join(parts)


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


def _places(cells: pd.DataFrame) -> pd.DataFrame:
    """Return where each cell lies on the map, from 0 to 1: its budget and its number of blocks."""
    blocks = cells.grid_rows * cells.grid_cols
    return pd.DataFrame(
        {
            "budget": (cells["rank"].rank(method="dense") - 1)
            / max(1, cells["rank"].nunique() - 1),
            "blocks": (blocks.rank(method="dense") - 1) / max(1, blocks.nunique() - 1),
        }
    )


def _corner(places: pd.DataFrame) -> str:
    words = []
    for column, low, high in (
        ("budget", "at small budgets", "at large budgets"),
        ("blocks", "on few blocks", "on many blocks"),
    ):
        if (places[column] < 0.5).mean() >= _MOSTLY:
            words.append(low)
        elif (places[column] > 0.5).mean() >= _MOSTLY:
            words.append(high)
    return f"mostly {' and '.join(words)}" if words else ""


def lead_changes(cells: pd.DataFrame) -> str:
    """Say on which grids another family takes the lead as the budget grows.

    Examples
    --------
    >>> lead_changes(pd.DataFrame({"grid_rows": [2, 2], "grid_cols": [2, 2], "rank": [1, 2],
    ...     "winner": ["global", "adaptive"], "tied": [False, False]}))
    'The lead changes on 2×2 at r = 2 (adaptive).'
    """
    leads: dict[tuple[int, int], str] = {}
    found: dict[tuple[int, int], list[str]] = {}
    columns = ("grid_rows", "grid_cols", "rank", "winner", "tied")
    for rows, cols, rank, winner, tied in zip(*(cells[c].tolist() for c in columns), strict=True):
        changed = found.setdefault((rows, cols), [])
        if not tied and leads.setdefault((rows, cols), winner) != winner:
            leads[rows, cols] = winner
            changed.append(f"r = {rank} ({winner})")
    changes = [f"on {rows}×{cols} at {join_words(at)}" for (rows, cols), at in found.items() if at]
    if not changes:
        return "On no grid does the lead change as the budget grows."
    return f"The lead changes {'; '.join(changes)}."


def curves(leaders: pd.DataFrame, last: int) -> str:
    """Say whose best curve is the lowest, from which number of parameters on.

    Parameters
    ----------
    leaders : DataFrame
        Columns family and num_parameters, a row for each change of the family on the front.
    last : int
        Parameters at the end of the front.

    Examples
    --------
    >>> curves(pd.DataFrame({"family": ["global", "adaptive"], "num_parameters": [1024, 9216]}),
    ...        50000)
    'The lowest line is global from 1,024 parameters on, then adaptive from 9,216 on.'
    """
    names = [str(name) for name in leaders["family"]]
    if not names:
        return "No family lowers the error here."
    if len(set(names)) == 1:
        return f"{names[0]} is the lowest line from the first parameter to the last."
    if len(names) > 4:
        owned = np.diff([*leaders["num_parameters"], last])
        longest = leaders.assign(owned=owned).groupby("family")["owned"].sum().idxmax()
        return (
            f"The lowest line changes hands {len(names) - 1} times between "
            f"{join_words(list(dict.fromkeys(names)))}; {longest} holds it for the longest stretch."
        )
    parts = [
        f"{row.family} from {row.num_parameters:,}{' parameters' if at == 0 else ''} on"
        for at, row in enumerate(leaders.itertuples())
    ]
    return f"The lowest line is {', then '.join(parts)}."


def grid_errors(name: str, errors: np.ndarray, rows: list[int], cols: list[int]) -> str:
    """Say which numbers of block rows and columns suit a family best, and which worst.

    Examples
    --------
    >>> grid_errors("localized", np.array([[0.2, 0.1], [0.3, 0.2]]), [1, 2], [1, 4])
    'localized does best on 1×4 blocks, error 0.100, and worst on 2×1, error 0.300.'
    """
    if not np.isfinite(errors).any():
        return f"{name} cannot be used on these grids."
    low = np.unravel_index(np.nanargmin(errors), errors.shape)
    high = np.unravel_index(np.nanargmax(errors), errors.shape)
    if errors[high] - errors[low] <= TIE:
        return f"{name} has the same error, {format_error(errors[low])}, on every grid."
    lowest, highest = format_apart(float(errors[low]), float(errors[high]))

    def on(tied: np.ndarray, word: str) -> str:
        grids = [f"{rows[i]}×{cols[j]}" for i, j in np.argwhere(tied).tolist()]
        return f"{join_words(grids)}{word}" if len(grids) <= 3 else f"{len(grids)} grids"

    return (
        f"{name} does best on {on(errors <= errors[low] + TIE, ' blocks')}, error {lowest}, and "
        f"worst on {on(errors >= errors[high] - TIE, '')}, error {highest}."
    )


def grid_map(rank: int, budget: int) -> str:
    """Say how the map over block rows and block columns is to be read."""
    return (
        f"Each cell: the error at your budget, {budget:,} parameters (r = {rank}). ● marks the "
        "lowest, the frame your grid. Click a cell to open it in Compare."
    )


def painted(
    used: int, budget: int, error: float, rivals: tuple[float, float], *, proven: bool
) -> str:
    """Say what a painted map reaches, and how close to the best at the same budget.

    Parameters
    ----------
    used, budget : int
        Parameters.
    error : float
        Relative error of the painted map.
    rivals : (float, float)
        Errors of `localized` and of `adaptive` at the budget.
    proven : bool
        Whether no map of the budget is better than `adaptive`.

    Examples
    --------
    >>> painted(0, 1000, 1.0, (0.2, 0.1), proven=True)
    'Nothing is painted yet: the error is 1, as bad as it gets. You have 1,000 parameters.'
    >>> painted(900, 1000, 0.15, (0.2, 0.1), proven=True)
    'Your map has an error of 0.150, with 100 of 1,000 parameters left. That beats the same rank \
everywhere (localized, 0.200). The best possible is 0.100 (adaptive): yours is 1.5 times that.'
    >>> painted(1100, 1000, 0.1, (0.2, 0.1), proven=True)
    'Your map costs 1,100 parameters and you have 1,000: 100 too many. It counts again when you \
take ranks away or raise the budget.'
    """
    if used > budget:
        return (
            f"Your map costs {used:,} parameters and you have {budget:,}: {used - budget:,} too "
            "many. It counts again when you take ranks away or raise the budget."
        )
    if used == 0:
        return (
            f"Nothing is painted yet: the error is {error:.0f}, as bad as it gets. You have "
            f"{budget:,} parameters."
        )
    equal, best = rivals
    parts = [
        f"Your map has an error of {format_error(error)}, with {budget - used:,} of {budget:,} "
        "parameters left."
    ]
    if abs(error - best) <= TIE:
        word = "no map does better" if proven else "as good as adaptive"
        return f"{parts[0]} You found the best: {word} at this budget."
    if error < best:
        return f"{parts[0]} That is better than adaptive ({format_apart(error, best)[1]})!"
    word = "beats" if error < equal - TIE else "is worse than" if error > equal + TIE else "equals"
    parts.append(f"That {word} the same rank everywhere (localized, {format_error(equal)}).")
    what = "The best possible is" if proven else "The best known is"
    near = f"yours is {error / best:.3g} times that" if best >= 1e-6 else "it leaves nothing out"
    parts.append(f"{what} {format_apart(error, best)[1]} (adaptive): {near}.")
    return " ".join(parts)


def canvas_label(grid: str) -> str:
    """Say to a screen reader what the picture to paint is."""
    return (
        f"The target cut into {grid} blocks, to be painted with ranks. Arrow keys move over the "
        "blocks, Space or Enter paints with the brush, plus and minus change the rank of one block."
    )


def rebuilt(error: float) -> str:
    """Say what the picture beside the painted one is."""
    return f"Rebuilt from your ranks. Error {format_error(error)}."


def refused(more: int, left: int) -> str:
    """Say why a stroke was not painted.

    Examples
    --------
    >>> refused(3072, 1024)
    'Not painted: this stroke needs 3,072 more parameters and you have 1,024 left, so 2,048 are \
missing. Choose a smaller rank, or take some away elsewhere.'
    """
    return (
        f"Not painted: this stroke needs {more:,} more parameters and you have {max(left, 0):,} "
        f"left, so {more - left:,} are missing. Choose a smaller rank, or take some away elsewhere."
    )


def unreadable_map(problem: ValueError) -> str:
    """Say why a rank map as text is not drawn."""
    return f"{as_text(str(problem))}. Until you change it, nothing is painted."


def too_fine(grid: str, largest: int) -> str:
    """Say that a grid has too many blocks to be painted."""
    return (
        f"Your grid has {grid} blocks, too many to paint. Choose at most {largest}×{largest} in "
        "the sidebar."
    )


def reordering(before: float, after: float, moved: float) -> str:
    """Say what an order of rows and columns gained for `adaptive`.

    Examples
    --------
    >>> reordering(0.8, 0.2, 1.0)
    'In this order the error of adaptive falls from 0.800 to 0.200, with the same budget. 100 % of \
the rows and columns moved.'
    """
    if before - after <= TIE:
        return (
            f"No better order was found: the error of adaptive stays at {format_error(before)}, "
            "and so do the rows and columns."
        )
    lower, higher = format_apart(after, before)
    return (
        f"In this order the error of adaptive falls from {higher} to {lower}, with the same "
        f"budget. {percent(moved)} of the rows and columns moved."
    )


def moving_label(title: str, grid: str) -> str:
    """Say to a screen reader what the picture on the move is."""
    return (
        f"{title} with {grid} blocks drawn on it. The handle below moves its rows, and then its "
        "columns, from where they are to their places in the new order."
    )


def order_kept(before: float, after: float) -> str:
    """Say what the pictures of the blocks before and after show.

    Examples
    --------
    >>> order_kept(0.46, 1.0)
    'Above: where the energy of the matrix lies. Below: how much of each block its ranks keep, \
46 % of all energy before and 100 % after.'
    """
    return (
        "Above: where the energy of the matrix lies. Below: how much of each block its ranks keep, "
        f"{_whole(before)} of all energy before and {_whole(after)} after."
    )


def beyond_slider(rank: int, largest: int) -> str:
    """Say why a choice cannot be opened in Compare."""
    return f"That needs a budget of r = {rank:,}; the slider of Compare ends at {largest}."


def other_tools(rank: int) -> str:
    """Say how the table of other tools is to be read."""
    return (
        f"What to type in each tool to get a plain LoRA of rank {rank} of this matrix. The tools "
        "count differently, so the same number means different things in each. Each value lies in "
        "the middle of those that give this rank."
    )
