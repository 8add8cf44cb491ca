"""Adapters of two checkpoints, judged by PEFT on models built from a config."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import MixtralConfig, MixtralForCausalLM

from lolora_core.adapters import AdapterSet
from lolora_core.adapters.stored import Stored
from lolora_core.checkpoints import extract_adapters, read_peft, resize_adapters, to_peft
from lolora_core.checkpoints.extract import Extraction
from lolora_core.files.tensors import MappingSource
from tests.core.adapters.peft_models import bert, gpt2, llama, made, t5, vit

# PEFT still reads the name that transformers has deprecated, and looks at each module itself where
# Conv1D and nn.Linear are mixed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
    # Its own pattern for experts, which it stacks afterwards.
    pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys did not match"),
]

#: PEFT's ΔW and ours, relative to ‖ΔW‖.
ALLOWED = 1e-5

SMALL: dict[str, Callable[[], nn.Module]] = {
    "bert": bert,
    "gpt2": gpt2,
    "t5": t5,
    "llama": llama,
    "vit": vit,
}


def built(kind: str) -> nn.Module:
    return made(SMALL[kind])


def low_rank(shape: tuple[int, ...], rank: int = 2) -> Tensor:
    """An update of rank 2 of any weight, a convolution's as (out, in·k_h·k_w)."""
    rows, cols = shape[0], int(torch.tensor(shape[1:]).prod())
    return (torch.randn(rows, rank) @ torch.randn(rank, cols) / 5).reshape(shape)


def fine_tuned(base: nn.Module) -> nn.Module:
    after = copy.deepcopy(base)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in after.parameters():
            if parameter.ndim >= 2:
                parameter.add_(low_rank(tuple(parameter.shape)))
            else:
                parameter.add_(torch.randn(parameter.shape) / 5)
    return after


def source(model: Any) -> MappingSource:
    """The checkpoint of a model as it is on disk, and its config.json."""
    config = json.loads(model.config.to_json_string())
    return MappingSource(
        model.state_dict(), config=config | {"architectures": [type(model).__name__]}
    )


def peft_updates(base: nn.Module, folder: Path) -> dict[str, Tensor]:
    """What PEFT adds to every parameter of the base."""
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    merged = PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).merge_and_unload()
    return {name: p.detach() - before[name] for name, p in merged.named_parameters()}


def agree(found: Extraction | AdapterSet, theirs: dict[str, Tensor]) -> None:
    adapters = found.adapters if isinstance(found, Extraction) else found
    for name in adapters.terms:
        ours, judge = adapters.delta(name), theirs.pop(f"{name}.weight").flatten(1)
        assert (ours - judge).abs().max() < ALLOWED * judge.norm(), name
    assert not any(update.any() for update in theirs.values())


@pytest.mark.parametrize("family", ["global", "localized", "hybrid"])
@pytest.mark.parametrize("kind", SMALL)
def test_peft_applies_what_was_extracted(kind: str, family: str, tmp_path: Path) -> None:
    base = built(kind)
    after = fine_tuned(base)
    found = extract_adapters(source(base), source(after), family=family, rank=8, grid=2, n_jobs=1)
    written = to_peft(found.adapters, tmp_path, base_config=found.base_config, verify="peft")
    assert written.exact
    assert written.verified is not None
    assert written.verified < ALLOWED
    agree(found, peft_updates(base, tmp_path))
    agree(read_peft(tmp_path), peft_updates(base, tmp_path))
    if family == "global":
        assert found.relative_error < 1e-4
    # Biases, norms and embeddings have changed as well, and are counted.
    start = dict(base.named_parameters())
    moved = {name: (p - start[name]).detach() for name, p in after.named_parameters()}
    total = sum(float(update.norm()) ** 2 for update in moved.values()) ** 0.5
    kept = {f"{row['name']}.weight": row["relative_error"] for row in found.rows}
    left = sum((kept.get(name, 1.0) * float(update.norm())) ** 2 for name, update in moved.items())
    assert found.whole_relative_error == pytest.approx(left**0.5 / total, rel=1e-4, abs=1e-6)


def test_embeddings_and_heads_that_are_named_reach_peft(tmp_path: Path) -> None:
    base = built("llama")
    found = extract_adapters(
        source(base),
        source(fine_tuned(base)),
        family="global",
        rank=2,
        target_modules=["embed_tokens", "lm_head", "q_proj"],
        exclude_modules=["lm_head"],
        n_jobs=1,
    )
    assert {n: how.kind for n, how in found.adapters.stored.items()} == {
        "model.embed_tokens": "embedding"
    }
    to_peft(found.adapters, tmp_path, base_config=found.base_config, verify="peft")
    agree(found, peft_updates(base, tmp_path))
    smaller = resize_adapters(tmp_path, family="global", rank=2, n_jobs=1)
    assert set(smaller.adapters.terms) == set(found.adapters.terms)
    to_peft(smaller.adapters, tmp_path / "smaller", base_config=found.base_config, verify="peft")
    assert found.skipped["lm_head.weight"] == "exclude_modules names it"


