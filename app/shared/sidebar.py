"""The sidebar, the same on every page: target, budget, grid, device, share."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app.shared import scene as compute
from app.shared import settings as state
from app.shared import widgets as controls
from lolora_core import FAMILIES, Grid
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.common.devices import available_devices, resolve_device
from lolora_core.explore.compare import matched_step
from lolora_core.targets import (
    Entry,
    Parameter,
    Target,
    catalogue,
    check_extension,
    entry,
    list_tensors,
)
from lolora_core.training import METHODS, TASKS

__all__ = [
    "device",
    "draw",
    "every_setting",
    "fine_tune_settings",
    "look_at",
    "looked_at",
    "share",
]

UPLOAD = "upload"
# Of one run of the script, which has a thread of its own; the session would keep large arrays.
_LOOKED_AT: ContextVar[tuple[compute.Scene, int]] = ContextVar("looked_at")
MAX_UPLOAD_MB = 64


def every_setting() -> tuple[state.Setting, ...]:
    """Return all settings, with those of every pattern's sliders and the known targets."""
    target = replace(state.TARGET, options=(*(e.id for e in catalogue()), UPLOAD))
    blocks = tuple(n for n, f in FAMILIES.items() if f.from_spectra and not f.spans_whole)
    known = {
        state.TARGET: target,
        state.ACROSS: replace(state.ACROSS, options=blocks),
        state.KEEP: replace(state.KEEP, options=tuple(FAMILIES)),
    }
    sliders = [state.pattern_setting(e, p) for e in catalogue() for p in e.parameters]
    race = [setting for setting in fine_tune_settings() if setting not in state.ALL]
    return (*(known.get(setting, setting) for setting in state.ALL), *sliders, *race)


def fine_tune_settings() -> tuple[state.Setting, ...]:
    """Return the settings of Fine-tune, with the known tasks and methods and their rates."""
    choices = {state.FT_TASK.key: tuple(TASKS), state.FT_METHODS.key: tuple(METHODS)}
    own = (replace(s, options=choices.get(s.key, s.options)) for s in state.FINE_TUNE)
    return (*own, state.DEVICE, *(state.rate_setting(name) for name in METHODS))


def _title(target_id: str) -> str:
    if target_id == UPLOAD:
        return "Own upload"
    return entry(target_id).title


def _parameter(found: Entry, parameter: Parameter) -> tuple[str, Any]:
    draw_it = controls.number if parameter.name == "seed" else controls.slider
    return parameter.name, draw_it(state.pattern_setting(found, parameter))


def _bundled(target_id: str) -> Target:
    found = entry(target_id)
    colour = False
    if found.has_colour:
        colour = controls.toggle(state.COLOUR)
    with st.expander("Shape of the pattern", expanded=True) if found.parameters else st.container():
        parameters = tuple(_parameter(found, p) for p in found.parameters)
    return compute.bundled_target(target_id, colour, parameters)


def _choose_reading(name: str, data: bytes) -> compute.UploadChoice:
    kind = check_extension(name)
    if kind == "image":
        side = st.selectbox(
            state.SIDE.label,
            state.SIDE.options,
            index=state.SIDE.options.index(state.SIDE.default),
            help=state.SIDE.help,
            key=state.SIDE.key,
            bind="query-params",
        )
        colour = controls.toggle(state.COLOUR)
        return compute.UploadChoice(kind, side=side, colour=colour)
    tensor, view = "", None
    if kind == "safetensors":
        tensors = {found.name: found for found in list_tensors(data, name=name)}
        usable = [found.name for found in tensors.values() if found.views]
        if not usable:
            raise ValueError(f"{name} holds no tensor that can be read as a matrix.")
        tensor = st.selectbox(
            f"Tensor ({len(usable)} of {len(tensors)} can be read as a matrix)",
            usable,
            format_func=lambda key: f"{key}  {'×'.join(map(str, tensors[key].shape))}",
        )
        views = [found.label for found in tensors[tensor].views]
        view = views[0]
        if len(views) > 1:
            view = st.selectbox("Read as a matrix", views, help="The order of the values stays.")
    with st.expander("Window of a larger matrix"):
        st.caption("Matrices above 2,048 a side are shown through a window; this is its corner.")
        row = st.number_input("First row", min_value=0, value=0, step=1)
        col = st.number_input("First column", min_value=0, value=0, step=1)
    return compute.UploadChoice(kind, tensor=tensor, view=view, row=row, col=col)


