"""Every colour and every dash, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from plotly.colors import get_colorscale, sample_colorscale

__all__ = ["FAMILY_COLOURS", "FAMILY_DASHES", "GREY", "LUTS", "METHOD_LINES", "Line"]


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


#: 256×3 RGB tables: values and absolute error in cividis, signed error in purple–orange.
LUTS: Mapping[str, bytes] = {
    "values": _lut("cividis"),
    "absolute": _lut("cividis"),
    "signed": _lut("puor_r"),
}
