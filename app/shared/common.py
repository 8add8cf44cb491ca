"""Settings that more than one page uses: the target, its budget and grid, the device."""

from __future__ import annotations

from app.shared.settings import Setting
from lolora_core.targets import Entry, Parameter, catalogue

__all__ = [
    "BLOCK_COL",
    "BLOCK_ROW",
    "BUDGET_AND_GRID",
    "COLOUR",
    "COLS",
    "DEVICE",
    "LINKED",
    "LOG_CURVE",
    "RANK",
    "ROWS",
    "SIDE",
    "STRIDE",
    "TARGET",
    "UPLOAD",
    "pattern_setting",
    "target_settings",
]

#: The target that is no entry of the catalogue.
UPLOAD = "upload"

TARGET = Setting(
    "target",
    "camera",
    "Target",
    "The matrix W to approximate. Type to search.",
    options=(*(found.id for found in catalogue()), UPLOAD),
    titles={**{found.id: found.title for found in catalogue()}, UPLOAD: "Own upload"},
)
COLOUR = Setting(
    "colour",
    False,
    "In colour",
    "A colour image is three matrices. Each is approximated on its own with r·(m + n) parameters, "
    "so the total is three times that.",
)
SIDE = Setting(
    "side",
    512,
    "Longest side of an uploaded image",
    "Larger images are made smaller to this side, in pixels; the note under the target says so.",
    options=(128, 256, 512, 1024, 2048),
)
STRIDE = Setting(
    "stride",
    1,
    "Take every k-th row in turn",
    "Rows 0, k, 2k, …, then 1, k + 1, …: neighbours come to lie far apart, which shows what a "
    "family owes to them. 1 leaves the rows as they are.",
    minimum=1,
    maximum=64,
    step=1,
)
RANK = Setting(
    "rank",
    32,
    "Budget, as equivalent rank r",
    "The budget is $r\\,(m + n)$ trainable parameters: what global LoRA of rank $r$ would have. "
    "Every family gets the same budget.",
    minimum=1,
    maximum=256,
    step=1,
)
ROWS = Setting(
    "rows",
    8,
    "Block rows",
    "Into how many block rows the grid cuts the matrix.",
    minimum=1,
    maximum=64,
    step=1,
)
COLS = Setting(
    "cols",
    8,
    "Block columns",
    "Into how many block columns the grid cuts the matrix.",
    minimum=1,
    maximum=64,
    step=1,
)
LINKED = Setting(
    "linked",
    True,
    "Same number of rows and columns",
    "Diagonal needs as many block rows as block columns.",
)
DEVICE = Setting(
    "device",
    "auto",
    "Device",
    "Where decompositions run: auto is cuda, then mps, then cpu.",
    options=("auto", "cpu", "cuda", "mps"),
)
BLOCK_ROW = Setting(
    "block_row",
    0,
    "Block row",
    "Counted from 0 at the top. Or click a block in a picture.",
    minimum=0,
    maximum=63,
    step=1,
)
BLOCK_COL = Setting(
    "block_col",
    0,
    "Block column",
    "Counted from 0 at the left. Or click a block in a picture.",
    minimum=0,
    maximum=63,
    step=1,
)
LOG_CURVE = Setting(
    "log",
    True,
    "Logarithmic error",
    "Equal steps up the axis are equal factors; errors of 0 do not appear.",
)

#: What every page with a grid uses.
BUDGET_AND_GRID = (RANK, ROWS, COLS, LINKED, DEVICE)


def pattern_setting(entry: Entry, parameter: Parameter) -> Setting:
    """Return the setting of one slider of a synthetic pattern; its key names the pattern."""
    return Setting(
        f"{entry.id}.{parameter.name}",
        parameter.default,
        parameter.label,
        parameter.help,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        step=parameter.step,
    )


def target_settings() -> tuple[Setting, ...]:
    """Return what the pages that look at a target use."""
    sliders = (pattern_setting(entry, p) for entry in catalogue() for p in entry.parameters)
    return (TARGET, COLOUR, SIDE, *sliders, STRIDE, *BUDGET_AND_GRID, BLOCK_ROW, BLOCK_COL)
