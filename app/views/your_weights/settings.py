"""What a visitor picks on Your weights, beside budget and grid."""

from __future__ import annotations

from app.shared.common import BUDGET_AND_GRID
from app.shared.settings import Setting
from lolora_core import FAMILIES

PAIR = Setting(
    "pair",
    "digits transformer",
    "Base and tuned",
    "The weights before and after fine-tuning; what is surveyed is their difference ΔW.",
    options=("digits transformer", "digits MLP", "own upload", "from the Hub"),
)
HUB_BASE = Setting(
    "hub_base",
    "",
    "Model id of the base",
    "On the Hugging Face Hub: owner/name, or owner/name@revision.",
)
HUB_TUNED = Setting(
    "hub_tuned",
    "",
    "Model id of tuned",
    "A fine-tuned model of the same shapes, or a LoRA or GraLoRA adapter of the base.",
)
MATRIX = Setting(
    "matrix",
    "",
    "Matrix",
    "The one to look at; or click its cell above. First stands the one with the largest ‖ΔW‖_F.",
)
#: The directions in which intruders are looked for, as in the paper.
INTRUDER_DIRECTIONS = 10
INTRUDERS = Setting(
    "intruders",
    False,
    "Count intruders",
    f"Of the first {INTRUDER_DIRECTIONS} directions of each tuned matrix, those that its base does "
    "not have (arXiv 2410.21228). It takes a full decomposition of every matrix of the base.",
)
KEEP = Setting(
    "keep",
    "global",
    "Family",
    "The structure of the adapter. On the grid of the sidebar, where it has blocks.",
    options=tuple(FAMILIES),
)
SPEND = Setting(
    "spend",
    "each matrix",
    "Budget",
    "The equivalent rank of the sidebar for each matrix; the sum of that over all matrices, "
    "shared, so that rank goes where it pays; or whatever keeps a share of each ‖ΔW‖².",
    options=("each matrix", "shared", "energy"),
)
KEEP_ENERGY = Setting(
    "keep_energy",
    0.9,
    "Share of the energy to keep",
    "Of each matrix, 1 − error²: 0.9 keeps 90 % of ‖ΔW‖²_F, an error of 0.316.",
    minimum=0.05,
    maximum=0.99,
    step=0.01,
)
STORED = Setting(
    "stored",
    "float32",
    "Stored as",
    "The type of the numbers in the file; errors are measured after rounding to it.",
    options=("float32", "float16", "bfloat16"),
)
FORMAT = Setting(
    "format",
    "PEFT",
    "Format",
    "A folder that PEFT opens, exact; one truncated to a LoRA of the rank of the sidebar; or the "
    "folder of this library, which stores blocks as they are.",
    options=("PEFT", "PEFT, truncated", "lolora_core"),
)

SETTINGS = (
    *BUDGET_AND_GRID,
    PAIR,
    HUB_BASE,
    HUB_TUNED,
    MATRIX,
    INTRUDERS,
    KEEP,
    SPEND,
    KEEP_ENERGY,
    STORED,
    FORMAT,
)
