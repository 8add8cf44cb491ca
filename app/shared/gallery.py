"""The gallery: every target as a small picture, by kind, the visitor's own first."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.shared.common import TARGET, UPLOAD
from app.shared.components import ELEMENTS, component
from app.shared.scene import bundled_target, thumbnail
from app.shared.sentences import GALLERY_KINDS, OWN_UPLOAD
from app.shared.settings import widget_value
from lolora_core.targets import catalogue

__all__ = ["draw"]

_FOLDER = Path(__file__).parent
_COMPONENT = component("gallery", ELEMENTS, _FOLDER / "gallery.js", style=_FOLDER / "gallery.css")
_KEY = "gallery"


@cache
def _groups() -> list[Mapping[str, Any]]:
    own = {"id": UPLOAD, "name": TARGET.title(UPLOAD), "about": OWN_UPLOAD, "picture": ""}
    groups: list[Mapping[str, Any]] = [{"title": GALLERY_KINDS[UPLOAD], "entries": [own]}]
    for kind in dict.fromkeys(found.kind for found in catalogue()):
        entries = []
        for found in catalogue():
            if found.kind == kind:
                png = thumbnail(bundled_target(found.id, found.has_colour, ()))
                entries.append(
                    {
                        "id": found.id,
                        "name": found.title,
                        "about": found.description,
                        "picture": f"data:image/png;base64,{base64.b64encode(png).decode()}",
                    }
                )
        groups.append({"title": GALLERY_KINDS[kind], "entries": entries})
    return groups


def _pick() -> None:
    picked = (widget_value(_KEY) or {}).get("pick")
    if picked:
        TARGET.set(picked)


@st.dialog("Choose a target", width="large")
def _open() -> None:
    found = _COMPONENT(
        key=_KEY, data={"groups": _groups(), "picked": TARGET.value}, on_pick_change=_pick
    )
    if found.pick:
        st.rerun()


def draw() -> None:
    """Draw the button that opens the gallery."""
    if st.button("Choose from pictures", icon=":material/grid_view:", width="stretch"):
        _open()
