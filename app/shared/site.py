"""The pages of the navigation, for those that link to them: a page links only to what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from streamlit.navigation.page import StreamlitPage

__all__ = ["declare", "pages"]

# Of one run of the script, which has a thread of its own.
_PAGES: ContextVar[Mapping[str, StreamlitPage]] = ContextVar("pages")


def declare(pages: Sequence[StreamlitPage]) -> None:
    """Say which pages the navigation has."""
    _PAGES.set({page.url_path: page for page in pages})


def pages() -> Mapping[str, StreamlitPage]:
    """Return the pages of the navigation by their paths in the URL."""
    return _PAGES.get()
