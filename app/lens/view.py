"""The target and one picture per family, linked: same cells, same scale, same zoom, same budget."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict, Unpack, get_args

import numpy as np

from app.lens.half import to_half
from app.lens.payload import Arrays, payload
from app.shared.components import ELEMENTS, component
from app.shared.settings import widget_value

View = Literal["reconstruction", "signed", "absolute", "blocks"]

_FOLDER = Path(__file__).parent
_PARTS = (
    "linked_draw.js",
    "linked_paint.js",
    "linked_factors.js",
    "linked_scrub.js",
    "linked_ranks.js",
    "linked_structure.js",
    "linked_curve.js",
    "linked_grids.js",
    "linked_budget.js",
    "linked_swipe.js",
    "linked_cursor.js",
    "linked_acts.js",
    "linked_words.js",
    "linked_parts.js",
    "linked_view.js",
)
_PANEL_WORDS = ("name", "title", "subtitle", "colour", "dash", "message", "best", "drawing")
#: What the browser tells of: the latest pick, and the latest release of each handle.
_STATES = ("block", "budget", "grid")
_COMPONENT = component(
    "linked_view",
    ELEMENTS,
    *(_FOLDER / part for part in _PARTS),
    style=_FOLDER / "linked_view.css",
)


@dataclass(frozen=True)
class Panel:
    """One family's picture: its residual W − Ŵ, or the reason why there is none.

    One that the browser builds by itself needs no residual.
    """

    name: str
    title: str
    subtitle: str
    colour: str
    error: np.ndarray | None
    block_errors: np.ndarray | None = None
    message: str = ""
    best: bool = False
    dash: str = "solid"  # of its curve, by plotly's name
    drawing: str = ""  # source of a picture of its structure, which stands beside the title


def _checked(name: str, array: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a real NumPy array, got {type(array).__name__}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; allowed is {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has entries that are not finite")
    return array


def _checked_edges(name: str, edges: Sequence[int], size: int) -> list[int]:
    found = [int(edge) for edge in edges]
    if found[:1] != [0] or found[-1:] != [size] or any(np.diff(found) <= 0):
        raise ValueError(f"{name} must rise from 0 to {size}, got {found}")
    return found


class Stop(TypedDict):
    """A grid that the second handle stops at."""

    label: str
    rows: int
    cols: int
    factors: str  # token of the `pack_factors` of the same target on this grid


class Budget(TypedDict):
    """The handle that moves the budget in the browser, in steps of one equivalent rank.

    A second one moves the grid from stop to stop.
    """

    rank: int  # of the panels
    lowest: int
    highest: int
    label: str
    parameters: int  # of one rank
    grid: str  # label of the stop that the panels are of
    grid_label: str
    stops: Sequence[Stop]  # from coarse to fine; a single one has no handle
    plays: NotRequired[bool]  # up to `rank` by itself, once


class Rebuilt(NamedTuple):
    """Panels that the browser builds by itself, and the token of the factors that it has."""

    names: Collection[str]
    factors: str


class Content(TypedDict):
    """What the pictures show: the keyword arguments of :func:`linked_view`."""

    target: np.ndarray  # (m, n) or (m, n, 3)
    value_range: tuple[float, float]
    panels: Sequence[Panel]  # errors of the target's shape, block errors of the grid's
    view: View
    limit: float  # upper end of the shared error scale; signed uses ±limit
    block_limit: float
    row_edges: Sequence[int]
    col_edges: Sequence[int]
    show_grid: bool
    show_block_errors: bool
    selected: tuple[int, int] | None
    image: bool  # grey or RGB picture; otherwise the colours of luts["values"]
    luts: Mapping[str, bytes]  # 256 × 3 bytes each: "values", "signed", "absolute"
    budget: NotRequired[Budget]  # without it the pictures have no handle
    plain: NotRequired[bool]  # for a first look: no tools, the factors of each drawn under it
    rebuilt: NotRequired[Rebuilt | None]


def pack(content: Content, picks: int = 0, releases: int = 0, cuts: int = 0) -> bytes:
    """Pack one state of the pictures for the browser.

    ``picks`` is the number of the latest pick that ``selected`` takes into account, ``releases``
    and ``cuts`` those of the latest releases of the two handles that ``budget`` does. The browser
    ignores what is older than what the visitor has done since.
    """
    target, view, selected = content["target"], content["view"], content["selected"]
    _checked("target", target)
    if target.size == 0 or target.ndim not in (2, 3) or target.shape[2:] not in ((), (3,)):
        raise ValueError(f"target has shape {target.shape}; allowed are (m, n) and (m, n, 3)")
    if view not in get_args(View):
        raise ValueError(f"view is {view!r}; allowed are {', '.join(get_args(View))}")
    low, high = map(float, content["value_range"])
    limit, block_limit = float(content["limit"]), float(content["block_limit"])
    if not (-math.inf < low <= high < math.inf):
        raise ValueError(f"value_range is {(low, high)}; allowed are finite ends, the lower first")
    for name, value in (("limit", limit), ("block_limit", block_limit)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; allowed is a finite number of at least 0")
    row_edges = _checked_edges("row_edges", content["row_edges"], target.shape[0])
    col_edges = _checked_edges("col_edges", content["col_edges"], target.shape[1])
    grid = (len(row_edges) - 1, len(col_edges) - 1)
    if selected and not all(0 <= i < k for i, k in zip(selected, grid, strict=True)):
        raise ValueError(f"selected is {selected}; the grid has {grid[0]} × {grid[1]} blocks")

    budget = content.get("budget")
    if budget and not budget["lowest"] <= budget["rank"] <= budget["highest"]:
        raise ValueError(
            f"rank is {budget['rank']}; allowed are {budget['lowest']} to {budget['highest']}"
        )
    if budget and budget["grid"] not in [stop["label"] for stop in budget["stops"]]:
        raise ValueError(f"grid is {budget['grid']}; it must be one of the stops")

    arrays = Arrays()
    rebuilt = content.get("rebuilt")
    header: dict[str, Any] = {"luts": {}, "panels": []}
    if rebuilt is None:
        with np.errstate(over="ignore"):
            header["target"] = arrays.add(_checked("target as float32", target.astype("<f4")))
    else:
        # Its values came before; the first stop of the grid's handle says of which target.
        header["target"] = {"shape": target.shape}
        if budget is None:
            raise ValueError("only pictures with a budget are rebuilt")
        header["rebuild"] = {"factors": rebuilt.factors, "rank": budget["rank"]}
    for name in ("values", "signed", "absolute"):
        table = np.frombuffer(content["luts"][name], np.uint8)
        header["luts"][name] = arrays.add(_checked(f"luts[{name!r}]", table, (768,)))
    for panel in content["panels"]:
        entry: dict[str, Any] = {name: getattr(panel, name) for name in _PANEL_WORDS}
        entry["rebuilt"] = rebuilt is not None and panel.name in rebuilt.names
        if panel.error is not None and not entry["rebuilt"]:
            half, exponent = to_half(_checked(f"error of {panel.name}", panel.error, target.shape))
            entry["error"] = arrays.add(half, exponent=exponent)
        pictured = "error" in entry or entry["rebuilt"]
        if view == "blocks" and pictured and panel.block_errors is None:
            raise ValueError(f"view 'blocks' needs block_errors of {panel.name}")
        if panel.block_errors is not None:
            blocks = _checked(f"block_errors of {panel.name}", panel.block_errors, grid)
            entry["blockErrors"] = arrays.add(blocks.astype("<f4"))
        header["panels"].append(entry)

    arrays.hash.update(json.dumps(header).encode())  # shapes and exponents belong to the values
    header |= {
        "arraysToken": arrays.hash.hexdigest()[:16],
        "valueRange": [low, high],
        "limit": limit,
        "blockLimit": block_limit,
        "rowEdges": row_edges,
        "colEdges": col_edges,
        "view": view,
        "image": bool(content["image"]),
        "showGrid": bool(content["show_grid"]),
        "showBlockErrors": bool(content["show_block_errors"]),
        "selected": selected and [int(index) for index in selected],
        "picks": picks,
        "plain": bool(content.get("plain")),
        "budget": budget and {**budget, "releases": releases, "cuts": cuts},
    }
    header["token"] = hashlib.sha256(json.dumps(header).encode()).hexdigest()[:16]
    return payload(header, arrays)


def linked_view(
    *,
    key: str,
    on_pick: Callable[[], None],
    on_release: Callable[[], None] = lambda: None,
    on_cut: Callable[[], None] = lambda: None,
    on_missing: Callable[[], None] = lambda: None,
    **content: Unpack[Content],
) -> Any:
    """Draw the target and one panel per family, linked.

    Parameters
    ----------
    key
        Key of the component; ``widget_value(key)["block"]`` holds the pick in ``on_pick``.
    on_pick
        Called before the rerun that a pick causes.
    on_release
        Called before the rerun that a release of the budget's handle causes;
        ``widget_value(key)["budget"]["rank"]`` then holds the equivalent rank.
    on_cut
        The same of the grid's handle; ``widget_value(key)["grid"]`` holds ``rows`` and ``cols``.
    on_missing
        Called before the rerun of a browser that has not what ``rebuilt`` panels are built from.
    **content
        What to show: the fields of :class:`Content`.

    Returns
    -------
    object
        ``.block`` is None or the latest pick, a mapping with ``row``, ``col`` and ``count``. The
        count rises with every pick, so picking the same block again is seen as a change.
    """
    held = widget_value(key) or {}
    counts = [int((held.get(name) or {}).get("count", 0)) for name in _STATES]
    return _COMPONENT(
        key=key,
        data=pack(content, *counts),
        default=dict.fromkeys(_STATES),
        on_block_change=on_pick,
        on_budget_change=on_release,
        on_grid_change=on_cut,
        on_missing_change=on_missing,
    )
