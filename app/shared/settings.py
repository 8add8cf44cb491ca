"""What the app keeps for a visitor: settings, which a link carries, and slots, which it does not.

Nothing else in the app touches Streamlit's session state. A setting's key is its widget's key, its
name in the URL and its name in the settings file. Each page declares its own settings; those that
two pages use are in `app.shared.common`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import user_key_from_element_id

__all__ = [
    "Setting",
    "Slot",
    "apply_settings",
    "export_settings",
    "query_of",
    "reset",
    "set_widget",
    "widget_value",
]

T = TypeVar("T")
#: Characters of a text; what is longer is not allowed.
LONGEST = 2000
#: Of a settings file; one that holds all settings has about 5 kB.
MAX_BYTES = 64 * 1024
#: What was not taken of a settings file is named so many times.
_NAMED = 3


@dataclass(frozen=True)
class Setting:
    """One value that a visitor picks.

    Attributes
    ----------
    key : str
        Of the widget, of the query parameter and in the settings file.
    default : str, int, float, bool, list of str or None
        A list is a choice of several; None is a number that may be left out.
    label, help : str
        What the widget says.
    minimum, maximum, step : int or float, optional
        Bounds of a number, of the type of the default.
    options : tuple of str or int, optional
        What a choice may be.
    titles : mapping, optional
        What the widget says for an option, where that is not the option itself. Links and files
        may hold titles too.

    Examples
    --------
    >>> rank = Setting("rank", 32, "Rank", "", minimum=1, maximum=256, step=1)
    >>> rank.read(["7"]), rank.read(["999"]), rank.read([]), rank.write(7)
    (7, 32, 32, ['7'])
    """

    key: str
    default: Any
    label: str
    help: str
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    options: tuple[Any, ...] = ()
    titles: Mapping[Any, str] = field(default_factory=dict, hash=False)

    @property
    def value(self) -> Any:
        """What the visitor picked, also before the widget is drawn."""
        return st.session_state.get(self.key, self.default)

    def set(self, value: Any) -> None:
        """Set the value, from a callback or before the widget is drawn."""
        st.session_state[self.key] = value

    def title(self, option: Any) -> str:
        """Return what the widget says for an option."""
        return self.titles.get(option, str(option))

    def accepts(self, value: Any) -> bool:
        """Return whether `value` has the type and lies within the bounds of the setting.

        A text without options is one line that can be shown: no control characters, no half of a
        surrogate pair.
        """
        if value is None or self.default is None:
            return self.default is None and (value is None or self._within(value, self.minimum))
        return self._within(value, self.default)

    def _within(self, value: Any, like: Any) -> bool:
        if type(value) is not type(like):
            return False
        if self.options:
            return all(v in self.options for v in (value if isinstance(value, list) else [value]))
        if isinstance(value, str):
            return len(value) <= LONGEST and value.isprintable()
        if self.minimum is None or self.maximum is None:
            return True
        return bool(self.minimum <= value <= self.maximum)

    @property
    def is_number(self) -> bool:
        """Whether it is set by sliding or counting."""
        return self.minimum is not None

    def named(self, value: Any) -> Any:
        """Return the option that a title names; any other value as it is."""
        for option, title in self.titles.items():
            if title == value:
                return option
        return value

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value that the URL holds, or the default where that is not allowed."""
        if not texts:
            return self.default
        if isinstance(self.default, list):
            # Of an empty choice the URL holds one empty text.
            value: Any = [self.named(text) for text in dict.fromkeys(texts) if text]
        else:
            value = self._parsed(texts[-1])
        return value if self.accepts(value) else self.default

    def _parsed(self, text: str) -> Any:
        if isinstance(self.default, str):
            return self.named(text)
        kind = type(self.minimum if self.default is None else self.default)
        if kind is bool:
            return {"true": True, "false": False}.get(text.lower())
        try:
            return self.named(text) if text in self.titles.values() else kind(text)
        except (ValueError, OverflowError):
            return self.default

    def write(self, value: Any) -> list[str]:
        """Return what the URL holds for a value."""
        if isinstance(value, list):
            return [str(v) for v in value] or [""]
        return [str(value).lower() if isinstance(value, bool) else str(value)]


