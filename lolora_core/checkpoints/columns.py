"""What each column of a survey is, in one sentence, for the page, the command line and readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lolora_core.families import FAMILIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMN_HELP", "ENERGY_RANKS", "column_help", "error_columns"]

#: Ranks at which the share of the energy in the leading singular values is stated.
ENERGY_RANKS = (1, 2, 4, 8, 16, 32, 64)

#: What each column of `Survey.frame` is; σ are the singular values of ΔW, σ₁ the largest.
COLUMN_HELP = {
    "name": "Name of the tensor in the file.",
    "layer": "First whole number in the name; empty without one.",
    "kind": "What comes after the layer in the name.",
    "rows": "Rows of the matrix, m.",
    "cols": "Columns of the matrix, n.",
    "dtype": "Type of the numbers in the file of tuned.",
    "parameters": "Entries of the matrix, m·n.",
    "base_norm": "‖W‖_F, Frobenius norm of the base, no unit; empty without a base.",
    "update_norm": "‖ΔW‖_F, Frobenius norm of tuned − base, no unit.",
    "relative_update": "‖ΔW‖_F/‖W‖_F, how far it moved relative to the base's norm; empty without "
    "a base.",
    "rounding_only": "Whether base and tuned are stored in different types and ΔW is nothing but "
    "rounding from the one to the other.",
    "rounding_share": "The norm that rounding to the coarser of the two types is expected to have, "
    "over ‖ΔW‖_F: about 1 where ΔW is rounding alone; empty where both have one type.",
    "effective_rank": "exp of the entropy of σ²/Σσ²: how many directions share the change.",
    "stable_rank": "‖ΔW‖²_F/σ₁²: at least 1, and near 1 where one direction holds nearly all of "
    "the change.",
    "first_singular_share": "σ₁/Σσ, at most 1: a spike in one direction breaks merging with other "
    "adapters.",
    "dead_ranks": "Ranks that the factors of the adapter hold, less the singular values of ΔW "
    "above σ₁/1000; empty where tuned is no adapter.",
    "intruders": "Of the first K left singular vectors of W + ΔW, how many have no |cosine| of "
    "0.5 or more with any of W (arXiv 2410.21228); empty where they are not counted.",
    "intruders_random": "The same count with random singular vectors in place of those of ΔW and "
    "its singular values kept: what a change of this size does in any direction.",
    **{
        f"energy_{rank}": f"Share of ‖ΔW‖²_F in the first {rank} singular values, from 0 to 1."
        if rank > 1
        else "Share of ‖ΔW‖²_F in the first singular value, from 0 to 1."
        for rank in ENERGY_RANKS
    },
    "budget": "Trainable parameters allowed.",
    "equivalent_rank": "The budget over m + n: the rank that LoRA would have.",
    "error_global": "‖ΔW − ΔŴ‖_F/‖ΔW‖_F of plain LoRA at the budget; 0 is exact.",
    "best_family": "The family with the lowest error at the budget; empty for a matrix that did "
    "not change.",
    "best_grid": "The grid of the best family, rows × columns of blocks.",
    "best_parameters": "Parameters that the best family uses.",
    "best_error": "‖ΔW − ΔŴ‖_F/‖ΔW‖_F of the best family at the budget; 0 is exact.",
    "gain": "1 − best_error/error_global: the share of LoRA's error that the best family saves, "
    "from 0 to 1.",
}


def column_help(column: str) -> str:
    """Return what a column of a survey is, the errors of any family and grid among them.

    Raises
    ------
    KeyError
        No survey has a column of that name.

    Examples
    --------
    >>> column_help("parameters")
    'Entries of the matrix, m·n.'
    >>> column_help("error_adaptive_8x4")
    '‖ΔW − ΔŴ‖_F/‖ΔW‖_F of adaptive on 8×4 blocks at the budget; empty where they do not fit.'
    """
    if column in COLUMN_HELP:
        return COLUMN_HELP[column]
    for family in FAMILIES:
        start = f"error_{family}_"
        if column.startswith(start):
            grid = column.removeprefix(start).replace("x", "×")
            return (
                f"‖ΔW − ΔŴ‖_F/‖ΔW‖_F of {family} on {grid} blocks at the budget; empty where they "
                "do not fit."
            )
    raise KeyError(f"no survey has a column {column!r}")


def error_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns that hold errors, each with its family.

    Examples
    --------
    >>> import pandas as pd
    >>> error_columns(pd.DataFrame(columns=["name", "error_global", "error_adaptive_8x8"]))
    {'error_global': 'global', 'error_adaptive_8x8': 'adaptive'}
    """
    starts = {f"error_{name}": name for name in FAMILIES}
    return {
        column: name
        for column in map(str, frame)
        for start, name in starts.items()
        if column == start or column.startswith(f"{start}_")
    }
