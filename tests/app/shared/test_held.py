"""Uploads of one visitor: each bounded, and all of them together, with what to do instead."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.shared.host import MEGABYTE
from lolora_core.common.names import display_name


def page() -> None:
    import streamlit as st

    from app.shared.held import kept, take
    from app.shared.notices import say_error

    for box in ("a", "b"):
        files = st.file_uploader(box, key=box, accept_multiple_files=True)
        try:
            take(box, files, "Do this.")
        except ValueError as problem:
            say_error(problem)
        st.caption(" ".join(f"{file.label}:{file.size}" for file in kept(box)))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("LOLORA_MAX_UPLOAD_MB", "1")
    monkeypatch.setenv("LOLORA_MAX_VISITOR_MB", "3")
    return AppTest.from_function(page).run()


def upload(at: AppTest, box: str, *names: str, size: int = MEGABYTE) -> AppTest:
    files = [(name, name.encode() + bytes(size - len(name)), "") for name in names]
    at.file_uploader(key=box).set_value(files).run()
    assert not at.exception
    return at


def held(at: AppTest) -> list[str]:
    return [caption.value for caption in at.caption]


def test_one_file_is_bounded(at: AppTest) -> None:
    upload(at, "a", "x", size=MEGABYTE + 1)
    assert [error.value for error in at.error] == ["x is larger than 1 MB. Do this."]
    assert held(at) == ["", ""]


def test_all_files_together_are_bounded_and_room_comes_back(at: AppTest) -> None:
    upload(upload(at, "a", "p", "q"), "b", "r", "s")
    (error,) = at.error
    assert error.value.startswith("s is not read\\: all your uploads together may hold 3 MB, and")
    assert (
        "with it they would hold 4 MB. Take it away, upload smaller files, or open" in error.value
    )
    assert held(at) == [f"p:{MEGABYTE} q:{MEGABYTE}", ""]
    upload(at, "a", "p")
    assert not at.error
    assert held(at) == [f"p:{MEGABYTE}", f"r:{MEGABYTE} s:{MEGABYTE}"]


def test_a_name_is_kept_without_its_folder(at: AppTest) -> None:
    upload(at, "a", "home/me/x.npy")
    assert held(at)[0] == f"{display_name('home/me/x.npy')}:{MEGABYTE}"
