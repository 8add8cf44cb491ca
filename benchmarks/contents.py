"""What a model of 100 GB in 20 shards is, asked of its headers; the shards are sparse files."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.timing import median_seconds
from lolora_core.checkpoints import what

SHARDS, LAYERS, WIDTH = 20, 160, 8192
#: Seven matrices of a layer of Llama: in columns of `WIDTH`.
MATRICES = {
    "self_attn.q_proj": 8192,
    "self_attn.k_proj": 1024,
    "self_attn.v_proj": 1024,
    "self_attn.o_proj": 8192,
    "mlp.gate_proj": 6400,
    "mlp.up_proj": 6400,
    "mlp.down_proj": 6400,
}


def write_sparse(folder: Path, shards: int = SHARDS, layers: int = LAYERS) -> int:
    """Write a sharded model whose values take no room on disk; return its bytes."""
    places, total = {}, 0
    for at in range(shards):
        name = f"model-{at + 1:05}-of-{shards:05}.safetensors"
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for layer in range(at, layers, shards):
            shapes = {f"{part}.weight": [rows, WIDTH] for part, rows in MATRICES.items()}
            for part, shape in (shapes | {"input_layernorm.weight": [WIDTH]}).items():
                tensor = f"model.layers.{layer}.{part}"
                size = 2 * WIDTH * (shape[0] if len(shape) == 2 else 1)
                header[tensor] = {
                    "dtype": "BF16",
                    "shape": shape,
                    "data_offsets": [end, end + size],
                }
                end += size
                places[tensor] = name
        text = json.dumps(header).encode()
        with (folder / name).open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
            total += 8 + len(text) + end
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return total


def run() -> dict[str, Any]:
    """Time `what`, in seconds: it must be under one."""
    with tempfile.TemporaryDirectory() as made:
        nbytes = write_sparse(Path(made))
        seconds = median_seconds(lambda: what(made))
    return {"gigabytes": nbytes / 1e9, "what_seconds": seconds}
