"""Targets: images, synthetic patterns, real weights, updates ΔW and uploads."""

from lolora_core.files.header import TensorInfo, View
from lolora_core.targets.base import Cut, Entry, Parameter, Target
from lolora_core.targets.order import shuffle_rows
from lolora_core.targets.registry import catalogue, entry, load
from lolora_core.targets.uploads.arrays import upload_npy
from lolora_core.targets.uploads.common import MAX_SIDE, check_extension, check_kind
from lolora_core.targets.uploads.images import ImageLimits, upload_image
from lolora_core.targets.uploads.tensors import list_tensors, upload_safetensors
from lolora_core.targets.weights import asset_path

__all__ = [
    "MAX_SIDE",
    "Cut",
    "Entry",
    "ImageLimits",
    "Parameter",
    "Target",
    "TensorInfo",
    "View",
    "asset_path",
    "catalogue",
    "check_extension",
    "check_kind",
    "entry",
    "list_tensors",
    "load",
    "shuffle_rows",
    "upload_image",
    "upload_npy",
    "upload_safetensors",
]
