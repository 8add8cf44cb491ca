"""Every setting that a link carries, declared once: key, default, bounds, label, help.

A setting's key is its widget's key, its name in the URL and its name in the settings file. Widgets
are bound to the URL by Streamlit; their bounds never change, so that a link means the same
wherever it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

__all__ = [
    "ALL",
    "FINE_TUNE",
    "Setting",
    "apply_settings",
    "export_settings",
    "get",
    "pattern_setting",
    "rate_setting",
    "reset",
    "set_value",
]


@dataclass(frozen=True)
class Setting:
    """One value that a visitor picks.

    Attributes
    ----------
    key : str
        Of the widget, of the query parameter and in the settings file.
    default : str, int, float, bool, list of str or None
        A list is a choice of several; None is a number that may be left out.
    label, help : str
        What the widget says.
    minimum, maximum, step : int or float, optional
        Bounds of a number, of the type of the default.
    options : tuple of str or int, optional
        What a choice may be; the target's options come from the catalogue.
    """

    key: str
    default: Any
    label: str
    help: str
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    options: tuple[Any, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Return whether `value` has the type and lies within the bounds of the setting."""
        if value is None or self.default is None:
            return self.default is None and (value is None or self._within(value, self.minimum))
        return self._within(value, self.default)

    def _within(self, value: Any, like: Any) -> bool:
        if type(value) is not type(like):
            return False
        if self.options:
            return all(v in self.options for v in (value if isinstance(value, list) else [value]))
        if self.minimum is None or self.maximum is None:
            return True
        return bool(self.minimum <= value <= self.maximum)


