"""Real checkpoints: where a fine-tune lives, which structure holds it, and the adapter.

Examples
--------
>>> import torch
>>> from lolora_core.checkpoints import survey
>>> found = survey({"a.weight": torch.eye(8)}, {"a.weight": torch.eye(8) * 2}, rank=1, grids=[8])
>>> found.rows[0]["best_family"]
'diagonal'
"""

from lolora_core.checkpoints.source import TensorSource, open_source
from lolora_core.checkpoints.survey import Survey, survey

__all__ = ["Survey", "TensorSource", "open_source", "survey"]
