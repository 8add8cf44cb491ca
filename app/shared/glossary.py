"""Definitions in place: one tap on a word."""

from __future__ import annotations

import re

import streamlit as st

from app.shared.definitions import define

__all__ = ["words"]


def linked(source: str) -> str:
    """Return a source with links to the papers that it names.

    Examples
    --------
    >>> linked("LoRA, arXiv 2106.09685")
    'LoRA, [arXiv 2106.09685](https://arxiv.org/abs/2106.09685)'
    """
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


def words(*asked: str) -> None:
    """Draw a row of words, each of which opens its definition.

    Parameters
    ----------
    *asked : str
        Words of `app.shared.definitions`, or names of families.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="glossary"):
        st.caption("What is …", width="content")
        for word in asked:
            found = define(word)
            with st.popover(word, type="tertiary", key=f"glossary_{word}"):
                st.markdown(f"**{word}.** {found.text}")
                if found.formula:
                    st.latex(found.formula)
                if found.source:
                    st.caption(linked(found.source))
