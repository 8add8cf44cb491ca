"""The sidebar of Your weights: which pair, which budget for each matrix, which grid."""

from __future__ import annotations

import streamlit as st

from app.shared import sidebar
from app.shared import widgets as controls
from app.shared.common import RANK
from app.views.your_weights import sentences
from app.views.your_weights.pairs import paths_allowed
from app.views.your_weights.settings import LOCAL, PAIR
from lolora_core.checkpoints import BUNDLED_PAIRS

__all__ = ["draw"]


def draw() -> None:
    """Draw the choice of the pair, the budget and the grid.

    From the entry point: budget and grid are those of the other pages, and Streamlit would start
    a widget of the page anew.
    """
    offered = [name for name in PAIR.options if name != LOCAL or paths_allowed()]
    known = BUNDLED_PAIRS.get(controls.choice(PAIR, offered))
    if known is not None:
        st.caption(known.description)
        with st.popover("Source and licence", width="stretch"):
            st.markdown(f"**Source.** {known.source}\n\n**Licence.** {known.licence}")
    st.caption(sentences.budget(controls.slider(RANK)))
    sidebar.blocks()
    for cut in known.cuts if known is not None else ():
        st.button(
            f"Cut into {cut.name} ({cut.rows}×{cut.cols})",
            key=f"cut_{cut.rows}_{cut.cols}",
            help=cut.description,
            on_click=sidebar.set_cut,
            args=(cut.rows, cut.cols),
            width="stretch",
        )
