"""Races of these tests train in threads: a process takes seconds to start."""

from __future__ import annotations

import pytest

from app.shared import pool
from tests.app.views.fine_tune.race_tools import Threads


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "processes", Threads)
