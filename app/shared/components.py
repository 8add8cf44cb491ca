"""Parts of the page in JavaScript, put together from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

__all__ = ["ELEMENTS", "component"]

#: What several of them make their elements with.
ELEMENTS = Path(__file__).parent / "elements.js"


def component(name: str, *scripts: Path, style: Path | None = None) -> Any:
    """Declare a component whose script is these files, one after the other.

    Parameters
    ----------
    name : str
    *scripts : Path
        The last exports the function that draws it.
    style : Path, optional
    """
    return st.components.v2.component(
        name,
        css=style.read_text(encoding="utf-8") if style else None,
        js="\n".join(script.read_text(encoding="utf-8") for script in scripts),
    )
