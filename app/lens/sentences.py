"""What stands over the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.shared.words import format_error
from lolora_core.explore.compare import Result
from lolora_core.families import Family

__all__ = ["panel", "ranks_of", "result_panel"]

#: Joins words that stay on one line.
NO_BREAK = "\u00a0"


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
    >>> from lolora_core import FAMILIES
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
