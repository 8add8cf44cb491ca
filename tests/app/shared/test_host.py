"""What a host allows: every limit has a test that hits it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from app.shared import line, pool
from app.shared.host import Host
from app.shared.memory_file import in_memory
from app.shared.places import ClusterPlace
from app.views.your_weights import overlaps, pairs
from tests.hub import serving

TESTS = Path(__file__).resolve().parents[1]
#: Where each is hit: a file of tests, and the test in it.
HIT = {
    "hosted": ("server/test_deploy.py", "test_every_limit_stands_in_the_document"),
    "max_side": (
        "shared/test_hostile_uploads.py",
        "test_an_upload_is_read_within_the_limits_of_the_host",
    ),
    "max_upload_mb": ("shared/test_held.py", "test_one_file_is_bounded"),
    "max_visitor_mb": (
        "shared/test_held.py",
        "test_all_files_together_are_bounded_and_room_comes_back",
    ),
    "max_pixels": (
        "shared/test_hostile_uploads.py",
        "test_an_upload_is_read_within_the_limits_of_the_host",
    ),
    "max_decode_seconds": (
        "shared/test_hostile_uploads.py",
        "test_an_upload_is_read_within_the_limits_of_the_host",
    ),
    "max_tensors": ("shared/test_host.py", "test_tensors_of_a_checkpoint"),
    "max_update_entries": ("shared/test_host.py", "test_an_update_of_few_numbers"),
    "max_steps": (
        "views/fine_tune/test_limits.py",
        "test_more_steps_than_the_host_allows_are_refused",
    ),
    "max_race_seconds": ("views/fine_tune/test_limits.py", "test_a_race_is_ended_by_the_clock"),
    "runs_per_visitor": ("shared/test_host.py", "test_long_work_at_the_same_time"),
    "runs_at_once": ("shared/test_host.py", "test_long_work_at_the_same_time"),
    "cache_mb": ("shared/test_caches.py", "test_the_bound_is_the_hosts"),
    "allow_hub": ("views/your_weights/test_page.py", "test_the_hub_where_it_is_allowed"),
    "max_hub_mb": ("shared/test_host.py", "test_a_model_of_the_hub"),
    "allow_paths": ("shared/test_host.py", "test_no_server_of_strangers_reads_paths"),
    "dask": ("shared/test_host.py", "test_a_cluster"),
    "frame_ancestors": (
        "server/test_parts.py",
        "test_a_frame_is_refused_unless_the_host_names_the_site",
    ),
}


def test_every_limit_is_hit() -> None:
    assert set(HIT) == set(Host.model_fields)
    for file, name in HIT.values():
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.M), name


def test_tensors_of_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {f"h.{i}.fc.weight": torch.ones(2, 2) * i for i in range(3)}
    file = in_memory("three.safetensors", save(held))
    assert pairs.uploaded_pair(file, file).names
    monkeypatch.setenv("LOLORA_MAX_TENSORS", "2")
    with pytest.raises(ValueError, match="at most 2"):
        pairs.uploaded_pair(file, file)
    with pytest.raises(ValueError, match="at most 2"):
        pairs.contents_of(file)


def test_an_update_of_few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"m.lokr_w1": torch.ones(9, 8), "m.lokr_w2": torch.ones(7, 6)}
    adapter = in_memory("lokr.safetensors", save(small))
    base = in_memory("base.safetensors", save({"m.weight": torch.ones(63, 48)}))
    assert pairs.uploaded_pair(base, adapter).names == ("m.weight",)
    monkeypatch.setenv("LOLORA_MAX_UPDATE_ENTRIES", str(63 * 48 - 1))
    with pytest.raises(ValueError, match=r"is an update of 63 × 48; at most 3,023"):
        pairs.uploaded_pair(base, adapter)
    with pytest.raises(ValueError, match=r"is an update of 63 × 48; at most 3,023"):
        overlaps.compared((adapter,), (adapter,), pool.unseen)


def test_long_work_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_RUNS_AT_ONCE", "3")
    monkeypatch.setenv("LOLORA_RUNS_PER_VISITOR", "2")
    found = runpy.run_path(line.__file__)["LINE"]
    assert [found.enter(work, "a") for work in range(3)] == [0, 0, 1]
    assert found.full("a")
    assert [found.enter(work, "b") for work in (3, 4)] == [0, 1]


def test_a_model_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_ALLOW_HUB", "1")
    monkeypatch.setenv("LOLORA_MAX_HUB_MB", "1")
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        for name, side in (("me/base", 4), ("me/tuned", 1024)):
            tensors = {"fc.weight": torch.ones(side, side), "b": torch.ones(16)}
            hub.files[f"{name}/model.safetensors"] = save(tensors)
        with pytest.raises(
            ValueError, match=r"me/tuned has 4 MB; at most 1 MB of a model are read"
        ):
            pairs.hub_pair("me/base", "me/tuned")
        assert {wanted for path, wanted, _ in hub.asked if "/tuned/" in path} == {"bytes=0-7"}


def test_no_server_of_strangers_reads_paths() -> None:
    assert Host(allow_paths=True).allow_paths
    with pytest.raises(ValueError, match="lets visitors name files of this machine: not with"):
        Host(allow_paths=True, hosted=True)


def test_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def at(address: str, count: int) -> list[ClusterPlace]:
        asked.append((address, count))
        return []

    monkeypatch.setenv("LOLORA_DASK", "tcp://cluster.example:8786")
    monkeypatch.setattr(pool.ClusterPlace, "at", at)
    monkeypatch.setattr(pool, "at_the_end", lambda close: None)
    pool._pool.__wrapped__()
    assert asked == [("tcp://cluster.example:8786", line.LINE.places)]
