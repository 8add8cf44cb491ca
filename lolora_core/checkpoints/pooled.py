"""All matrices of a pair together: the error that a budget leaves, for each structure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int

from lolora_core.checkpoints.columns import error_columns
from lolora_core.checkpoints.rows import Row
from lolora_core.explore.curves import answers
from lolora_core.explore.sweep import Sweep
from lolora_core.families import FAMILIES, REFERENCE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["curve_row", "pair_curve", "pooled_errors"]

_EVERY, _STEP = 128, 1.05


def _ladder(last: int) -> Int[np.ndarray, " q"]:
    """Return the ranks of a curve up to `last`: the first 128, then steps of 5 %.

    Examples
    --------
    >>> _ladder(140).tolist()[-3:]
    [128, 134, 141]
    >>> _ladder(3)
    array([1, 2, 3])
    """
    ranks = list(range(1, min(last, _EVERY) + 1))
    while ranks[-1] < last:
        ranks.append(round(ranks[-1] * _STEP))
    return np.array(ranks, dtype=np.int64)


def curve_row(
    found: Sweep, columns: Mapping[str, tuple[str, tuple[int, int]]]
) -> dict[str, list[float]]:
    """Return the errors of one matrix at every rank, until no rank is left to add.

    Parameters
    ----------
    found : Sweep
        Its singular values answer; nothing is decomposed again.
    columns : mapping
        Column of each structure, with its key in the sweep.
    """
    m, n = found.shape
    most = max(int(grid.max_ranks.max() * grid.costs.sum()) for grid in found.grids)
    budgets = _ladder(math.ceil(most / (m + n))) * (m + n)
    return {
        column: answers(found.curves[key], budgets)[0].tolist()
        for column, key in columns.items()
        if key in found.curves
    }


def pair_curve(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the error of a whole pair at every equivalent rank r; see `Survey.curve`."""
    import pandas as pd  # slow to load

    moved = [row for row in rows if row["update_norm"] and row["curve"]]
    if not moved:
        return pd.DataFrame({"rank": np.zeros(0, dtype=np.int64)})
    entries = sum(row["rows"] * row["cols"] for row in moved)
    last = max(1, entries // sum(row["rows"] + row["cols"] for row in moved))
    ranks = _ladder(last)
    ranks = ranks[ranks <= last]
    energy = np.array([row["update_norm"] ** 2 for row in moved])
    columns = dict.fromkeys(label for row in moved for label in row["curve"])
    found = {}
    for column in columns:
        held = [row["curve"].get(column, row["curve"][f"error_{REFERENCE.name}"]) for row in moved]
        errors = np.array([_at(curve, ranks) for curve in held])
        found[column] = np.sqrt(energy @ errors**2 / energy.sum())
    return pd.DataFrame({"rank": ranks, **found})


def _at(errors: Sequence[float], ranks: Int[np.ndarray, " q"]) -> Float64[np.ndarray, " q"]:
    """Read a curve at ranks of its ladder; beyond its end nothing changes."""
    own = np.searchsorted(_ladder(int(ranks[-1])), ranks)
    return np.asarray(errors)[np.minimum(own, len(errors) - 1)]


def pooled_errors(frame: pd.DataFrame) -> dict[str, float]:
    """Return √(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²) over all matrices for each structure, best first.

    Where the grid does not fit a matrix, the matrix is held by `global`.

    Parameters
    ----------
    frame : DataFrame
        From `Survey.frame`, of one grid.

    Examples
    --------
    >>> import pandas as pd
    >>> pooled_errors(pd.DataFrame({"update_norm": [3.0, 4.0], "error_global": [0.5, 0.5],
    ...                             "error_adaptive_8x8": [0.0, np.nan]}))
    {'adaptive': 0.4, 'global': 0.5}
    """
    energy = frame["update_norm"].to_numpy() ** 2
    found = {}
    for column, family in error_columns(frame).items():
        if frame[column].isna().all():
            continue
        errors = frame[column].fillna(frame[f"error_{REFERENCE.name}"]).to_numpy()
        found[family] = float(np.sqrt((errors**2 * energy).sum() / (energy.sum() or 1.0)))
    return dict(
        sorted(
            found.items(), key=lambda item: (round(item[1], 7), not FAMILIES[item[0]].spans_whole)
        )
    )
