"""The page through AppTest: every target can be shown, nothing raises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from lolora_core import approximate, budget_for_rank
from lolora_core.targets import catalogue, load

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "script.py")


def opened(path: str) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=60)
    # Before its first run `switch_page` goes by the file's name, and a link by the address.
    at._page_hash = calc_hash(path)
    # Parts that are computed when they come into sight.
    for part in ("curve", "figures", "adapter"):
        at.session_state[f"sight_{part}"] = {"seen": True}
    return at


def start() -> AppTest:
    return opened("compare")


def text(at: AppTest) -> str:
    return " ".join(element.value for element in (*at.markdown, *at.caption, *at.info, *at.error))


@pytest.mark.parametrize("kind", ["image", "pattern", "weights", "update"])
def test_a_target_of_every_shape_is_shown(kind: str) -> None:
    shapes = {load(entry.id).shape: entry for entry in catalogue() if entry.kind == kind}
    entries = shapes.values()
    assert entries
    at = start().run()
    for entry in entries:
        at.selectbox(key="target").set_value(entry.id).run()
        assert not at.exception
        assert entry.description.rstrip(".") in text(at)
        assert re.match(
            r"\*\*[\w, ]+ (comes? closest\.|rebuilds? it exactly)|\*\*No family is better",
            at.main.markdown[0].value,
        )


def test_help_and_captions_everywhere() -> None:
    at = start().run()
    assert [title.value for title in at.title] == ["Compare"]
    for widget in (*at.slider, *at.number_input, *at.toggle):
        assert widget.proto.help, widget.label
    assert len(at.get("plotly_chart")) == 3


def test_rows_carry_columns_along_until_they_are_unlinked() -> None:
    at = start().run()
    at.number_input(key="rows").set_value(4).run()
    assert at.number_input(key="cols").value == 4
    at.toggle(key="linked").set_value(False).run()
    at.number_input(key="cols").set_value(2).run()
    assert at.number_input(key="rows").value == 4
    assert "4×2" in text(at)
    at.toggle(key="linked").set_value(True).run()
    assert at.number_input(key="cols").value == 4


def test_natural_cuts_are_offered() -> None:
    at = start().run()
    at.selectbox(key="target").set_value("minilm-0-query").run()
    at.button(key="cut_12_1").click().run()
    assert (at.number_input(key="rows").value, at.number_input(key="cols").value) == (12, 1)
    assert not at.exception


def test_matched_steps() -> None:
    at = start().run()
    at.slider(key="rank").set_value(35).run()
    assert "unused" in text(at)
    at.button(key="matched_above").click().run()
    assert at.slider(key="rank").value == 40
    assert "Every family spends the whole budget." in text(at)
    at.button(key="matched_below").click().run()
    assert at.slider(key="rank").value == 32


def test_a_grid_that_does_not_fit() -> None:
    at = start().run()
    at.selectbox(key="target").set_value("silero-stft").run()
    at.number_input(key="rows").set_value(64).run()
    assert not at.error
    at.selectbox(key="target").set_value("checkerboard").run()
    at.slider(key="checkerboard.size").set_value(32).run()
    assert "64×64 does not fit a 32×32 matrix" in at.error[0].value
    at.button(key="fit_grid").click().run()
    assert not at.error
    assert at.number_input(key="rows").value == 32


def figures(at: AppTest) -> pd.DataFrame:
    (table,) = (frame.value for frame in at.dataframe if "PSNR" in frame.value)
    return table.set_index("family")


def test_hybrid_comes_when_asked() -> None:
    at = start().run()
    at.selectbox(key="target").set_value("minilm-0-query").run()
    assert "hybrid" not in figures(at).index
    at.toggle(key="hybrid").set_value(True).run()
    assert not at.exception
    table = figures(at)
    w = load("minilm-0-query").array
    expected = approximate(w, "hybrid", budget=budget_for_rank(w.shape, 32), grid=8)
    assert table.loc["hybrid", "relative error"] == f"● {expected.relative_error:#.3g}"
    ranks = expected.rank_map
    spread = f"{expected.global_rank} + {ranks.min()}–{ranks.max()}"
    assert table.loc["hybrid", "rank per block"] == spread
    assert f"One term of rank {expected.global_rank} for the whole matrix" in text(at)


def test_reset() -> None:
    at = start().run()
    at.slider(key="rank").set_value(7).run()
    at.selectbox(key="target").set_value("coins").run()
    at.button(key="reset").click().run()
    assert at.slider(key="rank").value == 32
    assert at.selectbox(key="target").value == "camera"


def test_figures_do_not_import_streamlit() -> None:
    views = Path(MAIN).parent / "views"
    pure = [p for name in ("figures", "sentences") for p in views.glob(f"*/{name}.py")]
    pages = [f"app.views.{path.parent.name}.{path.stem}" for path in pure]
    listed = ", ".join([*pages, "app.views.fine_tune.jobs", "app.views.fine_tune.race_files"])
    code = f"import sys, {listed}; assert 'streamlit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(MAIN).parents[1])


def test_pages_are_short() -> None:
    for page in (Path(MAIN).parent / "views").glob("*/page.py"):
        assert len(page.read_text().splitlines()) <= 200


def test_only_settings_touch_the_session_state() -> None:
    app = Path(MAIN).parent
    found = {
        str(path.relative_to(app))
        for path in app.rglob("*.py")
        if "session_state" in path.read_text(encoding="utf-8")
    }
    assert found == {"shared/settings.py"}
