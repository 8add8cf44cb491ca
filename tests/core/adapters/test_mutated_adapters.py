"""Damaged adapters end in an answer or in a sentence, never in anything else."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lolora_core.adapters.peft_read import open_adapters
from lolora_core.checkpoints import open_source
from lolora_core.common.patterns import Matcher

SHAPES = [(), (0,), (1,), (2, 4), (4, 2), (0, 3), (2, 2, 2), (2, 2, 1, 1), (2, 2, 3, 3, 3)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
WORDS = ["lora_A", "lora_B", "alpha", "hada_t1", "hada_w1_a", "lokr_w1", "lokr_t2", "lora_mid"]
WORDS += ["diff", "weight", "base_model.model.", "_orig_mod.", "lora_embedding_A", "gralora_A", ""]
VALUES: list[Any] = [None, True, False, 0, -1, 3, 2.5, "x", "(", [], {}, {"(": 2}, {"fc": 0}]
VALUES += [{"fc": None}, {"fc": "x"}, [1], float("inf"), float("nan"), 10**30, 10**7]


def ones(*shape: int) -> Tensor:
    return torch.ones(shape)


def pair(module: str, down: str, up: str, rank: int = 2) -> dict[str, Tensor]:
    return {f"{module}.{down}": ones(rank, 8), f"{module}.{up}": ones(8, rank)}


FC = "base_model.model.fc"
COMMON: dict[str, Any] = {"r": 2, "rank_pattern": {}, "alpha_pattern": {}, "target_modules": ["fc"]}
SEEDS: list[tuple[dict[str, Any] | None, dict[str, Tensor]]] = [
    (
        {"peft_type": "LORA", "lora_alpha": 4, "use_rslora": False, **COMMON},
        pair(FC, "lora_A.weight", "lora_B.weight")
        | pair("base_model.model.e", "lora_embedding_A", "lora_embedding_B"),
    ),
    (
        {"peft_type": "GRALORA", "alpha": 4, "gralora_k": 2, "hybrid_r": 2, **COMMON},
        {f"{FC}.gralora_A": ones(2, 4, 2), f"{FC}.gralora_B": ones(2, 2, 4)}
        | pair(FC, "gralora_A_general.weight", "gralora_B_general.weight"),
    ),
    (
        {"peft_type": "LOHA", "alpha": 4, **COMMON},
        pair(FC, "hada_w1_b", "hada_w1_a") | pair(FC, "hada_w2_b", "hada_w2_a"),
    ),
    (
        {"peft_type": "LOKR", "alpha": 4, **COMMON},
        pair(FC, "lokr_w2_b", "lokr_w2_a") | {f"{FC}.lokr_w1": ones(2, 2)},
    ),
    (
        None,
        pair("a", "lora_down.weight", "lora_up.weight")
        | pair("b", "hada_w1_b", "hada_w1_a")
        | pair("b", "hada_w2_b", "hada_w2_a")
        | {"a.alpha": ones(), "b.alpha": ones(), "c.diff": ones(4, 4), "c.diff_b": ones(4)}
        | {"d.lora_down.weight": ones(2, 4, 1, 1), "d.lora_up.weight": ones(4, 2, 1, 1)}
        | {"d.lora_mid.weight": ones(2, 2, 3, 3), "f.lokr_w1": ones(2, 2), "f.lokr_w2": ones(2, 2)},
    ),
    (None, pair("unet.a", "lora_A.weight", "lora_B.weight")),
]
METADATA = {"unet.r": 2, "unet.lora_alpha": 4, "unet.rank_pattern": {}, "unet.use_rslora": True}


def mutate(chance: random.Random, folder: Path) -> Path:
    """Write one of the seeds with one to three changes, and return what is to be opened."""
    config, tensors = chance.choice(SEEDS)
    config, tensors, notes = None if config is None else {**config}, {**tensors}, {**METADATA}
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(list(tensors))
        what = chance.choice(["shape", "gone", "name", "value", "setting", "setting"])
        if what == "shape":
            tensors[name] = torch.ones(chance.choice(SHAPES), dtype=chance.choice(DTYPES))
        elif what == "gone" and len(tensors) > 1:
            del tensors[name]
        elif what == "name":
            new = name.replace(chance.choice(WORDS[:-1]), chance.choice(WORDS)) or "x"
            tensors[new] = tensors.pop(name)
        elif what == "value":
            tensors[name] = torch.full_like(tensors[name].float(), chance.choice([0.0, torch.inf]))
        else:
            settings = notes if config is None else config
            settings[chance.choice(list(settings))] = chance.choice(VALUES)
    if config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(config))
    metadata = {"lora_adapter_metadata": json.dumps(notes)}
    file = folder / "adapter_model.safetensors"
    save_file({n: t.clone() for n, t in tensors.items()}, file, metadata if config is None else {})
    return chance.choice([folder, file]) if config is not None else file


@pytest.mark.parametrize("seed", range(4))
def test_damaged_adapters_are_read_or_refused_in_one_sentence(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    read, messages = 0, []
    for number in range(150):
        (tmp_path / str(number)).mkdir()
        where = mutate(chance, tmp_path / str(number))
        try:
            source = open_adapters(where)
            for name, info in source.tensors.items():
                assert source.read(name).shape == info.shape
        except ValueError as error:
            messages.append(str(error))
        else:
            read += 1
    assert not [message for message in messages if "\n" in message]
    assert min(read, len(messages)) > 15


@pytest.mark.parametrize("seed", [0, 2, 5], ids=["LoRA", "LoHa", "diffusers"])
def test_patterns_of_a_file_are_matched_in_bounded_time(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Matcher.__init__, "__defaults__", ("the pattern", 0.02))
    config, tensors = SEEDS[seed]
    hard = {"rank_pattern": {"(a|aa)+": 2}}
    tensors = {
        name.replace("fc", "a" * 99 + "b").replace("unet.a", "unet." + "a" * 99 + "b"): tensor
        for name, tensor in tensors.items()
    }
    file, metadata = tmp_path / "adapter_model.safetensors", {}
    if config is None:
        settings = {**METADATA, "unet.rank_pattern": hard["rank_pattern"]}
        metadata = {"lora_adapter_metadata": json.dumps(settings)}
    else:
        (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **hard}))
    save_file(tensors, file, metadata)
    with pytest.raises(ValueError, match=r"the pattern .* takes longer than 0\.02 seconds"):
        open_adapters(file)


@pytest.mark.parametrize("form", ["LoKr", "LoHa"])
def test_few_numbers_do_not_span_a_large_matrix(form: str, tmp_path: Path) -> None:
    parts = {"LoKr": {"lokr_w1": ones(90, 80), "lokr_w2": ones(70, 60)}}.get(
        form,
        pair("", "hada_w1_b", "hada_w1_a", 1) | pair("", "hada_w2_b", "hada_w2_a", 1),
    )
    tensors = {f"m.{name.lstrip('.')}": tensor for name, tensor in parts.items()}
    file = tmp_path / "a.safetensors"
    save_file(tensors, file)
    (info,) = open_source(file).tensors.values()
    rows, cols = info.shape
    assert open_source(file, max_entries=rows * cols).tensors
    with pytest.raises(ValueError, match=rf"^m of .* is an update of {rows:,} × {cols:,}; at most"):
        open_source(file, max_entries=rows * cols - 1)