class Slot(Generic[T]):
    """A value that the app keeps for each visitor, in no link: declared once, at a module's top.

    Parameters
    ----------
    key : str
    default : object
        Until it is set; never changed in place.
    """

    def __init__(self, key: str, default: T) -> None:
        self.key, self.default = key, default

    @property
    def value(self) -> T:
        """What is kept."""
        kept: T = st.session_state.get(self.key, self.default)
        return kept

    def set(self, value: T) -> None:
        """Keep another value."""
        st.session_state[self.key] = value

    def take(self) -> T:
        """Return what is kept and forget it."""
        kept: T = st.session_state.pop(self.key, self.default)
        return kept


def widget_value(key: str) -> Any:
    """Return what a widget without a setting holds: a figure, an editor, a file; for callbacks."""
    return st.session_state.get(key)


def set_widget(key: str, value: Any) -> None:
    """Set what a widget without a setting shows: from a callback, or before it is drawn."""
    st.session_state[key] = value


def seed(settings: Iterable[Setting], read: Callable[[Setting], Any]) -> None:
    """Give every setting that has no value yet what is read for it.

    What is read as the default is left out: Streamlit goes through all that a session holds for
    each box and list that it draws.
    """
    for setting in settings:
        value = read(setting)
        if value != setting.default and setting.key not in st.session_state:
            setting.set(value)


def still_shown() -> dict[str, list[str]]:
    """Return what widgets show already in a session that begins, by key, as a link holds it.

    A page that is open while the server is started again sends them with its next act; the query
    that it sends is the one that it was opened with.
    """
    context = get_script_run_ctx()
    if context is None:
        return {}
    sent = context.session_state._state._new_widget_state.as_widget_states()
    return {key: texts_of(one) for one in sent if (key := user_key_from_element_id(one.id))}


def texts_of(state: WidgetState) -> list[str]:
    match state.WhichOneof("value"):
        case "double_value" | "bool_value" | "string_value" as kind:
            return [_said(getattr(state, kind))]
        case "double_array_value" | "string_array_value" as kind:
            return [_said(value) for value in getattr(state, kind).data] or [""]
    return []


def _said(value: float | str) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def reset(settings: Iterable[Setting]) -> None:
    """Put settings back to their defaults; a callback."""
    for setting in settings:
        setting.set(setting.default)


def query_of(settings: Iterable[Setting]) -> dict[str, list[str]]:
    """Return the query of a link: every setting that is not at its default."""
    return {s.key: s.write(s.value) for s in settings if s.value != s.default}


def export_settings(settings: Iterable[Setting]) -> str:
    """Return all settings as JSON text that `apply_settings` reads."""
    return json.dumps({setting.key: setting.value for setting in settings}, indent=2)


def apply_settings(
    text: bytes, settings: Sequence[Setting], write: Callable[[Setting, Any], None] = Setting.set
) -> list[str]:
    """Set what a settings file holds; return a few sentences on what was not taken.

    Raises
    ------
    ValueError
        Too large, not JSON, or not an object.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"This is not a settings file: it has {len(text):,} bytes, and all settings together "
            f"fit into {MAX_BYTES:,}. Choose a file that “Settings as JSON” has made."
        )
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("This is not a settings file: it is nested too deep.") from None
    except ValueError as problem:
        raise ValueError(f"This is not a settings file: {problem}.") from None
    if not isinstance(found, dict):
        raise ValueError("This is not a settings file: it holds no object with names and values.")
    known = {setting.key: setting for setting in settings}
    unknown = [_short(key) for key in found if key not in known]
    refused = []
    for key in found.keys() & known:
        meant = known[key].named(found[key])
        if known[key].accepts(meant):
            write(known[key], meant)
        else:
            refused.append(f"“{key}” cannot be {_short(repr(found[key]))}; it was left as it is.")
    problems = [f"“{key}” is not a setting of this version; it was left out." for key in unknown]
    return _first(problems, "more are no settings of this version; they were left out") + _first(
        sorted(refused), "more cannot be what the file says; they were left as they are"
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _first(problems: list[str], more: str) -> list[str]:
    """Return the first sentences, and how many more there would be."""
    left = len(problems) - _NAMED
    return problems[:_NAMED] + ([f"{left:,} {more}."] if left > 0 else [])
