"""Adapters: trainable block low-rank updates of a model's linear layers.

Examples
--------
>>> import torch
>>> from lolora_core.adapters import AdapterConfig, add_adapters, adapter_parameters
>>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32))
>>> _ = add_adapters(model, AdapterConfig(family="localized", rank=8, grid=4))
>>> sum(p.numel() for p in adapter_parameters(model))
1792
"""

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.init import full_gradients, gradient_rank_maps
from lolora_core.adapters.inject import (
    adapter_config,
    adapter_delta,
    adapter_layers,
    adapter_parameters,
    add_adapters,
    merge_adapters,
    num_adapter_parameters,
    remove_adapters,
    unmerge_adapters,
)
from lolora_core.adapters.layer import AdapterLinear, BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.sets import AdapterSet
from lolora_core.adapters.storage import load_adapters, save_adapters

__all__ = [
    "AdapterConfig",
    "AdapterLinear",
    "AdapterSet",
    "BlockFactors",
    "BlockLayout",
    "adapter_config",
    "adapter_delta",
    "adapter_layers",
    "adapter_parameters",
    "add_adapters",
    "full_gradients",
    "gradient_rank_maps",
    "load_adapters",
    "merge_adapters",
    "num_adapter_parameters",
    "remove_adapters",
    "save_adapters",
    "unmerge_adapters",
]
