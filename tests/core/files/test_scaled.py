"""Weights in fp8 with their scales: blocks, rows, whole tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lolora_core.checkpoints import open_source, survey
from lolora_core.files.scaled import dequantise

FP8 = torch.float8_e4m3fn


def blocks(weight: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Quantise in blocks, one after the other."""
    m, n = weight.shape
    scales = torch.zeros(-(-m // side), -(-n // side))
    packed = torch.zeros(m, n)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            rows, cols = slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side)
            scales[i, j] = weight[rows, cols].abs().max() / 448
            packed[rows, cols] = weight[rows, cols] / scales[i, j]
    return packed.to(FP8), scales


@pytest.mark.parametrize("side", [128, 16])
def test_blocks_of_which_the_last_are_cut(tmp_path: Path, side: int) -> None:
    weight = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    packed, scales = blocks(weight, side)
    held = {"m.weight": packed, "m.weight_scale_inv": scales, "m.norm": torch.ones(8)}
    save_file(held, tmp_path / "model.safetensors")
    config: dict[str, Any] = {"model_type": "llama"}
    if side != 128:
        config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [side, side]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    source = open_source(tmp_path, needs="weights")
    assert set(source.tensors) == {"m.weight", "m.norm"}
    assert source.tensors["m.weight"].dtype == "F32"
    exact = torch.empty(200, 300)
    for i in range(200):
        for j in range(300):
            exact[i, j] = packed[i, j].float() * scales[i // side, j // side]
    assert torch.equal(source.read("m.weight"), exact)
    assert torch.equal(source.read("m.norm"), torch.ones(8))
    assert float((exact - weight).norm() / weight.norm()) < 0.05
    assert any("weight·scale" in note for note in source.notes)


@pytest.mark.parametrize(
    ("scale", "name"),
    [
        (torch.tensor(0.5), "weight_scale"),
        (torch.tensor([0.5]), "scale_weight"),
        (torch.arange(1.0, 7.0), "weight_scale"),
        (torch.arange(1.0, 7.0)[:, None], "weight_scale"),
        (torch.arange(1.0, 7.0)[:, None].bfloat16(), "weight_scale_inv"),
    ],
)
def test_one_scale_or_one_a_row(tmp_path: Path, scale: Tensor, name: str) -> None:
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).to(FP8)
    save_file({"m.weight": weight, f"m.{name}": scale}, tmp_path / "a.safetensors")
    read = open_source(tmp_path / "a.safetensors").read("m.weight")
    column = scale.float().reshape(-1, 1).expand(6, 1)
    assert torch.equal(read, weight.float() * column)


def test_experts_in_one_tensor_have_blocks_of_their_own() -> None:
    weight = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2)).to(FP8)
    scale = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(3))
    read = dequantise(weight, scale, (2, 2))
    for expert in range(2):
        assert torch.equal(read[expert], dequantise(weight[expert], scale[expert], (2, 2)))


def test_a_scale_that_does_not_fit_spoils_only_its_weight(tmp_path: Path) -> None:
    weight = torch.randn(6, 4).to(FP8)
    held = {
        "bad.weight": weight,
        "bad.weight_scale": torch.ones(5, 3),
        "good.weight": weight.clone(),
        "good.weight_scale": torch.ones(1),
        "plain.weight": torch.ones(6, 4),
    }
    save_file(held, tmp_path / "a.safetensors")
    source = open_source(tmp_path / "a.safetensors")
    assert "(5, 3), which does not fit (6, 4)" in source.tensors["bad.weight"].reason
    with pytest.raises(ValueError, match="does not fit"):
        source.read("bad.weight")
    tuned = {n: source.read(n) + 1 for n in ("good.weight", "plain.weight")}
    found = survey(tmp_path / "a.safetensors", tuned, rank=1, grids=[1], n_jobs=1)
    assert [row["name"] for row in found.rows] == ["good.weight", "plain.weight"]
