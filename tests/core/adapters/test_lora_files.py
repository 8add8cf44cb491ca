"""Single files of factors, against formulas written here, convolutions and PEFT's own layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import conv2d

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.lora_files import read_lora_file
from lolora_core.adapters.peft_read import open_adapters, read_adapters
from lolora_core.adapters.stored import Stored
from lolora_core.checkpoints import open_source
from tests.core.adapters.peft_models import (
    ConvNet,
    assert_same_update,
    bert,
    deltas_of_peft,
    made,
    trained,
)

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")

UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def write(path: Path, tensors: dict[str, Tensor], **metadata: str) -> Path:
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=metadata or None)
    return path


def kohya(module: str, down: Tensor, up: Tensor, alpha: float | None) -> dict[str, Tensor]:
    held = {f"{module}.lora_down.weight": down, f"{module}.lora_up.weight": up}
    return held if alpha is None else held | {f"{module}.alpha": torch.tensor(alpha)}


def test_kohya_is_alpha_over_rank_times_up_times_down(tmp_path: Path) -> None:
    tensors = kohya(UNET, noise(8, 64), noise(48, 8), 4.0)
    tensors |= kohya(TEXT, noise(2, 16), noise(16, 2), 3.0)
    tensors |= kohya(CONV, noise(4, 6, 3, 3), noise(10, 4, 1, 1), 1.0)
    read = read_lora_file(write(tmp_path / "a.safetensors", tensors, ss_network_dim="8"))
    assert set(read.terms) == {UNET, TEXT, CONV}
    for module, ratio in ((UNET, 4 / 8), (TEXT, 3 / 2), (CONV, 1 / 4)):
        down, up = (tensors[f"{module}.lora_{x}.weight"].double() for x in ("down", "up"))
        assert_same_update(
            read.delta(module), ratio * torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1))
        )
    assert read.stored == {CONV: Stored("conv", (3, 3))}
    assert read.notes == ()
    assert set(read_adapters(tmp_path / "a.safetensors").terms) == set(read.terms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_tucker_core_acts_as_the_three_convolutions_do(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    down, mid, up = noise(3, 5, 1, 1), noise(3, 3, 3, 3), noise(7, 3, 1, 1)
    tensors = kohya(CONV, down, up, 6.0) | {f"{CONV}.lora_mid.weight": mid}
    tensors = {name: value.to(dtype) for name, value in tensors.items()}
    read = read_lora_file(write(tmp_path / "a.safetensors", tensors))
    down, mid, up = (value.to(dtype).double() for value in (down, mid, up))
    x = noise(2, 5, 9, 9).double()
    wanted = 2 * conv2d(conv2d(conv2d(x, down), mid), up)
    found = conv2d(x, read.delta(CONV).double().reshape(7, 5, 3, 3))
    assert (found - wanted).abs().max() < 1e-5 * wanted.norm()


def test_a_convolution_acts_as_its_two_convolutions_do(tmp_path: Path) -> None:
    down, up = noise(3, 5, 3, 2), noise(7, 3, 1, 1)
    read = read_lora_file(write(tmp_path / "a.safetensors", kohya(CONV, down, up, 3.0)))
    x = noise(2, 5, 9, 9)
    found = conv2d(x, read.delta(CONV).reshape(7, 5, 3, 2))
    torch.testing.assert_close(found, conv2d(conv2d(x, down), up), atol=1e-4, rtol=1e-4)


def test_half_precision_factors_keep_their_scale(tmp_path: Path) -> None:
    tensors = kohya(UNET, noise(8, 32), noise(24, 8), 3.0)
    tensors |= kohya(TEXT, noise(8, 32, seed=1), noise(24, 8, seed=1), 7.0)
    tensors = {k: v if "alpha" in k else v.bfloat16() for k, v in tensors.items()}
    read = read_lora_file(write(tmp_path / "a.safetensors", tensors))
    for module, alpha in ((UNET, 3), (TEXT, 7)):
        down, up = (tensors[f"{module}.lora_{x}.weight"].double() for x in ("down", "up"))
        assert_same_update(read.delta(module), alpha / 8 * (up @ down))


def test_without_alpha_it_is_the_rank_and_a_note_says_so(tmp_path: Path) -> None:
    tensors = kohya(UNET, noise(8, 64), noise(48, 8), None)
    tensors |= kohya(TEXT, noise(2, 16), noise(16, 2), 2.0)
    read = read_lora_file(write(tmp_path / "a.safetensors", tensors))
    assert_same_update(read.delta(UNET), noise(48, 8) @ noise(8, 64))
    assert "no alpha is stated for 1 of its modules" in read.notes[0]


DIFFUSERS = {
    "new": ("unet.mid.attn1.to_q", "{}.lora_A.weight", "{}.lora_B.weight"),
    "transformer": ("transformer.blocks.0.attn.to_q", "{}.lora_A.weight", "{}.lora_B.weight"),
    "old": ("unet.mid.attn1.processor.to_q", "{}_lora.down.weight", "{}_lora.up.weight"),
    "lora layer": ("unet.mid.attn1.to_q", "{}.lora.down.weight", "{}.lora.up.weight"),
    "text encoder": (
        "text_encoder_2.text_model.q_proj",
        "{}.lora_linear_layer.down.weight",
        "{}.lora_linear_layer.up.weight",
    ),
}


@pytest.mark.parametrize("spelling", DIFFUSERS)
def test_every_spelling_of_diffusers_is_read(spelling: str, tmp_path: Path) -> None:
    module, down, up = DIFFUSERS[spelling]
    tensors = {down.format(module): noise(4, 12), up.format(module): noise(10, 4)}
    plain = read_lora_file(write(tmp_path / "a.safetensors", tensors))
    assert_same_update(plain.delta(module), noise(10, 4) @ noise(4, 12))
    assert "no alpha is stated: it is taken to be the rank" in plain.notes[0]
    stem = down.format(module).rpartition(".down")[0] or module
    stated = tensors | {f"{stem}.alpha": torch.tensor([2.0])}
    read = read_lora_file(write(tmp_path / "b.safetensors", stated))
    assert_same_update(read.delta(module), 0.5 * (noise(10, 4) @ noise(4, 12)))
    assert read.notes == ()


def test_settings_in_the_header_of_diffusers_are_those_of_peft(tmp_path: Path) -> None:
    rank, tensors = {"a.to_q": 4, "b.to_q": 2, "te.q_proj": 3}, {}
    names = {
        "a.to_q": "unet.a.to_q",
        "b.to_q": "unet.b.to_q",
        "te.q_proj": "text_encoder.te.q_proj",
    }
    for short, module in names.items():
        tensors[f"{module}.lora_A.weight"] = noise(rank[short], 12)
        tensors[f"{module}.lora_B.weight"] = noise(10, rank[short])
    unet = LoraConfig(r=4, lora_alpha=6, rank_pattern={"b.to_q": 2}, alpha_pattern={"^b.to_q$": 5})
    text = LoraConfig(r=3, lora_alpha=9, use_rslora=True)
    settings = {
        f"{component}.{name}": value
        for component, config in (("unet", unet), ("text_encoder", text))
        for name, value in json.loads(json.dumps(config.to_dict(), default=str)).items()
        if name != "peft_type"
    }
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=json.dumps(settings))
    read = read_lora_file(path)
    scales = {"a.to_q": 6 / 4, "b.to_q": 5 / 2, "te.q_proj": 9 / 3**0.5}
    for short, module in names.items():
        wanted = scales[short] * (noise(10, rank[short]) @ noise(rank[short], 12))
        assert_same_update(read.delta(module), wanted)
    assert read.notes == ()
    wrong = json.dumps(settings | {"text_encoder.use_dora": True})
    write(path, tensors, lora_adapter_metadata=wrong)
    with pytest.raises(ValueError, match=r"text_encoder in .* sets use_dora to true"):
        read_lora_file(path)
    write(path, tensors, lora_adapter_metadata=json.dumps(settings | {"unet.r": 8}))
    with pytest.raises(ValueError, match=r"unet.a.to_q has rank 4, and .* says 8"):
        read_lora_file(path)


def test_settings_without_a_component_are_those_of_the_whole_file(tmp_path: Path) -> None:
    tensors = {"a.to_q.lora_A.weight": noise(4, 12), "a.to_q.lora_B.weight": noise(10, 4)}
    settings = {"r": 4, "lora_alpha": 2, "base_model_name_or_path": "some/model"}
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=json.dumps(settings))
    read = read_lora_file(path)
    assert_same_update(read.delta("a.to_q"), 0.5 * (noise(10, 4) @ noise(4, 12)))
    assert read.carried == {"base_model_name_or_path": "some/model"}


LYCORIS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "loha": (bert, LoHaConfig(r=2, alpha=3, target_modules=["query", "intermediate.dense"])),
    "loha core": (
        ConvNet,
        LoHaConfig(r=2, alpha=5, target_modules=["down.0"], use_effective_conv2d=True),
    ),
    "lokr": (bert, LoKrConfig(r=2, alpha=3, target_modules=["query", "intermediate.dense"])),
    "lokr both": (bert, LoKrConfig(r=1, alpha=3, target_modules=["query"], decompose_both=True)),
    "lokr core": (
        ConvNet,
        LoKrConfig(r=1, alpha=3, target_modules=["down.0"], use_effective_conv2d=True),
    ),
    "lokr conv": (ConvNet, LoKrConfig(r=8, alpha=8, target_modules=["down.0"])),
}


@pytest.mark.parametrize("case", LYCORIS)
def test_loha_and_lokr_of_lycoris_are_what_peft_makes_of_the_factors(
    case: str, tmp_path: Path
) -> None:
    model, config = LYCORIS[case]
    trained(made(model), config, tmp_path)
    wanted = deltas_of_peft(made(model), tmp_path)
    tensors = {
        key.removeprefix("base_model.model."): value
        for key, value in load_file(tmp_path / "adapter_model.safetensors").items()
    }
    tensors |= {f"{name}.alpha": torch.tensor(float(config.alpha)) for name in wanted}
    (tmp_path / "alone").mkdir()
    source = open_adapters(write(tmp_path / "alone" / "a.safetensors", tensors))
    assert source.is_update
    assert set(source.tensors) == {f"{name}.weight" for name in wanted}
    for name, delta in wanted.items():
        assert_same_update(source.read(f"{name}.weight"), delta)
        assert source.tensors[f"{name}.weight"].shape == delta.flatten(1).shape
        rank = int(torch.linalg.matrix_rank(delta.flatten(1).double(), rtol=1e-5))
        assert source.held_rank(f"{name}.weight") == rank


def test_alpha_says_nothing_where_both_parts_of_lokr_are_whole(tmp_path: Path) -> None:
    tensors = {"m.lokr_w1": noise(2, 3), "m.lokr_w2": noise(4, 5), "m.alpha": torch.tensor(64.0)}
    source = open_adapters(write(tmp_path / "a.safetensors", tensors))
    wanted = torch.stack(
        [torch.cat([x * tensors["m.lokr_w2"] for x in row], 1) for row in tensors["m.lokr_w1"]]
    ).flatten(0, 1)
    assert_same_update(source.read("m.weight"), wanted)


def test_a_mixed_file_is_read_part_by_part(tmp_path: Path) -> None:
    tensors = kohya(UNET, noise(2, 12), noise(10, 2), 2.0)
    tensors |= {
        f"{CONV}.diff": noise(6, 4, 3, 3),
        f"{CONV}.diff_b": noise(6),
        "lora_unet_norm.w_norm": noise(6),
        "lora_unet_norm.b_norm": noise(6),
        "lora_unet_norm2.diff": noise(6),
        "lora_unet_full.diff": noise(6, 5).bfloat16(),
        "bundle_emb.token": noise(3, 4),
    }
    tensors |= {f"hada.hada_w{n}_{x}": noise(5, 5, seed=n) for n in (1, 2) for x in "ab"}
    path = write(tmp_path / "a.safetensors", tensors)
    source = open_source(path)
    assert isinstance(source, AdapterSource)
    assert source.is_update
    assert set(source.tensors) == {
        f"{name}.weight" for name in (UNET, CONV, "lora_unet_full", "hada")
    }
    assert_same_update(source.read(f"{CONV}.weight"), noise(6, 4, 3, 3))
    assert_same_update(source.read("lora_unet_full.weight"), noise(6, 5).bfloat16().float())
    assert source.tensors[f"{CONV}.weight"].shape == (6, 36)
    assert source.adapters.stored == {CONV: Stored("conv", (3, 3))}
    assert source.held_rank("hada.weight") == 5
    left = {
        f"{CONV}.diff_b": "the update of a bias, which is no matrix",
        "lora_unet_norm.w_norm": "the update of a norm, which is no matrix",
        "lora_unet_norm.b_norm": "the update of a norm's bias, which is no matrix",
        "lora_unet_norm2.diff": "the update of a vector, which is no matrix",
        "bundle_emb.token": "no part of an update of a matrix",
    }
    assert source.left_out == left
    terms = read_lora_file(path)
    assert set(terms.terms) == {UNET}
    assert terms.left_out.keys() - left.keys() == {
        f"{CONV}.diff",
        "lora_unet_full.diff",
        *(f"hada.hada_w{n}_{x}" for n in (1, 2) for x in "ab"),
    }


def test_a_file_without_terms_is_no_adapter_set(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"m.diff": noise(4, 4)})
    with pytest.raises(ValueError, match=r"no product of two factors \(full\)"):
        read_lora_file(path)


PAIR = kohya("m", noise(2, 4), noise(4, 2), None)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"m.dora_scale": noise(4, 1)}, r"is DoRA \(dora_scale\)"),
        ({"n.lora_magnitude_vector": noise(4)}, r"is DoRA \(lora_magnitude_vector\)"),
        ({"n.oft_blocks": noise(2, 2, 2)}, "is OFT, which multiplies"),
        ({"n.on_input": noise(4)}, "is IA³"),
        ({"n.a1.weight": noise(4, 4)}, "is GLoRA"),
        ({"m.scalar": noise(1)}, "is a LyCORIS scalar"),
        ({"m.alpha": noise(2)}, r"alpha of m must be one number; it has the shape \(2,\)"),
        ({"m.alpha": torch.tensor(float("nan"))}, "alpha of m must be finite; it is nan"),
        ({"m.alpha": torch.tensor(0.0)}, "alpha of m is 0, which kohya reads as the rank"),
        ({"n.lora_up.weight": noise(4, 2)}, r"n has n\.lora_up\.weight, but no down factor"),
        ({"n.lora_down.weight": noise(4, 2)}, r"n has n\.lora_down\.weight, but no up factor"),
        (kohya("n", noise(2, 4), noise(4, 3), None), r"n has factors of shapes \(4, 3\) and \(2"),
        (kohya("n", noise(2), noise(4, 2), None), "n has factors of .* do not multiply"),
        (kohya("n", noise(4, 6, 3, 3), noise(8, 1, 1, 1), None), "a convolution in groups"),
        ({"m.lora_mid.weight": noise(3, 3, 3, 3)}, "m has lora_mid of shape"),
        ({"m.diff": noise(4, 4)}, "holds two updates of m"),
        ({"m.lora_A.weight": noise(2, 4)}, "holds down of m twice"),
        ({"n.hada_w1_a": noise(4, 2)}, "n is LoHa without 'hada_w1_b'"),
        (
            {f"n.hada_w{n}_{x}": noise(4, n) for n in (1, 2) for x in "ab"},
            "n is LoHa of shapes that do not fit",
        ),
        ({"n.lokr_w1": noise(2, 2), "n.diff": noise(2, 2)}, "n has parts of LoKr and full"),
        (
            {"n.lora_A.one.weight": noise(2, 4), "n.lora_B.one.weight": noise(4, 2)},
            "several adapters in one file, one without a name, 'one'",
        ),
        (
            {f"base_model.model.n.lora_{x}.weight": noise(4, 4) for x in "AB"},
            r"adapter_config\.json: put it beside the file",
        ),
        ({"n.lora_embedding_A": noise(2, 4)}, "factors of an embedding without PEFT's"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_name(
    more: dict[str, Tensor], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.safetensors", PAIR | more)
    with pytest.raises(ValueError, match=message):
        open_adapters(path)


def test_a_file_without_factors_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"m.weight": noise(4, 4)})
    with pytest.raises(ValueError, match="holds no factors of an update"):
        open_adapters(path)


def test_a_rank_above_the_full_one_is_cut_exactly(tmp_path: Path) -> None:
    tensors = kohya("m", noise(9, 4), noise(6, 9), 3.0)
    read = read_lora_file(write(tmp_path / "a.safetensors", tensors))
    assert_same_update(read.delta("m"), 3 / 9 * (noise(6, 9).double() @ noise(9, 4).double()))
    assert read.notes == (
        "m: rank 9 is above the full rank 4 of its 6×4 weight; its update is read at rank 4",
    )
