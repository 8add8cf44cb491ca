"""A state of a lesson as what the library computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.shared.common import (
    COLOUR,
    COLS,
    DEVICE,
    LINKED,
    ROWS,
    STRIDE,
    TARGET,
    UPLOAD,
    pattern_setting,
)
from app.shared.scene import Scene, bundled_target
from app.shared.settings import Setting
from lolora_core import Grid
from lolora_core.common.devices import available_devices, resolve_device
from lolora_core.targets import Target, entry, shuffle_rows

__all__ = ["full_state", "scene_of"]


def full_state(state: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """Return a value for every setting of a page: those of the state, else the defaults.

    Where only the block rows are named there are as many block columns.

    Examples
    --------
    >>> from app.shared.common import COLS, LINKED, RANK, ROWS
    >>> full_state({"rows": 4}, (RANK, ROWS, COLS, LINKED))
    {'rank': 32, 'rows': 4, 'cols': 4, 'linked': True}
    """
    full = {s.key: state.get(s.key, s.default) for s in settings}
    if ROWS.key in full:
        full[COLS.key] = state.get(COLS.key, full[ROWS.key])
        full[LINKED.key] = full[ROWS.key] == full[COLS.key]
    return full


def scene_of(state: Mapping[str, Any], upload: Target | None) -> Scene:
    """Return what a full state looks at.

    Parameters
    ----------
    state : mapping
        Of a page that looks at a target.
    upload : Target or None
        The visitor's own; without it the state of an upload shows the default target.

    Raises
    ------
    ValueError
        The grid does not fit, or a pattern's numbers do not fit each other.
    """
    name = state[TARGET.key]
    if name == UPLOAD:
        target = upload or bundled_target(TARGET.default, False, ())
    else:
        found = entry(name)
        parameters = tuple((p.name, state[pattern_setting(found, p).key]) for p in found.parameters)
        target = bundled_target(name, found.has_colour and state[COLOUR.key], parameters)
    target = shuffle_rows(target, state[STRIDE.key])
    device = state[DEVICE.key]
    on = resolve_device(device if device in available_devices() else "auto")
    return Scene(target, Grid.regular(target.shape, state[ROWS.key], state[COLS.key]), str(on))
