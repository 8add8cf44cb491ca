"""What a visitor picks on Theory: the random cases, and which statements are checked."""

from __future__ import annotations

from app.shared.settings import Setting
from lolora_core.theory import STATEMENTS

ROWS = Setting(
    "theory_rows",
    48,
    "Rows m",
    "Of every random matrix.",
    minimum=16,
    maximum=64,
    step=1,
)
COLS = Setting(
    "theory_cols",
    64,
    "Columns n",
    "Of every random matrix.",
    minimum=16,
    maximum=64,
    step=1,
)
BLOCKS = Setting(
    "theory_blocks",
    4,
    "Blocks a side K",
    "The matrix is cut into K × K blocks. Where K does not divide a side, blocks differ by one.",
    minimum=2,
    maximum=4,
    step=1,
)
RANK = Setting(
    "theory_rank",
    2,
    "Rank of a block ρ",
    "It must be less than the short side of the smallest block. The matching rank of global is "
    "r = K·ρ.",
    minimum=1,
    maximum=8,
    step=1,
)
CASES = Setting(
    "theory_cases",
    20,
    "Random cases",
    "How many random matrices each check draws.",
    minimum=5,
    maximum=50,
    step=5,
)
SEED = Setting(
    "theory_seed",
    0,
    "Seed",
    "Another seed draws other matrices; the same seed gives the same numbers again.",
    minimum=0,
    maximum=9999,
    step=1,
)
#: Set by the buttons of the cards.
CHECKED = Setting(
    "theory_checked",
    [],
    "Checked",
    "The statements whose check is shown.",
    options=tuple(STATEMENTS),
)

SETTINGS = (ROWS, COLS, BLOCKS, RANK, CASES, SEED, CHECKED)
