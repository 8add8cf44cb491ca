"""The two checkpoints of Your weights: what takes files, paths and ids; the last good pair."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.shared import held, progress
from app.shared import widgets as controls
from app.shared.common import COLS, RANK, ROWS
from app.shared.host import host
from app.shared.memory_file import MemoryFile
from app.shared.notices import say_error
from app.shared.sentences import until_then
from app.shared.settings import Setting, Slot
from app.shared.words import as_text
from app.views.your_weights import pairs as checkpoint_pairs
from app.views.your_weights import sentences, snippets
from app.views.your_weights.pairs import Pair
from app.views.your_weights.settings import (
    BASE_PATH,
    FROM_HUB,
    HUB_BASE,
    HUB_TUNED,
    LOCAL,
    PAIR,
    TUNED_PATH,
    UPLOADED,
)

__all__ = ["chosen"]

#: The two files in use; the last good pair.
_FILES: Slot[tuple[MemoryFile, ...]] = Slot("pair_files", ())
_LAST: Slot[tuple[Any, ...]] = Slot("last_pair", (PAIR.default,))


def _uploaded() -> Pair | None:
    files: list[MemoryFile] = []
    for column, key, words in zip(
        st.columns(2),
        ("base_file", "tuned_file"),
        ("Base, .safetensors", "Tuned, .safetensors"),
        strict=True,
    ):
        file = column.file_uploader(
            words,
            key=key,
            max_upload_size=host().max_upload_mb,
            help="Stays in this server's memory while you look at it; it is not in the link. "
            "Of the two files only tensors with the same name and shape are compared. Tuned may "
            "be an adapter: a LoRA of PEFT, kohya or diffusers, a LoHa or a LoKr.",
        )
        if file is not None:
            files += held.take(key, [file], sentences.TOO_LARGE)
            found = checkpoint_pairs.contents_of(files[-1])
            column.caption(
                sentences.what_it_is(found.words, found.evidence), help=sentences.HOW_IT_IS_TOLD
            )
    _larger()
    if len(files) == 2:
        _FILES.set(tuple(files))
    elif files:
        st.info(sentences.OTHER_FILE)
        return None
    elif not _FILES.value:
        st.info(sentences.TWO_FILES)
        return None
    return checkpoint_pairs.uploaded_pair(*_FILES.value)


def _larger() -> None:
    """Say what to do with files that are larger than an upload may be."""
    with st.expander(sentences.LARGER):
        st.markdown(sentences.larger(host().max_upload_mb))
        blocks = (ROWS.value, COLS.value)
        st.code(snippets.command("BASE", "TUNED", RANK.value, blocks), language="bash")


def _two(base: Setting, tuned: Setting, hints: tuple[str, str], ask: str) -> tuple[str, str] | None:
    """Draw two lines of text side by side; return both, or ask for what is missing."""
    columns = st.columns(2)
    found = []
    for column, setting, hint in zip(columns, (base, tuned), hints, strict=True):
        with column:
            found.append(controls.text(setting, placeholder=hint).strip())
    if not all(found):
        st.info(ask)
        return None
    return found[0], found[1]


def _local() -> Pair | None:
    if not checkpoint_pairs.paths_allowed():
        st.info(sentences.NO_PATHS)
        return None
    hints = ("~/models/base", "~/models/tuned.safetensors")
    paths = _two(BASE_PATH, TUNED_PATH, hints, sentences.TWO_PATHS)
    return checkpoint_pairs.local_pair(*paths) if paths else None


def _from_hub() -> Pair | None:
    if not checkpoint_pairs.hub_allowed():
        st.info(sentences.NO_HUB)
        return None
    ids = _two(HUB_BASE, HUB_TUNED, ("owner/name", "owner/name"), sentences.TWO_IDS)
    if ids is None:
        return None
    if checkpoint_pairs.hub_pair_held(*ids):
        return checkpoint_pairs.hub_pair(*ids)
    if progress.stopped("hub", ids, sentences.HUB_STOPPED):
        return None
    return progress.with_stop(
        "hub",
        ids,
        "Reading the headers",
        lambda show: progress.aside(lambda: checkpoint_pairs.hub_pair(*ids), show),
    )


def _recall() -> Pair:
    """Return the last pair that could be shown, or the default one where it is gone."""
    last = _LAST.value
    try:
        return _open(last)
    except (ValueError, OSError):
        return _open((PAIR.default,))


def _open(recipe: tuple[Any, ...]) -> Pair:
    picked, *rest = recipe
    if picked == UPLOADED:
        return checkpoint_pairs.uploaded_pair(*rest)
    if picked == LOCAL:
        return checkpoint_pairs.local_pair(*rest)
    if picked == FROM_HUB:
        return checkpoint_pairs.hub_pair(*rest)
    return checkpoint_pairs.bundled_pair(picked)


def chosen() -> Pair:
    """Draw what the choice needs; return the pair, or the last good one and say why."""
    picked = str(PAIR.value)
    pair: Pair | None = None
    recipe: tuple[Any, ...] = (picked,)
    try:
        if picked == UPLOADED:
            pair = _uploaded()
            recipe = (picked, *_FILES.value)
        elif picked == LOCAL:
            pair = _local()
            recipe = (picked, BASE_PATH.value.strip(), TUNED_PATH.value.strip())
        elif picked == FROM_HUB:
            pair = _from_hub()
            recipe = (picked, HUB_BASE.value.strip(), HUB_TUNED.value.strip())
        else:
            pair = checkpoint_pairs.bundled_pair(picked)
    except (ValueError, OSError) as problem:
        say_error(problem)
    if pair is None:
        pair = _recall()
        st.caption(until_then(as_text(pair.title)))
    else:
        _LAST.set(recipe)
    return pair
