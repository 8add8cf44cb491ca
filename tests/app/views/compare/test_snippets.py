"""The lines under "Copy as Python" make the numbers that the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.shared.scene import Scene, decompositions
from app.views.compare import compute, snippets
from lolora_core import Grid
from lolora_core.targets import Target, load

RANK = 6


def own() -> Target:
    """A target of this session, which no line makes."""
    array = np.random.default_rng(3).normal(size=(48, 40))
    return Target("own", "own", "update", "", "", "", array)


@pytest.fixture(params=["camera", "colour", "own"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.chdir(tmp_path)
    makers = {"camera": lambda: load("camera"), "colour": lambda: load("astronaut", colour=True)}
    target = makers.get(request.param, own)()
    np.save("target.npy", target.array)
    return Scene(target, Grid.regular(target.shape, 4, 8), "cpu")


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_pictures_and_table(scene: Scene) -> None:
    residuals = run(snippets.pictures(scene, RANK))["residuals"]
    shown = compute.Pictures(scene, compute.comparison(scene, RANK))
    assert residuals.keys() == shown.errors.keys()
    for name, error in shown.errors.items():
        np.testing.assert_allclose(residuals[name], error, atol=1e-5)
    for row in run(snippets.table(scene, RANK))["rows"]:
        shown_row = compute.figures_of(scene, compute.comparison(scene, RANK), row["family"])
        figures = [column for column in row if column != "family"]
        expected = [shown_row[column] for column in figures]
        assert [row[column] for column in figures] == pytest.approx(expected, rel=1e-9)


def test_curve_block_and_rank_map(scene: Scene) -> None:
    frame = compute.curves(scene, 200)
    names = [name for name in scene.families if name in frame]
    ranks = frame["equivalent rank"].tolist()
    found = run(snippets.curve(scene, names, ranks))
    assert found["ranks"] == ranks
    for name in names:
        np.testing.assert_allclose(found["errors"][name], frame[name], atol=1e-12)
    spectra = [c.on(scene.grid).spectra.values[1, 5] for c in decompositions(scene)]
    values = run(snippets.block(scene, (1, 5)))["values"]
    np.testing.assert_allclose(values, np.sqrt(np.mean(np.square(spectra), axis=0)), atol=1e-12)
    ranks_of = compute.comparison(scene, RANK).results["adaptive"].rank_maps
    for channel, expected in enumerate(ranks_of):
        lines = snippets.rank_map(scene, "adaptive", RANK, channel)
        np.testing.assert_array_equal(run(lines)["ranks"], expected)


def test_hybrid_is_in_the_lines_when_it_is_on_the_page() -> None:
    at = Scene(load("low-rank", size=48), Grid.regular((48, 48), 4), "cpu", searched=True)
    residuals = run(snippets.pictures(at, RANK))["residuals"]
    assert residuals.keys() == compute.comparison(at, RANK).results.keys()
    assert "hybrid" in residuals