def _upload() -> Target | None:
    file = st.file_uploader(
        "PNG, JPEG, WebP, .npy or .safetensors",
        key="file",
        max_upload_size=MAX_UPLOAD_MB,
        help="Stays in this server's memory while you look at it; it is not in the link.",
    )
    held = st.session_state.get("upload")
    # The browser keeps the file that was uploaded before a target was made in this session.
    older = held and held[2].kind == "session" and st.session_state.get("upload_file")
    if file is None or older == file.file_id:
        if held:
            return compute.uploaded_target(None, *held)
        st.info(
            "An upload is not part of a link. Upload the file to see the view that was shared, "
            "or pick another target."
        )
        return None
    if file.size > MAX_UPLOAD_MB * compute.MEGABYTE:
        raise ValueError(f"{file.name} is larger than {MAX_UPLOAD_MB} MB. Upload a smaller file.")
    data = file.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    choice = _choose_reading(file.name, data)
    target = compute.uploaded_target(data, digest, file.name, choice)
    st.session_state["upload"] = (digest, file.name, choice)
    st.session_state["upload_file"] = file.file_id
    return target


def look_at(target: Target) -> None:
    """Make a target of this session the one that is looked at, as if uploaded; a callback."""
    choice = compute.UploadChoice("session")
    compute.hold_upload(target, choice)
    st.session_state["upload"] = (target.sha256, target.title, choice)
    state.set_value(state.TARGET, UPLOAD)


def _target() -> Target:
    """Return the target that was picked; after a bad one the last good one, with the reason."""
    options = [UPLOAD, *(found.id for found in catalogue())]
    picked = st.selectbox(
        state.TARGET.label,
        options,
        index=options.index(state.TARGET.default),
        format_func=_title,
        help=state.TARGET.help,
        key=state.TARGET.key,
        bind="query-params",
    )
    target = None
    try:
        target = _upload() if picked == UPLOAD else _bundled(picked)
    except (ValueError, TypeError) as problem:
        st.error(f"{problem}")
    if target is None:
        target = compute.recall(st.session_state.get("last_good"))
        st.caption(f"Until then you see: {target.title}.")
    st.session_state["last_good"] = compute.remember(target)
    return target


def _about(target: Target) -> None:
    st.image(compute.preview(target), output_format="PNG", width=160)
    m, n = target.shape
    three = ", three channels" if len(target.channels) > 1 else ""
    st.caption(f"{target.description.rstrip('.')}. Shape: {m:,} × {n:,}{three}.")
    for note in target.notes:
        st.caption(note)
    with st.popover("Source and licence", width="stretch"):
        st.markdown(f"**Source.** {target.source}\n\n**Licence.** {target.licence}")


def _set_rank(rank: int) -> None:
    state.set_value(state.RANK, rank)


def _budget(target: Target, grid: Grid) -> int:
    rank = controls.slider(state.RANK)
    m, n = target.shape
    total = budget_for_rank((m, n), rank)
    if len(target.channels) > 1:
        st.caption(
            f"{total * len(target.channels):,} parameters, {total:,} for each of the three channels"
        )
    else:
        share = total / (m * n)
        st.caption(f"{total:,} parameters, {share:.3g} of the {m * n:,} entries of the matrix")
    step = matched_step(grid)
    below, above = (rank - 1) // step * step, (rank // step + 1) * step
    if step <= state.RANK.maximum:
        left, right = st.columns(2)
        fits = state.RANK.minimum <= below
        left.button(
            f"◂ r = {below}" if fits else "◂",
            disabled=not fits,
            on_click=_set_rank,
            args=(below,),
            key="matched_below",
            width="stretch",
            help="The next smaller budget that localized uses to the last parameter.",
        )
        right.button(
            f"r = {above} ▸" if above <= state.RANK.maximum else "▸",
            disabled=above > state.RANK.maximum,
            on_click=_set_rank,
            args=(above,),
            key="matched_above",
            width="stretch",
            help="The next larger budget that localized uses to the last parameter.",
        )
        st.caption(f"The arrows go to budgets that match exactly: multiples of {step}.")
    return rank