TARGET = Setting(
    "target",
    "camera",
    "Target",
    "The matrix W to approximate. Type to search.",
)
COLOUR = Setting(
    "colour",
    False,
    "In colour",
    "A colour image is three matrices. Each is approximated on its own with r·(m + n) parameters, "
    "so the total is three times that.",
)
RANK = Setting(
    "rank",
    32,
    "Budget, as equivalent rank r",
    "The budget is r·(m + n) trainable parameters: what global LoRA of rank r would have. Every "
    "family gets the same budget.",
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
VIEW = Setting(
    "view",
    "reconstruction",
    "Show",
    "Reconstruction Ŵ; signed error W − Ŵ around 0; absolute error |W − Ŵ|; or the error of each "
    "block as a share of ‖W‖.",
    options=("reconstruction", "signed error", "absolute error", "per block"),
)
SCALE = Setting(
    "scale",
    "full",
    "Error scale",
    "One scale serves all families. Full covers the largest error of any family; 1/8 ends at an "
    "eighth of it, and each picture states how much of it lies beyond.",
    options=("full", "1/4", "1/8", "1/16"),
)
GRID_LINES = Setting("lines", False, "Grid lines", "Draw the borders of the blocks.")
SEARCHED = Setting(
    "hybrid",
    False,
    "Hybrid too",
    "A global term plus adaptive ranks on what it leaves. How the budget is shared is searched, "
    "which takes about a second at 512² for each new grid and budget.",
)
BLOCK_MARKS = Setting(
    "marks",
    False,
    "Block errors",
    "A square in each block: its area is the block's squared error, on one scale for all families.",
)
LOG_CURVE = Setting(
    "log",
    True,
    "Logarithmic error",
    "Equal steps up the axis are equal factors; errors of 0 do not appear.",
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
SIDE = Setting(
    "side",
    512,
    "Longest side of an uploaded image",
    "Larger images are made smaller to this side, in pixels; the note under the target says so.",
    options=(128, 256, 512, 1024, 2048),
)

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
KEEP = Setting(
    "keep",
    "global",
    "Family",
    "The structure of the adapter. On the grid of the sidebar, where it has blocks.",
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

ALL: tuple[Setting, ...] = (
    TARGET,
    COLOUR,
    RANK,
    ROWS,
    COLS,
    LINKED,
    DEVICE,
    VIEW,
    SCALE,
    GRID_LINES,
    BLOCK_MARKS,
    SEARCHED,
    LOG_CURVE,
    BLOCK_ROW,
    BLOCK_COL,
    SIDE,
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
    PAIR,
    HUB_BASE,
    HUB_TUNED,
    MATRIX,
    KEEP,
    SPEND,
    KEEP_ENERGY,
    STORED,
    FORMAT,
)


FT_TASK = Setting(
    "ft_task",
    "digits-rotated",
    "Task",
    "A pretrained base, what it has to learn, and how success is measured.",
)
FT_METHODS = Setting(
    "ft_methods",
    ["global", "diagonal", "localized", "full"],
    "Methods",
    "All train on the same examples in the same order. The families' adapters share one budget; "
    "full trains every weight, frozen only the head; peft- are the layers of the PEFT package.",
)
FT_RANK = Setting(
    "ft_rank",
    8,
    "Budget, as equivalent rank r",
    "Each adapted m×n matrix gets r·(m + n) trainable parameters, whatever the family.",
    minimum=1,
    maximum=64,
    step=1,
)
FT_GRID = Setting(
    "ft_grid",
    4,
    "Grid, blocks a side",
    "Each adapted matrix is cut into K×K blocks, for the families that have blocks.",
    minimum=1,
    maximum=16,
    step=1,
)
FT_STEPS = Setting(
    "ft_steps",
    None,
    "Steps",
    "Updates of each method; left empty, the task's own number.",
    minimum=1,
    maximum=5000,
    step=1,
)
FT_SEED = Setting(
    "ft_seed",
    0,
    "Seed",
    "Draws the training examples, their order and the factors at the start. On the CPU the same "
    "seed gives the same numbers.",
    minimum=0,
    maximum=1_000_000,
    step=1,
)
FT_SEEDS = Setting(
    "ft_seeds",
    1,
    "Number of seeds",
    "The race is run once with each seed from the first on; with two or more, the page says "
    "whether a difference is larger than the spread.",
    minimum=1,
    maximum=10,
    step=1,
)
FT_CURVE = Setting(
    "ft_curve",
    "validation",
    "Loss on",
    "Validation: examples that are not trained on, at every evaluation. Training: the batch of "
    "each step, before its update.",
    options=("validation", "training"),
)
FT_LOG = Setting("ft_log", True, "Logarithmic loss", "Equal steps up the axis are equal factors.")
FT_SCALE = Setting(
    "ft_scale",
    "1/4",
    "Scale of ΔW",
    "One scale serves all methods and steps. Full covers the largest |ΔW|; 1/4 ends at a quarter "
    "of it, and each picture states how much of it lies beyond.",
    options=("full", "1/2", "1/4", "1/8"),
)

#: Of the page Fine-tune, apart from the learning rates.
FINE_TUNE: tuple[Setting, ...] = (
    FT_TASK,
    FT_METHODS,
    FT_RANK,
    FT_GRID,
    FT_STEPS,
    FT_SEED,
    FT_SEEDS,
    FT_CURVE,
    FT_LOG,
    FT_SCALE,
)


def rate_setting(method: str) -> Setting:
    """Return the setting of a method's peak learning rate; None is the library's own."""
    return Setting(
        f"ft_lr.{method}",
        None,
        method,
        f"Peak learning rate of AdamW for {method}; left empty, the library's own for this task. "
        "Very large ones make the run diverge; the page then says at which step.",
        minimum=1e-6,
        maximum=1e12,
        step=1e-3,
    )


def pattern_setting(entry: Any, parameter: Any) -> Setting:
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


def get(setting: Setting) -> Any:
    """Return what the visitor picked, or the default before the widget was drawn."""
    return st.session_state.get(setting.key, setting.default)


def set_value(setting: Setting, value: Any) -> None:
    """Set a setting from a callback; Streamlit allows it nowhere else."""
    st.session_state[setting.key] = value


def reset(settings: Sequence[Setting]) -> None:
    """Put settings back to their defaults; a callback."""
    for setting in settings:
        set_value(setting, setting.default)


def export_settings(settings: Sequence[Setting]) -> str:
    """Return all settings as JSON text that `apply_settings` reads."""
    return json.dumps({setting.key: get(setting) for setting in settings}, indent=2)


def apply_settings(
    text: bytes, settings: Sequence[Setting], write: Callable[[Setting, Any], None] = set_value
) -> list[str]:
    """Set what a settings file holds; return a sentence for everything that was not taken.

    Raises
    ------
    ValueError
        Not JSON, or not an object.
    """
    try:
        found = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise ValueError(f"This is not a settings file: {problem}.") from None
    if not isinstance(found, dict):
        raise ValueError("This is not a settings file: it holds no object with names and values.")
    known = {setting.key: setting for setting in settings}
    problems = []
    for key, value in found.items():
        if key not in known:
            problems.append(f"“{key}” is not a setting of this version; it was left out.")
        elif not known[key].accepts(value):
            problems.append(f"“{key}” cannot be {value!r}; it was left as it is.")
        else:
            write(known[key], value)
    return problems
