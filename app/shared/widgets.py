"""Settings → widgets: each kind of widget is written once.

A widget's own default is the present value. Streamlit may send a browser the end of a run before
its fragments; the browser then forgets their widgets, and draws them again from their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app.shared.settings import Setting

__all__ = [
    "choice",
    "number",
    "pills",
    "segments",
    "several",
    "side_by_side",
    "slider",
    "text",
    "toggle",
]


def _shared(setting: Setting) -> dict[str, Any]:
    # The value is there before the widget is: see `app.shared.address.follow`.
    return {
        "label": setting.label,
        "help": setting.help,
        "key": setting.key,
        "persist_state": "session",
    }


def _bounded(setting: Setting) -> dict[str, Any]:
    return {
        **_shared(setting),
        "value": setting.value,
        "min_value": setting.minimum,
        "max_value": setting.maximum,
        "step": setting.step,
    }


def slider(setting: Setting) -> Any:
    """Draw a number as a slider; return its value."""
    return st.slider(**_bounded(setting))


def number(setting: Setting, **options: Any) -> Any:
    """Draw a number as a box; return its value."""
    return st.number_input(**_bounded(setting), **options)


def toggle(setting: Setting, **options: Any) -> bool:
    """Draw a switch; return whether it is on."""
    return bool(st.toggle(value=setting.value, **_shared(setting), **options))


def segments(setting: Setting, **options: Any) -> Any:
    """Draw a choice of a few words; return the one picked."""
    return st.segmented_control(
        options=setting.options,
        default=setting.value,
        required=True,
        format_func=setting.title,
        **_shared(setting),
        **options,
    )


def choice(setting: Setting, options: Sequence[Any] | None = None, **more: Any) -> Any:
    """Draw a choice of many as a list to search; return the one picked."""
    offered = list(setting.options if options is None else options)
    if setting.value not in offered:
        # Of a link: a matrix of another pair, a device of another machine.
        setting.set(setting.default)
    return st.selectbox(
        options=offered,
        index=offered.index(setting.value),
        **{"format_func": setting.title, **_shared(setting), **more},
    )


def pills(setting: Setting, **options: Any) -> list[str]:
    """Draw a choice of several; return those picked, in the order of the options."""
    return _picked(st.pills, setting, selection_mode="multi", **options)


def several(setting: Setting, **options: Any) -> list[str]:
    """Draw a choice of several from many, as a list to search; return as `pills` does."""
    return _picked(st.multiselect, setting, **options)


def _picked(draw: Callable[..., list[str]], setting: Setting, **options: Any) -> list[str]:
    picked = draw(
        options=setting.options,
        default=setting.value,
        format_func=setting.title,
        **_shared(setting),
        **options,
    )
    return [option for option in setting.options if option in picked]


def text(setting: Setting, **options: Any) -> str:
    """Draw a line of text; return it."""
    return str(st.text_input(value=setting.value, **_shared(setting), **options))


def side_by_side(name: str) -> Any:
    """Return a container whose own stand side by side where each has room: see server/style.css."""
    return st.container(horizontal=True, gap="large", key=f"side_by_side_{name}")
