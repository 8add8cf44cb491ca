"""Every colour and every dash, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from plotly.colors import get_colorscale, sample_colorscale

__all__ = [
    "ACCENTS",
    "EXPECTED",
    "FAMILY_LINES",
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
    "ink",
    "tint",
]


GREY = "#888888"


class Line(NamedTuple):
    """How a line is drawn: the dash says the same without colour."""

    colour: str
    dash: str
    width: float = 2.5

    def drawn(self, width: float | None = None) -> dict[str, str | float]:
        """Return the line as plotly takes it."""
        return {"color": self.colour, "dash": self.dash, "width": width or self.width}


#: One line a family, in Okabe and Ito's palette, which is safe for the colour-blind.
FAMILY_LINES: dict[str, Line] = {
    "global": Line("#0072B2", "solid"),
    "diagonal": Line("#E69F00", "dot"),
    "localized": Line("#009E73", "dash"),
    "adaptive": Line("#CC79A7", "dashdot"),
    "hybrid": Line("#D55E00", "longdash"),
}

#: What can be pressed, on light and dark ground: no family has these colours. They stand also in
#: app/.streamlit/config.toml and app/server/style.css.
ACCENTS: Mapping[str, str] = {"light": "#005a8d", "dark": "#8ab8e6"}

#: The frame of what is picked, and the borders of blocks over a picture.
FRAME = "#D55E00"

#: What theory expects, beside what was measured.
EXPECTED = Line(FRAME, "dash", 2)

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
    "primary": FAMILY_LINES["global"].colour.lower(),
}


def tint(colour: str, share: float) -> str:
    """Return a share of a colour "#rrggbb" on white: the same, and as readable, in every theme.

    Examples
    --------
    >>> tint("#0072B2", 1.0), tint("#0072B2", 0.2)
    ('#0072b2', '#cce3f0')
    """
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"#{bytes(round(share * part + (1 - share) * 255) for part in parts).hex()}"


def fade(colour: str, share: float) -> str:
    """Return a colour "#rrggbb" with an opacity from 0 to 1.

    Examples
    --------
    >>> fade("#0072B2", 0.5)
    'rgba(0,114,178,0.5)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def ink(colour: str) -> str:
    """Return the text colour, dark or light, that stands out more on a colour "#rrggbb".

    Examples
    --------
    >>> ink("#0072B2"), ink("#CC79A7")
    ('#ffffff', '#111111')
    """

    def luminance(of: str) -> float:
        unit = np.array([int(of[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05

    def contrast(of: str) -> float:
        ratio = luminance(of) / luminance(colour)
        return max(ratio, 1 / ratio)

    return max(LENS_COLOURS["dark text"], LENS_COLOURS["light text"], key=contrast)


_DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot")
#: Methods of PEFT in the colour of what they are nearest to: low rank, blocks, products entry by
#: entry or of Kronecker, turns and scales, random bases, coefficients and entries.
_KIN: Mapping[str, str] = {
    "#0072B2": "lora rslora dora pissa olora delora",
    "#009E73": "gralora bdlora c3a miss",
    "#CC79A7": "lokr loha hira",
    "#E69F00": "oft boft road ia3",
    "#D55E00": "vera randlora",
    "#56B4E9": "fourierft waveft shira",
}
#: The families' lines, and those of the other methods: variants in the colour of their family,
#: thinner, and PEFT's own layers thinner still.
METHOD_LINES: Mapping[str, Line] = {
    **FAMILY_LINES,
    "full": Line("#56B4E9", "solid"),
    "frozen": Line(GREY, "solid"),
    "localized-permuted": Line("#009E73", "dot", 1.8),
    "localized-fixed-alpha": Line("#009E73", "dashdot", 1.8),
    "localized-rslora": Line("#009E73", "longdashdot", 1.8),
    "localized-lora-plus": Line("#009E73", "longdash", 1.8),
    "global-lora-plus": Line("#0072B2", "longdash", 1.8),
    "blast": Line("#CC79A7", "solid", 1.8),
    **{
        f"peft-{name}": Line(colour, dash, 1.2)
        for colour, names in _KIN.items()
        for name, dash in zip(names.split(), _DASHES, strict=False)
    },
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
