"""What `open_source` opens, and what it refuses with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save, save_file
from torch import Tensor, nn

from benchmarks.contents import write_sparse
from lolora_core.checkpoints import open_source, resize_adapters, survey, what
from tests.core.checkpoints.test_mutations import Held

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")


def low(seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(8, 2, generator=random) @ torch.randn(2, 8, generator=random)


@pytest.fixture
def lora(tmp_path: Path) -> tuple[Path, Tensor]:
    """An adapter of PEFT's own and its ΔW."""
    torch.manual_seed(0)
    model: Any = get_peft_model(
        nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)),
        LoraConfig(r=2, lora_alpha=6, target_modules=["0"]),
    )
    layer = model.base_model.model[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    model.save_pretrained(str(tmp_path / "lora"))
    return tmp_path / "lora", layer.get_delta_weight("default").detach()


def test_the_file_of_an_adapter_is_the_adapter(lora: tuple[Path, Tensor], tmp_path: Path) -> None:
    folder, judge = lora
    for where in (folder, folder / "adapter_model.safetensors"):
        source = open_source(where, needs="update")
        assert source.is_update
        assert list(source.tensors) == ["0.weight"]
        gap = (source.read("0.weight") - judge).abs().max()
        assert float(gap / torch.linalg.vector_norm(judge)) < 1e-5
    (folder / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match="alpha, which scales the update, stands only there"):
        open_source(folder / "adapter_model.safetensors")


def test_an_adapter_where_weights_are_needed(lora: tuple[Path, Tensor]) -> None:
    with pytest.raises(ValueError, match=r"base must be a checkpoint; .* is an adapter"):
        survey(lora[0], {"0.weight": low()})


def test_a_whole_model_is_no_update(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"fc.weight": low(), "fc.bias": torch.ones(8)}
    save_file(tensors, path)
    for call in (
        lambda: resize_adapters(path, family="global", rank=1),
        lambda: survey(None, path, n_jobs=1),
    ):
        with pytest.raises(ValueError, match=r"a whole model \(norms.*an adapter or updates"):
            call()
    save_file(tensors, path, metadata={"lolora": "update"})
    assert open_source(path, needs="update").is_update
    assert [row["name"] for row in resize_adapters(path, family="global", rank=2).rows] == ["fc"]
    with pytest.raises(ValueError, match=r"base must be a checkpoint; .* is updates ΔW by name"):
        open_source(path, needs="weights")


def test_plain_matrices_are_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file({"fc.weight": low()}, path)
    source = open_source(path, needs="update")
    assert source.is_update
    assert source.notes == ("plain matrices are taken as updates ΔW, not as weights",)
    assert not open_source(path, needs="weights").is_update
    assert not open_source({"fc.weight": low(), "fc.bias": torch.ones(8)}, needs="update").is_update
    with pytest.raises(ValueError, match="needs must be one of any, weights, update; it is 'all'"):
        open_source(path, needs="all")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"m.base_layer.weight": low(), "m.lora_A.default.weight": low()},
            r"adapters that were not merged .*; merge it first",
        ),
        ({"m.qweight": torch.ones(2, 2, dtype=torch.int32)}, r"packed by AWQ .*; use the"),
        ({"state.exp_avg": low()}, r"states of an optimizer .*; give the model beside it"),
        ({"a.bias": torch.ones(3)}, "of which none is a matrix"),
    ],
)
def test_the_rest_is_refused_by_what_it_is(
    tmp_path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    for where in (tmp_path, tmp_path / "a.safetensors"):
        with pytest.raises(ValueError, match=message):
            open_source(where)


def test_a_pipeline_is_refused_by_its_parts(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    for part in ("unet", "text_encoder"):
        (tmp_path / part).mkdir()
    with pytest.raises(ValueError, match="name one of them: text_encoder, unet"):
        open_source(tmp_path)


def test_settings_that_cannot_be_read_are_noted(tmp_path: Path) -> None:
    save_file({"fc.weight": low()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert open_source(tmp_path).config == {"model_type": "bert"}
    (tmp_path / "config.json").write_text("{")
    source = open_source(tmp_path)
    assert source.config == {}
    assert "config.json is not used" in source.notes[0]


def test_a_file_in_memory_is_classified_too() -> None:
    held = Held(save({"m.qweight": torch.ones(2, 2, dtype=torch.int32)}))
    assert what(held).methods == ("awq",)
    with pytest.raises(ValueError, match=r"upload\.safetensors is weights packed by AWQ"):
        open_source(held)


def test_what_reads_headers_alone(tmp_path: Path, bytes_read: list[int]) -> None:
    total = write_sparse(tmp_path)
    assert total > 98e9
    found = what(tmp_path)
    headers = 0
    for path in tmp_path.glob("*.safetensors"):
        with path.open("rb") as file:
            headers += 8 + int.from_bytes(file.read(8), "little")
    beside = sum(path.stat().st_size for path in tmp_path.glob("*.json"))
    assert sum(bytes_read) == headers + beside
    assert (found.kind, sum(found.files.values())) == ("model", total)
    assert sum(group.tensors for group in found.groups) == 160 * 8
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] in found.evidence[0]


def test_headers_may_be_as_long_as_the_format_allows_on_this_machine(tmp_path: Path) -> None:
    data = save({"fc.weight": low()})
    length = int.from_bytes(data[:8], "little")
    longer = 10_500_000
    padded = data[8 : 8 + length].ljust(longer)
    path = tmp_path / "a.safetensors"
    path.write_bytes(longer.to_bytes(8, "little") + padded + data[8 + length :])
    assert torch.equal(open_source(path).read("fc.weight"), low())

    with pytest.raises(ValueError, match="at most 10,000,000 are read"):
        open_source(Held(path.read_bytes()))
    path.write_bytes((10**8 + 8).to_bytes(8, "little"))
    with path.open("r+b") as file:
        file.truncate(10**8 + 100)
    with pytest.raises(ValueError, match="at most 100,000,000 are read"):
        open_source(path)