def _mirror_rows() -> None:
    if state.get(state.LINKED):
        state.set_value(state.COLS, state.get(state.ROWS))
    state.reset((state.BLOCK_ROW, state.BLOCK_COL))


def _set_cut(rows: int, cols: int) -> None:
    state.set_value(state.LINKED, rows == cols)
    state.set_value(state.ROWS, rows)
    state.set_value(state.COLS, cols)
    state.reset((state.BLOCK_ROW, state.BLOCK_COL))


def _grid(target: Target) -> Grid:
    left, right = st.columns(2)
    linked = bool(state.get(state.LINKED))
    with left:
        rows = controls.number(state.ROWS, on_change=_mirror_rows)
    with right:
        cols = controls.number(state.COLS, disabled=linked, on_change=_mirror_rows)
    controls.toggle(state.LINKED, on_change=_mirror_rows)
    for cut in target.cuts:
        st.button(
            f"Cut into {cut.name} ({cut.rows}×{cut.cols})",
            key=f"cut_{cut.rows}_{cut.cols}",
            help=cut.description,
            on_click=_set_cut,
            args=(cut.rows, cut.cols),
            width="stretch",
        )
    try:
        return Grid.regular(target.shape, rows, cols)
    except ValueError as problem:
        fit = Grid.regular(target.shape, min(rows, target.shape[0]), min(cols, target.shape[1]))
        st.error(f"{str(problem).capitalize()}. Until you change it you see {fit.label}.")
        st.button(
            f"Use {fit.label}", on_click=_set_cut, args=fit.blocks, key="fit_grid", width="stretch"
        )
        return fit


def device() -> str:
    """Draw the choice of the device; return the one behind it."""
    options = ("auto", *available_devices())
    picked = st.selectbox(
        state.DEVICE.label,
        options,
        help=state.DEVICE.help,
        key=state.DEVICE.key,
        bind="query-params",
    )
    return str(resolve_device(picked))


def _load_settings() -> None:
    file = st.session_state.get("settings_file")
    if file is None:
        return
    try:
        problems = state.apply_settings(file.getvalue(), every_setting())
    except ValueError as problem:
        problems = [str(problem)]
    st.session_state["settings_problems"] = problems


def _link(settings: tuple[state.Setting, ...]) -> str:
    chosen = {s.key: state.get(s) for s in settings if state.get(s) != s.default}
    titles = {state.TARGET.key: _title, state.FT_TASK.key: lambda name: TASKS[name].title}
    for key in chosen.keys() & titles.keys():
        chosen[key] = titles[key](chosen[key])
    plain = {k: str(v).lower() if isinstance(v, bool) else v for k, v in chosen.items()}
    query = urlencode(plain, doseq=True)
    address = (st.context.url or "").split("?")[0].rstrip("/")
    return f"{address}/{'?' if query else ''}{query}"


def share(settings: tuple[state.Setting, ...] | None = None) -> None:
    """Draw Share and Reset; called last, when every widget of the page has its value.

    Link and Reset concern the given settings, or all of them; the file always holds all.
    """
    settings = settings or every_setting()
    left, right = st.sidebar.columns(2)
    with left.popover("Share", width="stretch"):
        st.caption("This link restores the view anywhere; an upload is not part of it.")
        st.code(_link(settings), language=None, wrap_lines=True)
        st.download_button(
            "Settings as JSON",
            state.export_settings(every_setting()),
            "settings.json",
            "application/json",
            on_click="ignore",
            width="stretch",
        )
        st.file_uploader(
            "Load settings", type="json", key="settings_file", on_change=_load_settings
        )
        for sentence in st.session_state.get("settings_problems", []):
            st.warning(sentence)
    right.button("Reset", on_click=state.reset, args=(settings,), key="reset", width="stretch")


def draw() -> None:
    """Draw the sidebar; `looked_at` then says what was picked."""
    with st.sidebar:
        target = _target()
        _about(target)
        budget = st.container()
        grid = _grid(target)
        with budget:
            rank = _budget(target, grid)
        on = device()
    _LOOKED_AT.set((compute.Scene(target, grid, on), rank))


def looked_at() -> tuple[compute.Scene, int]:
    """Return what this run of the script looks at, and the equivalent rank of the budget."""
    return _LOOKED_AT.get()
