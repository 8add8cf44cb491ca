"""No test starts processes for work that may come: they take seconds of all cores."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.views.fine_tune import warm_up


class _Cold:
    def warm(self, function: Callable[[], object]) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def _no_processes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "processes", _Cold)
