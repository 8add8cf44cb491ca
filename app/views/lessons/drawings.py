"""Small pictures in a row that wraps: matrices as pixels, structures to scale."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from app.shared.caches import Kind
from app.shared.charts import picture_png
from app.shared.scene import Scene, lut_of, preview, scene_key
from app.shared.structure import drawing, longest_side
from app.shared.style import FAMILY_LINES
from app.views.lessons.measures import Looked
from lolora_core.explore.compare import Result
from lolora_core.families import REFERENCE

__all__ = ["Drawn", "family_picture", "row", "strips_picture", "structure_row", "target_picture"]

#: Pixels of the longer side of a picture, and of the longest of a structure.
SIDE, _LONGEST = 200, 190
#: Of strips: at least so thick, and so far from their table, in pixels.
_THIN, _GAP = 14, 6
_STYLE = """<style>
.lesson-row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end; }
.lesson-row figure { margin: 0; break-inside: avoid; max-width: 100%; }
.lesson-row figcaption { font-size: 0.875rem; max-width: 13rem; margin-bottom: 0.25rem; }
.lesson-row img { display: block; max-width: 100%; height: auto; }
</style>"""


class Drawn(NamedTuple):
    """A picture with its caption; its size on the page in pixels, 0 where it has its own."""

    source: str
    caption: str
    width: int = 0
    height: int = 0


def row(drawn: Sequence[Drawn]) -> None:
    """Draw pictures in a row that wraps."""
    figures = []
    for one in drawn:
        size = f' width="{one.width}" height="{one.height}"' if one.width else ""
        figures.append(
            f"<figure><figcaption>{escape(one.caption)}</figcaption>"
            f'<img src="{one.source}" alt="{escape(one.caption)}"{size}></figure>'
        )
    st.html(f'{_STYLE}<div class="lesson-row">{"".join(figures)}</div>')


def _drawn(png: bytes, caption: str, shape: tuple[int, int]) -> Drawn:
    scale = SIDE / max(shape)
    return Drawn(_as_source(png), caption, round(shape[1] * scale), round(shape[0] * scale))


def target_picture(scene: Scene, caption: str) -> Drawn:
    """Return the target."""
    return _drawn(preview(scene.target), caption, scene.target.shape)


def _png_key(scene: Scene, rank: int, family: str, result: Result) -> Any:
    # The result follows from the others.
    return scene_key(scene, rank, family)


@Kind[bytes]("drawings").cached(_png_key)
def _png(scene: Scene, rank: int, family: str, result: Result) -> bytes:
    dense = result.dense().float().numpy(force=True)
    step = max(1, max(scene.target.shape) // 256)
    target = scene.target
    image = target.value_range is not None
    return picture_png(dense[::step, ::step], target.display_range, image=image, lut=lut_of(target))


def family_picture(looked: Looked, family: str, caption: str) -> Drawn:
    """Return what a family makes of the target."""
    png = _png(looked.seen, looked.rank, family, looked.found.results[family])
    return _drawn(png, caption, looked.seen.target.shape)


def strips_picture(looked: Looked, caption: str) -> Drawn:
    """Return the strips of global with the table that they make: B at its left, A above it."""
    left, above = looked.found.results[REFERENCE.name].channels[0].factors()[0, 0]
    tall, wide = (part.float().numpy(force=True) for part in (left, above))
    # Signs of a pair are free; the strips of a picture are shown as bright as the picture.
    sign = -1.0 if tall.mean() < 0 else 1.0
    m, n = looked.seen.target.shape
    scale, thick = SIDE / max(m, n), max(_THIN, round(tall.shape[1] * SIDE / max(m, n)))
    width, height = round(n * scale), round(m * scale)
    table = _png(looked.seen, looked.rank, REFERENCE.name, looked.found.results[REFERENCE.name])
    inset = thick + _GAP
    placed = (
        (_factor(sign * tall), 0, inset, thick, height),
        (_factor(sign * wide), inset, 0, width, thick),
        (table, inset, inset, width, height),
    )
    images = "".join(
        f'<image href="{_as_source(png)}" x="{x}" y="{y}" width="{w}" height="{h}" '
        'preserveAspectRatio="none" style="image-rendering:pixelated"/>'
        for png, x, y, w, h in placed
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {inset + width} {inset + height}" '
        f'width="{inset + width}" height="{inset + height}">{images}</svg>'
    )
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return Drawn(source, caption)


def _factor(strips: np.ndarray) -> bytes:
    return picture_png(strips, (float(strips.min()), float(strips.max())), image=True)


def _as_source(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def structure_row(results: dict[str, Result]) -> None:
    """Draw the factors of families, all to one scale."""
    shown = {name: result.channels[0] for name, result in results.items()}
    scale = _LONGEST / max(longest_side(found) for found in shown.values())
    drawn = []
    for name, found in shown.items():
        svg = drawing(found, FAMILY_LINES[name].colour, scale=scale)
        source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
        drawn.append(Drawn(source, name))
    row(drawn)
