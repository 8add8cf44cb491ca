"""The lines of Python that lessons offer make the numbers that they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.page_settings import EVERY  # noqa: F401  (declares what the lessons may set)
from app.shared.scene import decompositions
from app.views.lessons import parts, snippets
from app.views.lessons.measures import Looked, update_errors
from app.views.lessons.races import race
from app.views.lessons.shelf import bundled
from app.views.lessons.step import looked_at
from lolora_core.explore.compare import errors_at_ranks


def step_of(lesson: str, number: int, at: str = "") -> Looked:
    return looked_at(bundled()[lesson].steps[number - 1], {})[at]


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.mark.parametrize(
    "looked",
    [step_of("neighbours", 1, "shuffled"), step_of("noise", 3), step_of("diagonal", 3)],
    ids=["shuffled", "pattern", "blocks"],
)
def test_errors_and_ranks(looked: Looked) -> None:
    found = run(snippets.ranks(looked.seen, looked.rank, "adaptive"))
    errors = {name: result.relative_error for name, result in looked.found.results.items()}
    assert found["errors"] == pytest.approx(errors, abs=1e-9)
    np.testing.assert_array_equal(found["ranks"], looked.found.results["adaptive"].rank_maps)


def test_curve_and_grids() -> None:
    looked = step_of("cliff", 2)
    families, ranks = ["localized", "adaptive"], [0, 4, 8]
    found = run(snippets.curve(looked.seen, families, ranks))
    channels = decompositions(looked.seen)
    for name in families:
        np.testing.assert_allclose(found["errors"][name], errors_at_ranks(channels, name, ranks))
    by_side = run(snippets.grids(looked.seen, looked.rank, parts.SIDES[:5], families))["errors"]
    assert by_side["localized"][4] == pytest.approx(1.0)
    assert by_side["localized"][3] == pytest.approx(
        step_of("cliff", 1).found.results["localized"].relative_error
    )


def test_spectrum_with_noise() -> None:
    looked = step_of("noise", 1)
    found = run(snippets.spectrum(looked.seen, noise=True))
    values = np.linalg.svd(looked.seen.target.array, compute_uv=False)
    np.testing.assert_allclose(found["values"], values, rtol=1e-6)
    assert found["noise"].shape == values.shape
    assert "noise" not in run(snippets.spectrum(looked.seen, noise=False))


def test_race_and_updates() -> None:
    state = {**step_of("tune-first", 1).state, "ft_steps": 6, "ft_task": "planted-blocks"}
    found = run(snippets.race(state, ["global", "localized"]))
    for method, loss in found["losses"].items():
        assert loss == pytest.approx(race(state, method).loss, rel=1e-4)
    made = run(snippets.updates(state))["found"]
    shown = update_errors(Looked(state, None))
    for name, compared in made.items():
        for family, result in compared.results.items():
            error = shown[name].results[family].relative_error
            assert result.relative_error == pytest.approx(error, abs=1e-4)
