"""The factors from which the browser rebuilds the pictures while the budget moves.

They are drawn apart from the pictures, so that these come first. Streamlit sends data that the
browser has already not again, as long as every run of the script draws it. Those of other grids
come one by one, when the visitor comes near their handle: see `other_grids`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.lens.half import to_half
from app.lens.payload import Arrays, payload
from app.shared.components import component
from lolora_core.explore.budget_path import BudgetPath, path_winners
from lolora_core.explore.path_blocks import PathBlocks
from lolora_core.explore.path_factors import PathFactors

__all__ = ["linked_factors", "other_grids", "pack_factors"]

_FOLDER = Path(__file__).parent
_PARTS = ("linked_draw.js", "linked_factors.js", "linked_shelf.js")
_COMPONENT = component("linked_factors", *(_FOLDER / part for part in _PARTS))


def pack_factors(
    token: str,
    paths: Mapping[str, BudgetPath],
    factors: PathFactors,
    blocks: PathBlocks,
    subtitles: Mapping[str, Sequence[str]],
) -> bytes:
    """Pack every budget of a target on a grid for the browser.

    Parameters
    ----------
    token : str
        Names target and grid; the ``factors`` of the pictures' ``Budget``.
    paths : mapping of str to BudgetPath
        By the name of the panel.
    factors : PathFactors
        Of these paths.
    blocks : PathBlocks
        Of the same.
    subtitles : mapping of str to sequence of str
        What stands over each panel at the equivalent ranks r = 0…R.

    Raises
    ------
    ValueError
        Another number of subtitles than of ranks.
    """
    arrays = Arrays()
    windows = factors.windows
    grids = {grid: at for at, grid in enumerate(factors.terms)}
    highest = max(path.rank_maps.shape[1] for path in paths.values()) - 1
    winners = path_winners(paths)
    header: dict[str, Any] = {
        "token": token,
        "highest": highest,
        "rowEdges": windows.row_edges,
        "colEdges": windows.col_edges,
        "grids": [
            {
                "rowEdges": np.searchsorted(windows.row_edges, grid.row_edges).tolist(),
                "colEdges": np.searchsorted(windows.col_edges, grid.col_edges).tolist(),
                "channels": [
                    {
                        "codes": arrays.add(terms.codes.astype("<i2")),
                        "scales": arrays.add(terms.scales.astype("<f4")),
                        "depths": arrays.add(depths.astype("<u2")),
                    }
                    for terms, depths in zip(channels, factors.depths[grid], strict=True)
                ],
            }
            for grid, channels in factors.terms.items()
        ],
        "cut": {
            "rowEdges": blocks.grid.row_edges,
            "colEdges": blocks.grid.col_edges,
            "grid": grids[blocks.grid],
            "own": [arrays.add(left.astype("<f4")) for left in blocks.own],
            "whole": [_halves(np.sqrt(left), arrays) for left in blocks.whole],
        },
        "families": {},
    }
    several = ~np.all(list(winners.values()), axis=0)
    for name, path in paths.items():
        words = list(subtitles[name])
        if len(words) != highest + 1:
            raise ValueError(
                f"subtitles of {name} are {len(words)}; allowed are {highest + 1}, one a rank"
            )
        header["families"][name] = {
            "grid": grids[path.grid],
            "drawn": path.family.needs_spectra,
            "channels": [_changes(maps, arrays) for maps in path.rank_maps],
            "errors": arrays.add(path.errors.astype("<f4")),
            "best": arrays.add((winners[name] & several).astype("u1")),
            "subtitles": words,
        }
    return payload(header, arrays)


def _halves(values: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    half, exponent = to_half(values)
    return arrays.add(half, exponent=exponent)


def _changes(maps: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """Pack the rank maps of r = 0…R, the first of which is zero, as what changes at each r."""
    flat = maps.reshape(len(maps), -1)
    at, blocks = np.nonzero(np.diff(flat, axis=0))
    starts = np.searchsorted(at, np.arange(len(flat)))
    return {
        "starts": arrays.add(starts.astype("<u4")),
        "blocks": arrays.add(blocks.astype("<u4")),
        "ranks": arrays.add(flat[at + 1, blocks].astype("<u2")),
    }


def linked_factors(data: bytes, *, key: str) -> None:
    """Give the browser what `pack_factors` packed; it has no face."""
    _COMPONENT(key=key, data=data)


@st.fragment
def other_grids(answer: Callable[[str], bytes | None], *, key: str) -> None:
    """Give the browser the factors of another grid, each time that it asks for some.

    It asks when pointer or focus comes to the handle of the grid. Only this fragment runs then, and
    not at all where nobody looks.

    Parameters
    ----------
    answer : callable
        From the token of a `Stop` to the bytes of `pack_factors`; None where there are none.
    key : str
    """
    asked = _COMPONENT(key=key, on_asked_change=lambda: None).asked
    data = answer(asked) if asked else None
    if data:
        linked_factors(data, key=f"{key}_given")