def test_a_tied_embedding_is_not_written_for_peft(tmp_path: Path) -> None:
    base = built("gpt2")
    found = extract_adapters(
        source(base),
        source(fine_tuned(base)),
        family="global",
        rank=2,
        target_modules=["wte", "c_fc"],
        n_jobs=1,
    )
    with pytest.raises(ValueError, match=r"wte cannot be written for PEFT: .*tied"):
        to_peft(found.adapters, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_what_is_unclear_is_not_written_for_peft_until_it_is_settled(tmp_path: Path) -> None:
    before = {"net.embedding.weight": torch.zeros(24, 8), "net.fc.weight": torch.zeros(8, 8)}
    after = {name: low_rank(tuple(value.shape)) for name, value in before.items()}
    found = extract_adapters(before, after, family="global", rank=2, n_jobs=1)
    assert set(found.adapters.terms) == {"net.fc"}
    named: dict[str, Any] = {"target_modules": ["embedding", "fc"], "family": "global", "rank": 2}
    found = extract_adapters(before, after, n_jobs=1, **named)
    with pytest.raises(ValueError, match=r"net\.embedding cannot be written .*config\.json"):
        to_peft(found.adapters, tmp_path / "adapter")
    settled = MappingSource(before, config={"vocab_size": 24})
    found = extract_adapters(settled, after, n_jobs=1, **named)
    to_peft(found.adapters, tmp_path / "adapter")
    keys = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert "base_model.model.net.embedding.lora_embedding_A" in keys


class UNet(nn.Module):
    """Convolutions of every shape that PEFT adapts, and linear layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.ModuleDict({"conv": nn.Conv2d(4, 8, 3), "skip": nn.Conv2d(4, 8, 1)})
        self.mid = nn.ModuleDict({"sound": nn.Conv1d(8, 6, 5), "volume": nn.Conv3d(4, 6, 2)})
        self.time = nn.ModuleDict({"linear_1": nn.Linear(16, 32)})

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_convolutions_that_are_named_reach_peft_as_convolutions(tmp_path: Path) -> None:
    base = UNet()
    after = fine_tuned(base)
    found = extract_adapters(
        base.state_dict(),
        after.state_dict(),
        family="global",
        rank=2,
        target_modules=r".*",
        n_jobs=1,
    )
    assert found.adapters.stored["down.conv"] == Stored("conv", (3, 3))
    assert set(found.adapters.terms) == {
        "down.conv", "down.skip", "mid.sound", "mid.volume", "time.linear_1"
    }  # fmt: skip
    assert found.relative_error < 1e-4
    to_peft(found.adapters, tmp_path)
    agree(found, peft_updates(base, tmp_path))
    agree(read_peft(tmp_path), peft_updates(base, tmp_path))
    linear = extract_adapters(
        base.state_dict(), after.state_dict(), family="global", rank=2, n_jobs=1
    )
    assert set(linear.adapters.terms) == {"time.linear_1"}
    assert linear.skipped["down.conv.weight"] == "a convolution, kernel 3×3"
    assert linear.changes["down.conv.weight"] > 0


def mixtral(folder: Path) -> tuple[nn.Module, nn.Module]:
    """A mixture of experts before and after, saved expert by expert."""
    torch.manual_seed(0)
    base = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            num_local_experts=4,
            head_dim=8,
        )
    ).eval()
    after = copy.deepcopy(base)
    with torch.no_grad():
        for name, parameter in after.named_parameters():
            if parameter.ndim == 3:
                # The last experts keep their weights.
                for expert in parameter[:3]:
                    expert.add_(low_rank(tuple(expert.shape)))
            elif parameter.ndim == 2 and "embed" not in name and "lm_head" not in name:
                parameter.add_(low_rank(tuple(parameter.shape)))
    base.save_pretrained(folder / "base")
    after.save_pretrained(folder / "tuned")
    return base, after


@pytest.mark.parametrize(
    "size", [{"rank": 2}, {"rank": 8}, {"rank": 2, "shared": True}], ids=["2", "8", "shared"]
)
def test_experts_get_ranks_that_peft_can_stack(size: dict[str, Any], tmp_path: Path) -> None:
    base, after = mixtral(tmp_path)
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    checkpoints = [
        MappingSource(load_file(tmp_path / part / "model.safetensors"), config=config)
        for part in ("base", "tuned")
    ]
    found = extract_adapters(*checkpoints, family="global", n_jobs=1, **size)
    assert any("experts.3" in name for name in found.skipped)
    written = to_peft(found.adapters, tmp_path / "lora", base_config=config, verify="peft")
    assert written.exact
    tokens = torch.arange(6)[None]
    theirs = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "lora")).eval()
    with torch.no_grad():
        start, wanted, got = (model(tokens).logits for model in (base, after, theirs))
    if "shared" not in size:
        assert float((got - wanted).norm() / (wanted - start).norm()) < 1e-4


def test_peft_refuses_a_transposed_update(tmp_path: Path) -> None:
    base = built("gpt2")
    config = source(base).config
    name = "transformer.h.0.attn.c_proj"
    update = low_rank((16, 16))
    found = extract_adapters(None, {f"{name}.weight": update}, family="global", rank=2, n_jobs=1)
    # It is stored [in, out], and nothing in this mapping says so.
    assert found.adapters.stored_as(name).kind == "linear"
    with pytest.raises(ValueError, match="PEFT applies another ΔW"):
        to_peft(found.adapters, tmp_path / "adapter", base_config=config, verify="peft")
    assert not (tmp_path / "adapter").exists()
    with pytest.raises(ValueError, match=r"no config\.json that names its architecture"):
        to_peft(found.adapters, tmp_path / "adapter", verify="peft")
    with pytest.raises(ValueError, match="verify must be auto, peft or none"):
        to_peft(found.adapters, tmp_path / "adapter", verify="all")  # type: ignore[arg-type]


def test_peft_refuses_a_module_that_the_model_does_not_have(tmp_path: Path) -> None:
    config = source(built("llama")).config
    updates = {
        f"model.layers.0.self_attn.{part}.weight": low_rank(shape)
        for part, shape in (("q_proj", (32, 32)), ("qk_proj", (32, 8)))
    }
    found = extract_adapters(None, updates, family="global", rank=2, n_jobs=1)
    with pytest.raises(ValueError, match=r"PEFT applies no update to .*qk_proj"):
        to_peft(found.adapters, tmp_path / "adapter", base_config=config)
