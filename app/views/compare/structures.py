"""The structures of Compare: how each family cuts the budget into factors, drawn to scale."""

from __future__ import annotations

from html import escape

import streamlit as st

from app.shared.structure import drawing, longest_side, source
from app.shared.style import FAMILY_LINES
from app.views.compare import sentences as prose
from lolora_core import Grid
from lolora_core.explore.compare import Comparison

__all__ = ["beside_names", "structures"]

#: Pixels of the longest side of the largest term.
_LONGEST = 190
_SMALL = 36
#: Blocks a side; of more a small drawing shows none.
_FINEST = 16
_STYLE = """<style>
.structures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-end; }
.structures figure { margin: 0; break-inside: avoid; }
.structures figcaption { font-weight: 600; margin-bottom: 0.3rem; }
.structures img { display: block; max-width: 100%; height: auto; }
</style>"""


def beside_names(found: Comparison) -> dict[str, str]:
    """Return the source of a small drawing for each family; none of a grid too fine to be seen."""
    shown = {name: result.channels[0] for name, result in found.results.items()}
    if max(max(approximation.grid.blocks) for approximation in shown.values()) > _FINEST:
        return {}
    scale = _SMALL / max(longest_side(approximation) for approximation in shown.values())
    return {
        name: source(drawing(approximation, FAMILY_LINES[name].colour, scale=scale))
        for name, approximation in shown.items()
    }


def structures(found: Comparison, grid: Grid) -> None:
    """Draw the factors of every family, all to one scale."""
    st.header("Where the parameters go", anchor=False)
    shown = {name: result.channels[0] for name, result in found.results.items()}
    scale = _LONGEST / max(longest_side(approximation) for approximation in shown.values())
    figures = []
    for name, approximation in shown.items():
        words = prose.structure(found.results[name])
        svg = drawing(approximation, FAMILY_LINES[name].colour, scale=scale)
        figures.append(
            f"<figure><figcaption>{escape(name)}</figcaption>"
            f'<img src="{source(svg)}" alt="{escape(words)}" title="{escape(words)}"></figure>'
        )
    st.html(f'{_STYLE}<div class="structures">{"".join(figures)}</div>')
    m, n = grid.shape
    st.caption(prose.structures(found, m * n))
