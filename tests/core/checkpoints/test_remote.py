"""Models on a local server that speaks ranges and errors, in place of the Hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from lolora_core.adapters import AdapterConfig, add_adapters, save_adapters
from lolora_core.checkpoints import open_source, remote, survey, to_peft, what
from tests.core.checkpoints.test_survey import pair
from tests.hub import Hub, serving


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    base, tuned = pair()
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(remote, "WAIT", 0.01)
    with serving() as server:
        for name, tensors in (("me/base", base), ("me/tuned", tuned)):
            server.files[f"{name}/model.safetensors"] = save(tensors)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def shard(hub: Hub, model: str) -> None:
    tensors = pair()[1]
    shards = {name: f"model-{at % 2}.safetensors" for at, name in enumerate(tensors)}
    for file in set(shards.values()):
        held = {name: tensors[name] for name in tensors if shards[name] == file}
        hub.files[f"{model}/{file}"] = save(held)
    index = {"weight_map": shards}
    hub.files[f"{model}/model.safetensors.index.json"] = json.dumps(index).encode()


def test_only_the_header_and_the_tensor_asked_for_are_fetched(hub: Hub) -> None:
    source = open_source("me/base")
    whole = len(hub.files["me/base/model.safetensors"])
    assert hub.sent < 1500 < whole
    before = hub.sent
    weight = source.read("layers.1.attn.weight")
    assert torch.equal(weight, pair()[0]["layers.1.attn.weight"])
    assert hub.sent - before == 4 * 24 * 24
    assert all(wanted for _, wanted, _ in hub.asked)


def test_a_remote_survey_is_the_local_one(hub: Hub) -> None:
    local = survey(*pair(), n_jobs=1)
    assert survey("me/base", "me/tuned", n_jobs=2).rows == local.rows
    shard(hub, "me/sharded")
    assert survey("me/base", "me/sharded", n_jobs=1).rows == local.rows


def test_a_revision_is_asked_for_and_its_commit_pinned(hub: Hub) -> None:
    shard(hub, "me/sharded")
    open_source("me/sharded@v1.0")
    assert {path.split("/resolve/")[1].split("/")[0] for path, _, _ in hub.asked} == {
        "v1.0",
        "c0ffee",
    }
    assert hub.asked[0][0] == "/me/sharded/resolve/v1.0/model.safetensors.index.json"
    hub.asked.clear()
    open_source("me/base", revision="main")
    assert "/resolve/main/" in hub.asked[0][0]
    assert [path for path, wanted, _ in hub.asked if wanted != "bytes=0-7"] == [
        "/me/base/resolve/c0ffee/model.safetensors"
    ]
    with pytest.raises(ValueError, match="revision stands twice"):
        open_source("me/base@a", revision="b")


def test_a_server_reads_without_its_token_and_only_what_is_small(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    size = len(hub.files["me/tuned/model.safetensors"])
    found = open_source("me/tuned", access=remote.Access(anonymous=True, most_bytes=size))
    assert found.read(next(name for name, at in found.tensors.items() if at.dtype == "F32")).numel()
    assert {token for _, _, token in hub.asked} == {None}
    hub.asked.clear()
    with pytest.raises(ValueError, match=r"me/tuned has .* MB; at most .* MB of a"):
        open_source("me/tuned", access=remote.Access(most_bytes=size - 1))
    assert {wanted for _, wanted, _ in hub.asked} == {"bytes=0-7"}


def test_the_token_comes_from_the_environment(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.token = "secret"
    stored = tmp_path / "token"
    stored.write_text("secret")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(stored))
    with pytest.raises(PermissionError, match=r"refuses access \(HTTP 401\).*set HF_TOKEN"):
        open_source("me/base")
    assert {token for _, _, token in hub.asked} == {None}
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert "embed.weight" in open_source("me/base").tensors


def test_a_model_that_is_not_there_says_so(hub: Hub) -> None:
    with pytest.raises(FileNotFoundError, match=r"me/nothing/model\.safetensors is not there"):
        open_source("me/nothing")
    shard(hub, "me/sharded")
    del hub.files["me/sharded/model-1.safetensors"]
    with pytest.raises(FileNotFoundError, match=r"model-1\.safetensors is not there"):
        open_source("me/sharded")


def test_a_file_that_became_shorter_is_refused(hub: Hub) -> None:
    source = open_source("me/base")
    hub.files["me/base/model.safetensors"] = hub.files["me/base/model.safetensors"][:900]
    with pytest.raises(ValueError, match="HTTP 416"):
        source.read("layers.1.mlp.weight")


def test_a_file_of_another_version_is_refused(hub: Hub) -> None:
    source = open_source("me/base")
    hub.version = "2"
    with pytest.raises(ValueError, match="changed while it was read"):
        source.read("embed.weight")


def test_a_cut_connection_is_tried_again_and_then_a_sentence(hub: Hub) -> None:
    source = open_source("me/base")
    hub.cuts = 1
    assert torch.equal(source.read("embed.weight"), pair()[0]["embed.weight"])
    hub.cuts = 99
    with pytest.raises(ConnectionError, match="cannot be read from http://127"):
        source.read("embed.weight")


def test_a_busy_server_is_tried_again_and_then_a_sentence(hub: Hub) -> None:
    source = open_source("me/base")
    hub.status["bytes="] = 503
    with pytest.raises(ConnectionError, match="HTTP 503; try again later"):
        source.read("embed.weight")
    assert len([path for path, _, _ in hub.asked if "model.safetensors" in path]) >= 4


def test_a_server_that_falls_silent_is_a_sentence(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("me/base")
    monkeypatch.setattr(remote, "TIMEOUT", 0.05)
    hub.silent = "me/"
    with pytest.raises(ConnectionError, match=r"me/base/.* cannot be read from .* timed out"):
        source.read("embed.weight")
    with pytest.raises(ConnectionError, match=r"me/tuned/.* cannot be read from .* timed out"):
        open_source("me/tuned")


def test_a_server_without_ranges_is_not_asked_for_the_whole_file(hub: Hub) -> None:
    hub.no_ranges = True
    with pytest.raises(ValueError, match="does not answer range requests"):
        open_source("me/base")


def test_no_server_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="its path does not exist"):
        open_source("no/folder")


def test_a_damaged_header_is_refused(hub: Hub) -> None:
    data = hub.files["me/base/model.safetensors"]
    hub.files["me/base/model.safetensors"] = (10**7).to_bytes(8, "little") + data[8:]
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        open_source("me/base")
    hub.files["me/base/model.safetensors"] = b""
    with pytest.raises(ValueError, match="is empty"):
        open_source("me/base")


def paths(hub: Hub) -> list[str]:
    """The names asked for, in order, each once."""
    return list(dict.fromkeys(path.rpartition("/")[2] for path, _, _ in hub.asked))


def test_the_rule_of_folders_holds_on_the_hub(hub: Hub) -> None:
    shard(hub, "me/both")
    whole = {name: value + 1 for name, value in pair()[0].items() if name == "embed.weight"}
    hub.files["me/both/model.safetensors"] = save(whole)
    source = open_source("me/both")
    assert list(source.tensors) == ["embed.weight"]
    assert source.notes == ("passed over: model.safetensors.index.json",)
    hub.files["me/both/adapter_config.json"] = b"{}"
    hub.files["me/both/adapters.json"] = b"{}"
    with pytest.raises(ValueError, match=r"me/both holds two adapters"):
        open_source("me/both")


def test_a_plain_model_takes_few_requests(hub: Hub) -> None:
    hub.files["me/base/config.json"] = b'{"model_type": "bert"}'
    source = open_source("me/base")
    assert source.config == {"model_type": "bert"}
    assert paths(hub) == [
        "model.safetensors.index.json",
        "model.safetensors",
        "adapters.json",
        "adapter_config.json",
        "config.json",
    ]
    # One each, twice the ranges of the model's header, and the text of config.json.
    assert len(hub.asked) == 8


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_pytorch_model.safetensors",
        "model.fp16.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
    ],
)
def test_other_names_of_weights_are_found(hub: Hub, name: str) -> None:
    hub.files[f"me/unet/{name}"] = hub.files["me/base/model.safetensors"]
    assert survey("me/unet", "me/tuned", n_jobs=1).rows == survey(*pair(), n_jobs=1).rows


def test_an_index_of_diffusers_is_found(hub: Hub) -> None:
    shard(hub, "me/unet")
    index = hub.files.pop("me/unet/model.safetensors.index.json")
    hub.files["me/unet/diffusion_pytorch_model.safetensors.index.json"] = index
    assert survey("me/base", "me/unet", n_jobs=1).rows == survey(*pair(), n_jobs=1).rows


def test_an_adapter_on_the_hub_is_the_adapter(hub: Hub, tmp_path: Path) -> None:
    model = add_adapters(nn.Sequential(nn.Linear(8, 8)), AdapterConfig(rank=2, grid=2))
    nn.init.ones_(model[0].terms[0].B[0])  # type: ignore[index]
    for name, write in (("ours", save_adapters), ("peft", to_peft)):
        write(model, tmp_path / name)
        for path in (tmp_path / name).iterdir():
            hub.files[f"me/{name}/{path.name}"] = path.read_bytes()
        source = open_source(f"me/{name}@v1", needs="update")
        assert torch.equal(source.read("0.weight"), open_source(tmp_path / name).read("0.weight"))
        assert source.label == f"me/{name}@v1"
        assert what(f"me/{name}").kind == ("own" if name == "ours" else "peft")


def test_a_pipeline_and_pickles_on_the_hub_are_refused(hub: Hub) -> None:
    hub.files["me/pipe/model_index.json"] = b"{}"
    with pytest.raises(ValueError, match=r"me/pipe is a pipeline .* name one of them: unet"):
        open_source("me/pipe")
    hub.files["me/old/pytorch_model.bin"] = b"\x80\x02"
    with pytest.raises(ValueError, match=r"holds its weights in pytorch_model\.bin, a pickle"):
        open_source("me/old")
