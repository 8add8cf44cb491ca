"""What a visitor picks on Your weights."""

from __future__ import annotations

from app.shared.common import COLS, LINKED, RANK, ROWS
from app.shared.settings import Setting
from lolora_core import FAMILIES
from lolora_core.checkpoints import BUNDLED_PAIRS

#: The pairs that are no bundled ones.
UPLOADED, LOCAL, FROM_HUB = "own upload", "on this machine", "from the Hub"

PAIR = Setting(
    "pair",
    "digits transformer",
    "Base and tuned",
    "The weights before and after a fine-tune. The page looks at their difference, ΔW.",
    options=(*BUNDLED_PAIRS, UPLOADED, LOCAL, FROM_HUB),
    titles={
        **{name: known.title for name, known in BUNDLED_PAIRS.items()},
        UPLOADED: "Own upload",
        LOCAL: "A path on this machine",
        FROM_HUB: "From the Hub",
    },
)
BASE_PATH = Setting(
    "base_path",
    "",
    "Path of the base",
    "A .safetensors file, or a folder with one or several, on the machine that runs the app. It "
    "is read in place, so it may be of any size.",
)
TUNED_PATH = Setting(
    "tuned_path",
    "",
    "Path of tuned",
    "A fine-tuned model of the same shapes, or an adapter of the base.",
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
    "The one to look at; or click its cell above. First stands the one that changed most, by "
    "‖ΔW‖_F.",
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
    "Each matrix: the budget of the sidebar for every matrix. Shared: the same sum, but rank goes "
    "where it pays. Energy: whatever it takes to keep a share of each ‖ΔW‖².",
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
    RANK,
    ROWS,
    COLS,
    LINKED,
    PAIR,
    BASE_PATH,
    TUNED_PATH,
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
