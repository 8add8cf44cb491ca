"""What a visitor picks on What if, beside target, budget and grid."""

from __future__ import annotations

from app.shared.common import LOG_CURVE, target_settings
from app.shared.settings import Setting
from lolora_core import FAMILIES

SWEEP_GRIDS = Setting(
    "grids",
    "powers of 2",
    "Grids",
    "Powers of 2: 1, 2, 4 … 32 blocks a side. Divisors: every number of blocks up to 32 that cuts "
    "the matrix into equal blocks. The grid of the sidebar is always among them.",
    options=("powers of 2", "divisors"),
)
LOG_PARAMETERS = Setting(
    "logx",
    True,
    "Logarithmic parameters",
    "On: each step to the right multiplies the number of parameters. Off: each step adds to it.",
)
ACROSS = Setting(
    "across",
    "localized",
    "Family",
    "Whose error the map shows, at the budget of the sidebar.",
    options=tuple(n for n, f in FAMILIES.items() if f.from_spectra and not f.spans_whole),
)
AIM = Setting(
    "aim",
    "budget",
    "Choose by",
    "Budget: the lowest error for the budget of the sidebar. Error and energy: the fewest "
    "parameters that get there.",
    options=("budget", "error", "energy"),
)
AIM_ERROR = Setting(
    "aim_error",
    0.1,
    "Relative error to reach",
    "0 is perfect, 1 is as bad as nothing: ‖W − Ŵ‖_F/‖W‖_F.",
    minimum=0.0,
    maximum=1.0,
    step=0.01,
)
AIM_ENERGY = Setting(
    "aim_energy",
    0.9,
    "Share of the energy to keep",
    "Energy is the sum of the squared entries. 0.9 keeps 90 % of it: 1 − error², an error of "
    "0.316.",
    minimum=0.0,
    maximum=1.0,
    step=0.01,
)
PAINT = Setting(
    "paint",
    "",
    "Rank map as text",
    "Ranks are joined by dots, rows by _; 5x3 is three blocks of rank 5. Empty: nothing painted.",
)
BRUSH = Setting(
    "brush",
    "block",
    "Brush",
    "What one touch paints: the block, its row, its column, the diagonal through it, the border "
    "of the grid, or everything.",
    options=("block", "row", "column", "diagonal", "border", "all"),
)
BRUSH_RANK = Setting(
    "brush_rank",
    8,
    "Rank of the brush",
    "What the painted blocks get. 0 wipes them. No block takes more than its full rank.",
    minimum=0,
    maximum=256,
    step=1,
)
REORDER = Setting(
    "reorder",
    False,
    "Look for a better order",
    "Moves rows and columns that belong together next to each other, so that the blocks of the "
    "grid can use what they share.",
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
