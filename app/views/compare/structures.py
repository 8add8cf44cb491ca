"""The structures of Compare: how each family cuts the budget into factors, drawn to scale."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import streamlit as st

from app.shared.structure import drawing, longest_side
from app.shared.style import FAMILY_LINES
from app.views.compare import sentences as prose
from lolora_core import Grid
from lolora_core.explore.compare import Comparison

__all__ = ["structures"]

#: Pixels of the longest side of the largest term.
_LONGEST = 190
_STYLE = """<style>
.structures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-end; }
.structures figure { margin: 0; break-inside: avoid; }
.structures figcaption { font-weight: 600; margin-bottom: 0.3rem; }
.structures img { display: block; max-width: 100%; height: auto; }
</style>"""


def structures(found: Comparison, grid: Grid) -> None:
    """Draw the factors of every family, all to one scale."""
    st.header("Where the parameters go", anchor=False)
    shown = {name: result.channels[0] for name, result in found.results.items()}
    scale = _LONGEST / max(longest_side(approximation) for approximation in shown.values())
    figures = []
    for name, approximation in shown.items():
        words = prose.structure(found.results[name])
        svg = drawing(approximation, FAMILY_LINES[name].colour, scale=scale)
        # What `st.html` lets through has no SVG of its own.
        source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
        figures.append(
            f"<figure><figcaption>{escape(name)}</figcaption>"
            f'<img src="{source}" alt="{escape(words)}" title="{escape(words)}"></figure>'
        )
    st.html(f'{_STYLE}<div class="structures">{"".join(figures)}</div>')
    m, n = grid.shape
    st.caption(prose.structures(found, m * n))
