"""The races of these tests train in this process: another takes seconds to start."""

from __future__ import annotations

import pytest

from app.views.lessons import races


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(races, "visitor", lambda: "")
