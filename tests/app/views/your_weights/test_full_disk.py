"""A disk with no room for temporary files: each part of Your weights says so and lives on."""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from streamlit.testing.v1 import AppTest

from app.shared.memory_file import in_memory
from app.shared.sentences import DISK_FULL
from app.views.your_weights import compute
from tests.app.views.your_weights.test_page import start, text
from tests.app.views.your_weights.test_two_adapters import peft

#: Seeds: no cache knows what is made of them.
NEW = itertools.count(3)


def refuse(*args: object, **kwargs: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/folder/of/this/machine")


@contextmanager
def no_folder() -> Iterator[None]:
    """Let no temporary folder be made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", refuse)
        yield


@contextmanager
def no_byte(kept: int = 0, suffix: str = "") -> Iterator[None]:
    """Let so many files of a suffix be opened for writing, and then none."""
    opened, left = Path.open, [kept]

    def only_read(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+") and path.name.endswith(suffix):
            left[0] -= 1
            if left[0] < 0:
                refuse()
        return opened(path, mode, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", only_read)
        yield


def expect_the_sentence(at: AppTest) -> None:
    assert not at.exception
    assert {error.value for error in at.error} == {DISK_FULL}
    assert "No space left" not in text(at)


def expect_all_is_well(at: AppTest) -> None:
    assert not at.exception
    assert not at.error


def pair() -> tuple[Any, ...]:
    torch.manual_seed(next(NEW))
    before = {f"h.{i}.fc.weight": torch.randn(24, 16) for i in range(3)}
    after = {name: w + torch.randn(24, 16) for name, w in before.items()}
    return tuple(in_memory(f"{k}.safetensors", save(v)) for k, v in (("a", before), ("b", after)))


def test_a_survey_keeps_the_rows_that_were_done() -> None:
    at = start(pair="digits MLP")
    compute._folder.cache_clear()
    at.session_state["pair_files"] = pair()
    with no_folder():
        at.selectbox(key="pair").set_value("own upload").run()
        expect_the_sentence(at)
    with no_byte(kept=2, suffix=".jsonl"):
        at.run()
        expect_the_sentence(at)
        assert "of 2 matrices" in text(at)
    at.run()
    expect_all_is_well(at)
    assert "of 3 matrices" in text(at)


def test_an_adapter_to_download_and_two_to_compare(tmp_path: Path) -> None:
    at = start(pair="digits MLP")
    expect_all_is_well(at)
    with no_byte():
        at.segmented_control(key="stored").set_value("float16").run()
        expect_the_sentence(at)
        assert "holds the change best at r = 32" in text(at)
        assert not [b for b in at.main.get("download_button") if "zip" in b.proto.label]
    at.run()
    expect_all_is_well(at)
    assert [b for b in at.main.get("download_button") if "zip" in b.proto.label]
    both = (peft(tmp_path / letter, next(NEW)) for letter in "ab")
    at.session_state["two_adapters"] = tuple(both)
    with no_folder():
        at.run()
        expect_the_sentence(at)
        assert len(at.get("plotly_chart")) == 3
    at.run()
    expect_all_is_well(at)
    assert [frame for frame in at.dataframe if "cosine" in frame.value]
