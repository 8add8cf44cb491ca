"""Which cells of the scoreboard a visitor looks at."""

from __future__ import annotations

from app.shared.settings import Setting
from app.views.scoreboard.sentences import KINDS
from lolora_core.explore.scoreboard import CLAIMED, GRIDS, RANKS, RIVALS
from lolora_core.families import ranked_families
from lolora_core.targets import catalogue
from lolora_core.training.experiment.protocol import CELLS

_KINDS = tuple(dict.fromkeys(found.kind for found in catalogue()))
_FAMILIES = tuple(ranked_families())
_GRIDS, _RANKS = tuple(map(str, GRIDS)), tuple(map(str, RANKS))

BOARD_KINDS = Setting(
    "board_kinds",
    list(_KINDS),
    "Kinds of target",
    "Photographs, patterns made by formula, weights of trained networks, and updates: what "
    "fine-tuning changed in a matrix.",
    options=_KINDS,
    titles={kind: KINDS.get(kind, kind) for kind in _KINDS},
)
BOARD_FAMILIES = Setting(
    "board_families",
    [name for name in _FAMILIES if name in (*RIVALS, CLAIMED)],
    "Families that compete",
    "The paper compares the first three. Adaptive is an idea of this project: on the same grid it "
    "is never worse than localized. Hybrid is left out: each cell would cost a search.",
    options=_FAMILIES,
)
BOARD_GRIDS = Setting(
    "board_grids",
    list(_GRIDS),
    "Grids",
    "Into how many blocks the matrix is cut: 8×8 is 64 blocks.",
    options=_GRIDS,
    titles={k: f"{k}×{k}" for k in _GRIDS},
)
BOARD_RANKS = Setting(
    "board_ranks",
    list(_RANKS),
    "Budgets, as equivalent rank r",
    "A budget of r·(m + n) numbers for an m×n matrix: what global LoRA of rank r has. At most half "
    "of what the matrix itself has.",
    options=_RANKS,
)
BOARD_EXACT = Setting(
    "board_exact",
    True,
    "Fair comparisons only",
    "Only cells where every family that competes spends its whole budget: what is left over would "
    "not buy one more rank in any block, or the error is 0 already. Localized on 8×8 blocks can "
    "spend only multiples of r = 8.",
)

TRAINED_TASK = Setting(
    "trained_task",
    CELLS[0].task,
    "Task of the experiment",
    "What was learnt. A task that is missing here was dropped: see above.",
    options=tuple(dict.fromkeys(cell.task for cell in CELLS)),
)
TRAINED_RANK = Setting(
    "trained_rank",
    8,
    "Budget of the experiment, as equivalent rank r",
    "A budget of r·(m + n) numbers for each adapted m×n matrix.",
    options=tuple(sorted({cell.rank for cell in CELLS})),
)

TRAINED_VARIANTS = Setting(
    "trained_variants",
    False,
    "With variants",
    "Also what the experiment trained to answer questions: blocks on shuffled rows and columns, "
    "blocks that share factors, another scaling, two learning rates.",
)

SETTINGS = (
    BOARD_KINDS,
    BOARD_FAMILIES,
    BOARD_GRIDS,
    BOARD_RANKS,
    BOARD_EXACT,
    TRAINED_TASK,
    TRAINED_RANK,
    TRAINED_VARIANTS,
)
