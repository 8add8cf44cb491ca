"""Theory: statements about the families, each with its proof and a check on random matrices."""

import streamlit as st

from app.shared import glossary
from app.views.theory import parts, sentences
from lolora_core.theory import STATEMENTS


def page() -> None:
    """Draw the page."""
    with st.sidebar:
        parts.settings()
    cases = parts.picked()
    st.markdown(sentences.introduction(len(STATEMENTS), cases))
    with st.container(horizontal=True):
        parts.check_all(cases)
        with st.popover("Symbols", type="tertiary", key="theory_symbols"):
            st.markdown(sentences.SYMBOLS)
    glossary.words("rank", "singular value", "SVD", "Frobenius norm", "block", "budget")
    if not cases.fits:
        parts.too_large(cases)
    for statement in STATEMENTS.values():
        parts.card(statement, cases)


page()
