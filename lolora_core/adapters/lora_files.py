"""Files of factors: kohya, diffusers, LyCORIS."""

from __future__ import annotations

from lolora_core.files.contents import Contents
from lolora_core.files.tensors import SafetensorsSource, TensorSource


def open_lora_file(source: SafetensorsSource, contents: Contents) -> TensorSource:
    """Open a file of factors as updates ΔW."""
    raise ValueError(f"{source.label} is {contents.sentence}, which is not read; {contents.advice}")
