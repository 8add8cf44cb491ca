"""What a visitor picks on Compare, beside target, budget and grid."""

from __future__ import annotations

from app.shared.common import LOG_CURVE, target_settings
from app.shared.settings import Setting

VIEW = Setting(
    "view",
    "reconstruction",
    "Show",
    "Reconstruction Ŵ; signed error W − Ŵ around 0; absolute error |W − Ŵ|; or the error of each "
    "block as a share of ‖W‖.",
    options=("reconstruction", "signed", "absolute", "blocks"),
    titles={"signed": "signed error", "absolute": "absolute error", "blocks": "per block"},
)
#: The scale that fits the families which compete.
FIT = 0
SCALE = Setting(
    "scale",
    FIT,
    "Error scale",
    "One scale serves all families. Fit: the errors of the families that come within twice the "
    "lowest error; full: those of every family; 1/4 ends at a quarter of full. What lies beyond "
    "the scale is said under each picture.",
    options=(FIT, 1, 4, 8, 16),
    titles={FIT: "fit", 1: "full", 4: "1/4", 8: "1/8", 16: "1/16"},
)
GRID_LINES = Setting("lines", False, "Grid lines", "Draw the borders of the blocks.")
BLOCK_MARKS = Setting(
    "marks",
    False,
    "Block errors",
    "A square in each block: its area is the block's squared error, on one scale for all families.",
)
SEARCHED = Setting(
    "hybrid",
    False,
    "Hybrid too",
    "A global term plus adaptive ranks on what it leaves. How the budget is shared is searched, "
    "which takes about a second at 512² for each new grid and budget.",
)

SETTINGS = (*target_settings(), LOG_CURVE, VIEW, SCALE, GRID_LINES, BLOCK_MARKS, SEARCHED)
