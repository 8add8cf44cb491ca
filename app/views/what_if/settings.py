"""What a visitor picks on What if, beside target, budget and grid."""

from __future__ import annotations

from app.shared.common import LOG_CURVE, target_settings
from app.shared.settings import Setting
from lolora_core import FAMILIES

SWEEP_GRIDS = Setting(
    "grids",
    "powers of 2",
    "Grids",
    "Powers of 2 up to 32 blocks a side, or every number of blocks up to 32 that cuts the matrix "
    "into equal blocks. The grid of the sidebar is always among them.",
    options=("powers of 2", "divisors"),
)
LOG_PARAMETERS = Setting(
    "logx",
    True,
    "Logarithmic parameters",
    "Equal steps across are equal factors of the number of parameters.",
)
ACROSS = Setting(
    "across",
    "localized",
    "Family",
    "Whose error is drawn over block rows × block columns, at the budget of the sidebar.",
    options=tuple(n for n, f in FAMILIES.items() if f.from_spectra and not f.spans_whole),
)
AIM = Setting(
    "aim",
    "budget",
    "Choose by",
    "The lowest error at the budget of the sidebar, or the fewest parameters that reach a "
    "relative error or a share of the energy.",
    options=("budget", "error", "energy"),
)
AIM_ERROR = Setting(
    "aim_error",
    0.1,
    "Relative error to reach",
    "‖W − Ŵ‖_F/‖W‖_F, no unit; 0 is exact, 1 is the zero matrix.",
    minimum=0.0,
    maximum=1.0,
    step=0.01,
)
AIM_ENERGY = Setting(
    "aim_energy",
    0.9,
    "Share of the energy to capture",
    "1 − error²: 0.9 means that 90 % of Σσ² is kept, an error of 0.316.",
    minimum=0.0,
    maximum=1.0,
    step=0.01,
)
PAINT = Setting(
    "paint",
    "",
    "Rank map as text",
    "Rows are joined by _, ranks by a dot; 5x3 is three blocks of rank 5. Empty is the map of "
    "localized.",
)
BRUSH = Setting(
    "brush",
    "block",
    "Brush",
    "What a click on a block paints.",
    options=("block", "row", "column", "diagonal", "border", "all"),
)
BRUSH_RANK = Setting(
    "brush_rank",
    8,
    "Rank of the brush",
    "What the painted blocks get; never more than a block's full rank.",
    minimum=0,
    maximum=256,
    step=1,
)
REORDER = Setting(
    "reorder",
    False,
    "Reorder rows and columns",
    "Looks for an order of rows and columns that gathers structure into the blocks of the grid. "
    "Any order of channels is free at inference: it is folded into the layers before and after.",
)

SETTINGS = (
    *target_settings(),
    LOG_CURVE,
    SWEEP_GRIDS,
    LOG_PARAMETERS,
    ACROSS,
    AIM,
    AIM_ERROR,
    AIM_ENERGY,
    PAINT,
    BRUSH,
    BRUSH_RANK,
    REORDER,
)
