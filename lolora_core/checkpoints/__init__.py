"""Real checkpoints: where a fine-tune lives, which structure holds it, and the adapter.

Examples
--------
>>> import torch
>>> from lolora_core.checkpoints import survey
>>> found = survey({"a.weight": torch.eye(8)}, {"a.weight": torch.eye(8) * 2}, rank=1, grids=[8])
>>> found.rows[0]["best_family"]
'diagonal'
"""

from lolora_core.adapters.peft_choices import PeftChoice, peft_choices
from lolora_core.adapters.peft_read import read_adapters, read_peft
from lolora_core.adapters.peft_write import from_peft, to_peft
from lolora_core.checkpoints.bundled import BUNDLED_PAIRS, bundled_pair
from lolora_core.checkpoints.columns import COLUMN_HELP
from lolora_core.checkpoints.extract import Extraction, extract_adapters, resize_adapters
from lolora_core.checkpoints.merge import Merged, merge_checkpoint
from lolora_core.checkpoints.overlap import OVERLAP_HELP, Overlap, overlap
from lolora_core.checkpoints.pooled import pooled_errors
from lolora_core.checkpoints.sources import open_source, what
from lolora_core.checkpoints.survey import Survey, survey
from lolora_core.checkpoints.update_target import update_target
from lolora_core.files.contents import Contents
from lolora_core.files.tensors import TensorSource

__all__ = [
    "BUNDLED_PAIRS",
    "COLUMN_HELP",
    "OVERLAP_HELP",
    "Contents",
    "Extraction",
    "Merged",
    "Overlap",
    "PeftChoice",
    "Survey",
    "TensorSource",
    "bundled_pair",
    "extract_adapters",
    "from_peft",
    "merge_checkpoint",
    "open_source",
    "overlap",
    "peft_choices",
    "pooled_errors",
    "read_adapters",
    "read_peft",
    "resize_adapters",
    "survey",
    "to_peft",
    "update_target",
    "what",
]
