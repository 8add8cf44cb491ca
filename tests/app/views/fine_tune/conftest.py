"""Work of these tests is done in threads: a process takes seconds to start."""

from __future__ import annotations

from typing import Any

import pytest

from app.shared import experiment, pool
from app.shared.line import Line
from app.shared.pool import Pool
from lolora_core.training.experiment.protocol import Cell
from lolora_core.training.experiment.reproduce import reproduce
from tests.app.views.fine_tune.race_tools import ThreadPlace, Threads


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "processes", Threads)
    small = Pool(Line(1), [ThreadPlace()])
    monkeypatch.setattr(pool, "_pool", lambda: small)


@pytest.fixture(autouse=True)
def _no_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages know of no committed result but what a test gives them."""
    monkeypatch.setattr(experiment, "committed", lambda: None)


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """Return what an experiment of a few seconds found, as the large one is kept."""
    rates = (1e-2, 3.16e-2, 1e-1)
    cells = [
        Cell("planted-blocks", rank, ("global", "localized"), steps=8, rates=rates)
        for rank in (4, 16)
    ]
    return reproduce(cells, seeds=(0, 1, 2), search_seeds=(9,), n_jobs=1)
