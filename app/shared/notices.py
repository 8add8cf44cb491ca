"""What went wrong, and what is to be noted: sentences that may quote a visitor's files."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app.shared.disk import is_full
from app.shared.sentences import DISK_FULL
from app.shared.words import as_text

__all__ = ["say_error", "say_notes", "say_warnings"]


def say_error(problem: Exception | str) -> None:
    """Show why something cannot be done."""
    # In the words of the system it would name a folder of this machine.
    words = DISK_FULL if is_full(problem) else f"{problem}"
    st.error(as_text(words.rstrip(".") + "."))


def say_warnings(sentences: Iterable[str]) -> None:
    """Show what is to be kept in mind, each sentence by itself."""
    for sentence in sentences:
        st.warning(as_text(sentence.rstrip(".") + "."))


def say_notes(notes: Iterable[str]) -> None:
    """Show notes of the library, which begin with small letters."""
    say_warnings(f"{note[:1].upper()}{note[1:]}" for note in notes)
