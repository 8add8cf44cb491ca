"""Which two checkpoints the page Your weights looks at: widgets, and the last good pair."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.shared import settings as state
from app.shared import widgets as controls
from app.shared.scene import MEGABYTE
from app.shared.sidebar import MAX_UPLOAD_MB
from app.views.your_weights import pairs as checkpoint_pairs
from app.views.your_weights.pairs import Pair

__all__ = ["chosen"]

_UPLOAD, _HUB = "own upload", "from the Hub"


def _digest(file: Any) -> str:
    """Keep an uploaded file; it is hashed once."""
    known = st.session_state.setdefault("pair_digests", {})
    if file.file_id not in known:
        if file.size > MAX_UPLOAD_MB * MEGABYTE:
            raise ValueError(
                f"{file.name} is larger than {MAX_UPLOAD_MB} MB. Survey larger checkpoints on your "
                "machine: python -m lolora_core survey --help."
            )
        known[file.file_id] = checkpoint_pairs.hold_file(file.name, file.getvalue())
    return str(known[file.file_id])


def _uploaded() -> Pair | None:
    files = []
    for column, key, words in zip(
        st.columns(2),
        ("base_file", "tuned_file"),
        ("Base, .safetensors", "Tuned, .safetensors"),
        strict=True,
    ):
        files.append(
            column.file_uploader(
                words,
                key=key,
                max_upload_size=MAX_UPLOAD_MB,
                help="Stays in this server's memory while you look at it; it is not in the link. "
                "Of the two files only tensors with the same name and shape are compared.",
            )
        )
    digests = [_digest(file) for file in files if file is not None]
    if len(digests) == 2:
        st.session_state["pair_files"] = tuple(digests)
    elif digests:
        st.info("Upload the other of the two files as well.")
        return None
    elif "pair_files" not in st.session_state:
        st.info("Upload the weights before and after fine-tuning. An upload is not part of a link.")
        return None
    return checkpoint_pairs.uploaded_pair(*st.session_state["pair_files"])


def _from_hub() -> Pair | None:
    if not checkpoint_pairs.hub_allowed():
        st.info(
            "This host does not read models from the Hugging Face Hub. Whoever runs it can allow "
            "it: start the app with LOLORA_ALLOW_HUB=1. Or upload two files."
        )
        return None
    left, right = st.columns(2)
    with left:
        base = controls.text(state.HUB_BASE, placeholder="owner/name").strip()
    with right:
        tuned = controls.text(state.HUB_TUNED, placeholder="owner/name").strip()
    if not (base and tuned):
        st.info("Give both model ids.")
        return None
    with st.spinner("Reading the headers …"):
        return checkpoint_pairs.hub_pair(base, tuned)


def _recall() -> Pair:
    """Return the last pair that could be shown, or the default one where it is gone."""
    last = st.session_state.get("last_pair", (state.PAIR.default,))
    try:
        return _open(last)
    except (ValueError, OSError):
        return _open((state.PAIR.default,))


def _open(recipe: tuple[str, ...]) -> Pair:
    picked, *rest = recipe
    if picked == _UPLOAD:
        return checkpoint_pairs.uploaded_pair(*rest)
    if picked == _HUB:
        return checkpoint_pairs.hub_pair(*rest)
    return checkpoint_pairs.bundled_pair(picked)


def chosen() -> Pair:
    """Draw the choice; return the pair, after a bad one the last good one with the reason."""
    picked = controls.segments(state.PAIR)
    pair: Pair | None = None
    recipe: tuple[str, ...] = (picked,)
    try:
        if picked == _UPLOAD:
            pair = _uploaded()
            recipe = (picked, *st.session_state.get("pair_files", ()))
        elif picked == _HUB:
            pair = _from_hub()
            recipe = (picked, str(state.get(state.HUB_BASE)), str(state.get(state.HUB_TUNED)))
        else:
            pair = checkpoint_pairs.bundled_pair(picked)
    except (ValueError, OSError) as problem:
        st.error(f"{problem}".rstrip(".") + ".")
    if pair is None:
        pair = _recall()
        st.caption(f"Until then you see: {pair.title}.")
    else:
        st.session_state["last_pair"] = recipe
    return pair
