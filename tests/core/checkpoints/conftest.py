"""What several tests of checkpoints watch."""

from __future__ import annotations

import pytest

from lolora_core.files.ranges import LocalFile


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a local file asked for, in order."""
    read: list[int] = []
    original = LocalFile.read

    def counted(self: LocalFile, start: int, end: int) -> bytearray:
        read.append(end - start)
        return original(self, start, end)

    monkeypatch.setattr(LocalFile, "read", counted)
    return read
