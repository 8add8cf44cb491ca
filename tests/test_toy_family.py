"""One file, one line and one colour: then a new family is everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from app.shared import style
from lolora_core import FAMILIES, Grid, advise, approximate, budget_for_rank, decompose, sweep
from lolora_core.adapters import AdapterConfig, add_adapters, num_adapter_parameters
from lolora_core.checkpoints import extract_adapters, survey
from lolora_core.commands.main import app as command
from lolora_core.explore.compare import compare, explain
from tests.app.test_pages import figures, opened, text
from tests.common_checks import CASES, CHECKS, RANKS, make
from tests.toy_family import Banded

BANDED = "banded"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, BANDED, Banded())
    monkeypatch.setitem(style.FAMILY_LINES, BANDED, style.Line("#882255", "solid"))


@pytest.fixture
def band() -> np.ndarray:
    """Energy in the first block row and column of a 4×4 grid only: nothing else is as good."""
    random = np.random.default_rng(0)
    w = np.zeros((32, 32))
    w[:8], w[:, :8] = random.normal(size=(8, 32)), random.normal(size=(32, 8))
    return w


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("shape", "grid"), CASES, ids=str)
def test_the_common_checks(check, shape, grid) -> None:  # type: ignore[no-untyped-def]
    svd = make(shape, grid, torch.float64)
    for rank in RANKS:
        check(svd, BANDED, rank)


def test_it_is_approximated_compared_and_explained(band: np.ndarray) -> None:
    found = approximate(band, BANDED, budget=budget_for_rank((32, 32), 7), grid=4)
    assert (found.rank_map[1:, 1:] == 0).all()
    assert found.rank_map[0].tolist() == [4, 4, 4, 4]
    channels = [decompose(band, grid=4)]
    compared = compare(channels, rank=7)
    assert BANDED in compared.results
    assert "Rank 4 on each holds" in explain(compare(channels, 7, [BANDED, "diagonal"]), channels)


def test_sweep_and_adviser_know_it(band: np.ndarray) -> None:
    found = sweep(band, grids=[4])
    assert set(found.frame()["family"]) == set(FAMILIES) - {"hybrid"}
    (row,) = found.frame().query("family == @BANDED and budget == 448").itertuples()
    exact = approximate(band, BANDED, budget=448, grid=4)
    assert row.relative_error == pytest.approx(exact.relative_error, abs=1e-6)
    advice = advise(band, budget=448, grids=[4], families=[BANDED])
    assert str(advice).count("banded on 4×4 blocks") == 1


def test_checkpoints_and_adapters_know_it(band: np.ndarray) -> None:
    pair = {"fc.weight": torch.zeros(32, 32)}, {"fc.weight": torch.from_numpy(band).float()}
    assert "error_banded_4x4" in survey(*pair, rank=7, grids=[4], n_jobs=1).frame()
    kept = extract_adapters(*pair, family=BANDED, rank=7, grid=4, n_jobs=1)
    assert kept.adapters.config.family == BANDED
    assert kept.adapters.num_parameters == 4 * 7 * 16
    shared = extract_adapters(*pair, family=BANDED, rank=7, grid=4, shared=True, n_jobs=1)
    assert shared.adapters.num_parameters == kept.adapters.num_parameters
    model = nn.Sequential(nn.Linear(32, 32))
    add_adapters(model, AdapterConfig(family=BANDED, rank=7, grid=4))
    assert num_adapter_parameters(model) == 4 * 7 * 16
    small = AdapterConfig(family=BANDED, rank=1, grid=4)
    with pytest.raises(ValueError, match=r"the banded blocks of the 4×4 grid .* smallest .* is 2"):
        add_adapters(nn.Sequential(nn.Linear(32, 32)), small)


def test_the_command_line_knows_it() -> None:
    words = ["approximate", "camera", "--rank", "8", "--grid", "4", "--family", BANDED, "--json"]
    shown = CliRunner().invoke(command, words)
    assert shown.exit_code == 0, shown.output
    assert BANDED in json.dumps(json.loads(shown.stdout))
    assert Grid.regular((512, 512), 4).label == "4×4"


def test_the_page_compare_shows_it() -> None:
    at = opened("")
    # A view that no other test asks for: what is cached knows the families of its time.
    at.query_params.update({"target": "coins", "rows": "3", "cols": "3", "rank": "9"})
    at.run()
    assert not at.exception
    assert BANDED in figures(at).index
    assert BANDED in text(at)
