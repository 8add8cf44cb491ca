from __future__ import annotations

from pathlib import Path

import pytest

from lolora_core.files.writes import whole_file, whole_files, write_files


def test_a_whole_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with whole_file(tmp_path / "whole.txt") as draft:
        draft.write_text("text")
    assert (tmp_path / "whole.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def _write_and_fail(folder: Path, error: type[BaseException]) -> None:
    with whole_files(folder, ["a", "b"]) as drafts:
        (drafts / "a").write_text("new")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_takes_its_place_where_anything_fails(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error):
        _write_and_fail(tmp_path, error)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_check_sees_whole_files_and_can_refuse_them(tmp_path: Path) -> None:
    def refuse(drafts: Path) -> None:
        assert (drafts / "a").read_bytes() == b"1"
        assert (drafts / "b").read_bytes() == b"2"
        raise ValueError("no")

    folder = tmp_path / "made" / "here"
    with pytest.raises(ValueError, match="no"):
        write_files(folder, {"a": b"1", "b": b"2"}, refuse)
    assert not folder.exists()
    write_files(folder, {"a": b"1", "b": b"2"})
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
