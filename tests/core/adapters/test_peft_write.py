"""Adapters to PEFT and back, on real transformers models built from a config."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import GraloraConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel

from lolora_core.adapters import (
    AdapterConfig,
    AdapterSet,
    adapter_delta,
    adapter_parameters,
    add_adapters,
)
from lolora_core.adapters import peft_write as exchange
from lolora_core.checkpoints import (
    extract_adapters,
    from_peft,
    open_source,
    peft_choices,
    read_peft,
    survey,
    to_peft,
)
from tests.core.adapters import peft_models

# PEFT still reads the name that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")

BERT_TARGETS = ["query", "value", "intermediate.dense"]
LLAMA_TARGETS = ["q_proj", "v_proj", "down_proj"]


def bert() -> nn.Module:
    torch.manual_seed(0)
    return peft_models.bert().eval()


def llama() -> nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
    )
    return LlamaModel(config).eval()


MODELS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "bert": (bert, BERT_TARGETS),
    "llama": (llama, LLAMA_TARGETS),
}

STRUCTURES: dict[str, dict[str, Any]] = {
    "global": {"family": "global", "rank": 4, "alpha": 8.0},
    "diagonal": {"family": "diagonal", "rank": 4, "grid": 4},
    "localized": {"family": "localized", "rank": 4, "grid": 4, "alpha": 6.0},
    "uneven blocks": {"family": "localized", "rank": 6, "grid": 3},
    "adaptive": {"family": "adaptive", "rank": 4, "grid": 2, "rank_map": ((3, 0), (1, 2))},
    "hybrid": {
        "family": "hybrid",
        "rank": 6,
        "grid": 2,
        "global_rank": 2,
        "rank_map": ((2, 2), (2, 2)),
        "alpha": 3.0,
    },
    "svd": {"family": "localized", "rank": 4, "grid": 2, "init": "svd"},
}


def hidden(model: nn.Module) -> Tensor:
    tokens = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        return model(input_ids=tokens).last_hidden_state


def adapted(kind: str, structure: dict[str, Any]) -> nn.Module:
    """A model with adapters that are not zero."""
    make, targets = MODELS[kind]
    model = add_adapters(make(), AdapterConfig(**structure, target_modules=tuple(targets)))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_parameters(model):
            parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.3)
    return model.eval()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_peft_opens_the_folder_and_finds_the_same_outputs(
    kind: str, structure: str, tmp_path: Path
) -> None:
    model = adapted(kind, STRUCTURES[structure])
    written = to_peft(model, tmp_path / "adapter")
    assert written.exact
    assert written.kind == ("gralora" if structure in ("localized", "hybrid") else "lora")
    base = MODELS[kind][0]()
    theirs = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    ours = hidden(model)
    torch.testing.assert_close(hidden(theirs), ours, atol=2e-5, rtol=1e-4)
    assert (hidden(MODELS[kind][0]()) - ours).abs().max() > 0.01
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert written.nbytes <= size < written.nbytes + 10_000


@pytest.mark.parametrize("structure", ["global", "localized", "hybrid"])
def test_there_and_back_is_the_same_adapter(structure: str, tmp_path: Path) -> None:
    model = adapted("bert", STRUCTURES[structure])
    to_peft(model, tmp_path)
    back = from_peft(bert(), tmp_path)
    assert [p.shape for p in adapter_parameters(back)] == [
        p.shape for p in adapter_parameters(model)
    ]
    assert all(p.requires_grad for p in adapter_parameters(back))
    for name, delta in adapter_delta(model).items():
        torch.testing.assert_close(adapter_delta(back)[name], delta, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(hidden(back.eval()), hidden(model))


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=6, target_modules=BERT_TARGETS, init_lora_weights=False),
        LoraConfig(
            r=4,
            lora_alpha=6,
            target_modules=BERT_TARGETS,
            init_lora_weights=False,
            use_rslora=True,
            rank_pattern={"query": 2, "layer.1.intermediate.dense": 5},
            alpha_pattern={"query": 10},
        ),
        GraloraConfig(r=4, alpha=6, gralora_k=2, target_modules=BERT_TARGETS, init_weights=False),
        GraloraConfig(
            r=8, alpha=6, gralora_k=4, hybrid_r=3, target_modules=BERT_TARGETS, init_weights=False
        ),
    ],
    ids=["lora", "patterns", "gralora", "hybrid gralora"],
)
def test_what_peft_saved_gives_the_same_outputs_here(config: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    theirs = get_peft_model(bert(), config).eval()
    theirs.save_pretrained(str(tmp_path))
    ours = from_peft(bert(), tmp_path).eval()
    torch.testing.assert_close(hidden(ours), hidden(theirs), atol=2e-5, rtol=1e-4)
    source = open_source(tmp_path)
    assert source.is_update
    assert set(source.tensors) == {f"{name}.weight" for name in adapter_delta(ours)}


@pytest.mark.parametrize("family", ["global", "localized", "adaptive", "hybrid"])
def test_an_extraction_with_uneven_ranks_opens_in_peft(family: str, tmp_path: Path) -> None:
    base, after = bert(), bert()
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for at, (name, parameter) in enumerate(after.named_parameters()):
            if parameter.ndim == 2 and "embed" not in name:
                m, n = parameter.shape
                low = torch.randn(m, 3, generator=random) @ torch.randn(3, n, generator=random)
                low[:16, :16] += torch.randn(16, 16, generator=random)
                parameter.add_(low, alpha=1 + at % 3)
    found = extract_adapters(
        base.state_dict(),
        after.state_dict(),
        family=family,
        rank=7,
        grid=2,
        shared=True,
        n_jobs=1,
    )
    to_peft(found.adapters, tmp_path)
    patterns = json.loads((tmp_path / "adapter_config.json").read_text()).get("rank_pattern")
    assert patterns
    theirs = PeftModel.from_pretrained(bert(), str(tmp_path)).eval()
    ours = found.adapters.install(base).eval()
    # In float64, so that the files are compared and not two orders of summing in float32: entries
    # of ΔW up to 30 make attention sharp, which turns 1e-7 of its logits into 1e-5 of the output.
    torch.testing.assert_close(hidden(theirs.double()), hidden(ours.double()), atol=2e-5, rtol=1e-4)


def test_names_without_a_dot_match_no_other_module(tmp_path: Path) -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(8, 8)
            self.inner = nn.ModuleDict({"fc": nn.Linear(8, 8)})

        def forward(self, x: Tensor) -> Tensor:
            return self.inner["fc"](self.fc(x))

    model = add_adapters(Deep(), AdapterConfig(family="global", rank=2, target_modules="fc"))
    nn.init.ones_(next(p for p in adapter_parameters(model) if p.abs().sum() == 0))
    to_peft(model, tmp_path)
    x = torch.randn(2, 8)
    theirs = PeftModel.from_pretrained(Deep(), str(tmp_path))
    torch.testing.assert_close(theirs(x), model(x))


def test_a_truncated_lora_states_the_error_that_it_has(tmp_path: Path) -> None:
    model = adapted("bert", STRUCTURES["localized"])
    written = to_peft(model, tmp_path, rank=3)
    assert not written.exact
    read, own = read_peft(tmp_path), adapter_delta(model)
    left = sum(float((read.delta(n) - own[n]).norm() ** 2) for n in own)
    total = sum(float(own[n].norm() ** 2) for n in own)
    assert written.relative_error == pytest.approx((left / total) ** 0.5, rel=1e-4)
    best = sum(float((torch.linalg.svdvals(own[n])[3:] ** 2).sum()) for n in own)
    assert left == pytest.approx(best, rel=1e-4)
    assert "truncated, relative error" in written.summary


def test_choices_state_their_sizes_before_anything_is_written() -> None:
    model = adapted("bert", STRUCTURES["localized"])
    choices = {c.summary.split(":")[0]: c for c in peft_choices(model, rank=2)}
    own = sum(p.numel() for p in adapter_parameters(model))
    gralora = choices["GraLoRA of r 4, K 4, exact"]
    assert (gralora.num_parameters, gralora.nbytes) == (own, 4 * own)
    # Every block row adds its own rank: K·ρ·K is what the blocks hold, ρ = 1 and K = 4 here.
    assert choices["LoRA of rank 16, exact"].num_parameters == 4 * own
    half = peft_choices(model, rank=2, dtype=torch.float16)
    assert [c.relative_error == 0 for c in half] == [True, True, False]
    assert half[0].nbytes == 2 * own


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    model = adapted("bert", STRUCTURES["hybrid"])
    to_peft(model, tmp_path, dtype=dtype)
    assert {v.dtype for v in load_file(tmp_path / "adapter_model.safetensors").values()} == {dtype}


def test_files_that_do_not_match_are_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted("bert", STRUCTURES["global"])
    with torch.no_grad():
        next(iter(adapter_parameters(model))).mul_(1e6)
    with pytest.raises(ValueError, match=r"differ from the adapters .* try float32"):
        to_peft(model, tmp_path / "new", dtype=torch.float16)
    assert not (tmp_path / "new").exists()
    to_peft(model, tmp_path / "old")
    before = {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()}
    monkeypatch.setattr(
        exchange, "to_bytes", lambda tensors, metadata: _shuffled(tensors, metadata, tmp_path)
    )
    with pytest.raises(ValueError, match="nothing is kept"):
        to_peft(model, tmp_path / "old")
    assert {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()} == before


def _shuffled(tensors: dict[str, Tensor], metadata: dict[str, str], folder: Path) -> bytes:
    wrong = {name: value.flip(0).contiguous() for name, value in tensors.items()}
    save_file(wrong, folder / "wrong", metadata=metadata)
    return (folder / "wrong").read_bytes()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted("bert", STRUCTURES["global"])
    original = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "adapter_config.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        to_peft(model, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _rename(folder: Path, old: str, new: str) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({k.replace(old, new): v for k, v in load_file(path).items()}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _edit(f, peft_type="IA3"), "type 'IA3'; LORA, GRALORA, LOHA, LOKR are"),
        (lambda f: _edit(f, use_dora=True), "sets use_dora"),
        (lambda f: _edit(f, r=5), "has rank 4, and adapter_config.json says 5"),
        (lambda f: _edit(f, r="x"), "r must be an integer of 1 or more"),
        (lambda f: _edit(f, lora_alpha=None), "lora_alpha must be a finite number"),
        (lambda f: _edit(f, rank_pattern={"(": 4}), "is not a valid regular expression"),
        (
            lambda f: _edit(f, peft_type="GRALORA", gralora_k=2, alpha=4),
            "sets lora_alpha to 8",
        ),
        (lambda f: _rename(f, "lora_B.weight", "lora_magnitude_vector"), "no factor of LoRA"),
        (
            lambda f: _rename(f, "layer.0.attention.self.query.lora_A", "x.lora_A"),
            "query has lora_B, but no lora_A",
        ),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "is not there"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "not readable JSON"),
        (
            lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
            "is a pickle",
        ),
    ],
)
def test_a_damaged_or_other_adapter_is_refused(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    to_peft(adapted("bert", STRUCTURES["global"]), tmp_path)
    damage(tmp_path)
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        read_peft(tmp_path)


def test_an_adapter_in_the_place_of_the_base_is_refused(tmp_path: Path) -> None:
    to_peft(adapted("bert", STRUCTURES["global"]), tmp_path)
    with pytest.raises(ValueError, match="the two may be swapped"):
        extract_adapters(tmp_path, bert().state_dict(), family="global", rank=1, n_jobs=1)


def test_an_adapter_is_surveyed_against_its_base(tmp_path: Path) -> None:
    model = adapted("bert", STRUCTURES["global"])
    to_peft(model, tmp_path)
    state = bert().state_dict()
    found = survey(state, tmp_path, rank=4, grids=[4], n_jobs=1)
    deltas = adapter_delta(model)
    assert {row["name"] for row in found.rows} == {f"{name}.weight" for name in deltas}
    assert not any("only in base" in reason for reason in found.skipped.values())
    for row in found.rows:
        name = str(row["name"])
        ratio = float(deltas[name.removesuffix(".weight")].norm() / state[name].norm())
        assert row["relative_update"] == pytest.approx(ratio, rel=1e-4)
        assert (row["best_family"], row["best_grid"]) == ("global", "1x1")


def test_the_structure_of_an_adapter_is_made_without_values() -> None:
    with torch.device("meta"):
        model = add_adapters(nn.Sequential(nn.Linear(8, 8)), AdapterConfig(rank=2, grid=2))
        adapters = AdapterSet.from_model(model)
        assert (adapters.num_parameters, adapters.nbytes) == (32, 128)
        assert adapters.delta("0").device.type == "meta"
    with pytest.raises(ValueError, match="on the meta device"):
        peft_choices(adapters)


def test_another_model_is_refused_and_unchanged(tmp_path: Path) -> None:
    to_peft(adapted("llama", STRUCTURES["global"]), tmp_path)
    model = bert()
    with pytest.raises(ValueError, match=r"which is no nn\.Linear of this model"):
        from_peft(model, tmp_path)
    assert not any("lora" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "dora"}, "kind must be auto, lora or gralora"),
        ({"kind": "gralora"}, "are not GraLoRA: .* is not equal ranks on blocks"),
        ({"kind": "gralora", "rank": 2}, "rank truncates to LoRA"),
        ({"rank": 0}, "rank must be 1 or more"),
        ({"dtype": torch.float64}, "dtype must be float32, float16 or bfloat16"),
    ],
)
def test_settings_that_are_not_allowed_say_so(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    adapters = AdapterSet.from_model(adapted("bert", STRUCTURES["global"]))
    with pytest.raises(ValueError, match=message):
        to_peft(adapters, tmp_path / "adapter", **settings)
    assert not (tmp_path / "adapter").exists()
