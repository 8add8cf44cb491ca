"""Every colour and every dash, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from plotly.colors import get_colorscale, sample_colorscale

__all__ = [
    "FAMILY_COLOURS",
    "FAMILY_DASHES",
    "FRAME",
    "GREY",
    "LENS_COLOURS",
    "LUTS",
    "MARKER",
    "METHOD_LINES",
    "RATIOS",
    "VALUES",
    "Line",
    "fade",
]


#: Okabe and Ito's palette, safe for the colour-blind; the dash says the same without colour.
FAMILY_COLOURS: Mapping[str, str] = {
    "global": "#0072B2",
    "diagonal": "#E69F00",
    "localized": "#009E73",
    "adaptive": "#CC79A7",
    "hybrid": "#D55E00",
}


FAMILY_DASHES: Mapping[str, str] = {
    "global": "solid",
    "diagonal": "dot",
    "localized": "dash",
    "adaptive": "dashdot",
    "hybrid": "longdash",
}


GREY = "#888888"

#: The frame of what is picked, and the borders of blocks over a picture.
FRAME = "#D55E00"

#: A thin line at the budget of the sidebar.
MARKER: Mapping[str, str | float] = {"color": GREY, "width": 1, "dash": "dot"}

#: Scales of values and of ratios, by their names in plotly.
VALUES, RATIOS, ERRORS = "cividis", "PuOr_r", "puor_r"

#: What the linked pictures draw in colours of their own: text on light and dark, the target, and
#: the frame where the page has no primary colour.
LENS_COLOURS: Mapping[str, str] = {
    "dark text": "#111111",
    "light text": "#ffffff",
    "target": GREY,
    "primary": FAMILY_COLOURS["global"].lower(),
}


def fade(colour: str, share: float) -> str:
    """Return a colour "#rrggbb" with an opacity from 0 to 1.

    Examples
    --------
    >>> fade("#0072B2", 0.5)
    'rgba(0,114,178,0.5)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


class Line(NamedTuple):
    """How a method's line is drawn."""

    colour: str
    dash: str
    width: float


#: The families' lines, and those of the other methods; PEFT's own layers are thinner.
METHOD_LINES: Mapping[str, Line] = {
    **{name: Line(FAMILY_COLOURS[name], FAMILY_DASHES[name], 2.5) for name in FAMILY_COLOURS},
    "full": Line("#56B4E9", "solid", 2.5),
    "frozen": Line(GREY, "solid", 2.5),
    "peft-lora": Line(FAMILY_COLOURS["global"], FAMILY_DASHES["global"], 1.2),
    "peft-gralora": Line(FAMILY_COLOURS["localized"], FAMILY_DASHES["localized"], 1.2),
}


def _lut(scale: str) -> bytes:
    colours = sample_colorscale(get_colorscale(scale), np.linspace(0, 1, 256), colortype="tuple")
    return np.round(np.array(colours) * 255).astype(np.uint8).tobytes()


#: 256×3 RGB tables: values and absolute error, signed error in purple–orange.
LUTS: Mapping[str, bytes] = {
    "values": _lut(VALUES),
    "absolute": _lut(VALUES),
    "signed": _lut(ERRORS),
}
