"""What is made from the committed experiment: its pictures, and the paragraph of the README.

``python -m docs.experiment``, after ``lolora reproduce``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from plotly.io import templates
from plotly.offline import get_plotlyjs

from app.shared.charts import Figure
from app.shared.learning import rates_figure, retention_figure
from app.shared.style import METHOD_LINES
from docs.screenshots import FOLDER, fewer_colours
from lolora_core.training.experiment.findings import read_experiment, retention, sensitivity
from lolora_core.training.experiment.report import paragraph
from tests.browser.install_chromium import system_chromium
from tests.browser.serving import QUIET, ROOT

README = ROOT / "README.md"
#: Of one picture in CSS pixels: all budgets of a task side by side, one legend below.
WIDTH, HEIGHT, LEGEND = 1440, 340, 52
#: Dashes of plotly as those of SVG.
DASHES = {
    "solid": "", "dot": "2 3", "dash": "7 4", "dashdot": "7 3 2 3", "longdash": "11 5",
    "longdashdot": "11 4 2 4",
}  # fmt: skip


def readme(found: Mapping[str, Any], text: str) -> str:
    """Return the README with the paragraph of an experiment between its marks."""
    marks = re.compile(r"(<!-- experiment -->\n).*?(\n<!-- /experiment -->)", re.S)
    changed, count = marks.subn(lambda m: m[1] + paragraph(found) + m[2], text)
    if count != 1:
        raise ValueError(f"the README must hold the marks of the experiment once; it has {count}")
    return changed


def pictures(found: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Figure]]]:
    """Yield the name of each picture, and its figures by their titles."""
    for task, row in found["tasks"].items():
        ranks = [cell["rank"] for cell in found["results"] if cell["task"] == task]
        if not ranks:
            continue
        yield (
            f"rates-{task}",
            {f"{task}, r = {r}": rates_figure(sensitivity(found, task, r), HEIGHT) for r in ranks},
        )
        if row["forgets"]:
            yield (
                f"kept-{task}",
                {
                    f"{task}, r = {r}": retention_figure(retention(found, task, r), HEIGHT)
                    for r in ranks
                },
            )


def _legend(names: Iterable[str]) -> str:
    """Return the lines of the methods, each before its name."""
    keys = []
    for name in names:
        line = METHOD_LINES[name]
        dash = DASHES.get(line.dash, line.dash.replace("px,", " ").replace("px", ""))
        keys.append(
            f'<span style="white-space:nowrap"><svg width="42" height="10"><path d="M2 5H40" '
            f'stroke="{line.colour}" stroke-width="{line.width}" stroke-dasharray="{dash}"/></svg> '
            f"{name}</span>"
        )
    return " ".join(keys)


def _draw(page: Page, figures: Mapping[str, Figure]) -> Image.Image:
    template = templates["plotly_white"].to_plotly_json()
    sent = []
    for title, figure in figures.items():
        figure.update_layout(
            title={"text": title, "font": {"size": 15}},
            margin={"t": 36},
            height=HEIGHT,
            showlegend=False,
        )
        sent.append(figure.sent(template))
    names = dict.fromkeys(str(trace["name"]) for part in figures.values() for trace in part.data)
    page.set_content(
        '<body style="margin:0"><div id="charts" style="display:flex"></div><p style="margin:4px '
        f'16px;font:13px sans-serif;line-height:20px">{_legend(names)}</p></body>'
    )
    page.add_script_tag(content=get_plotlyjs())
    page.evaluate(
        """async (figures) => {
          for (const figure of figures) {
            const place = document.createElement('div');
            place.style.flex = '1 1 0';
            charts.append(place);
          }
          for (const [at, figure] of figures.entries()) {
            await Plotly.newPlot(charts.children[at], figure.data, figure.layout,
              { staticPlot: true, responsive: true });
          }
        }""",
        json.loads(json.dumps(sent)),
    )
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def main() -> None:
    """Make the pictures, and write the paragraph."""
    found = read_experiment()
    README.write_text(readme(found, README.read_text(encoding="utf-8")), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=system_chromium(), args=QUIET)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT + LEGEND})
        for name, figures in pictures(found):
            fewer_colours(_draw(page, figures)).save(FOLDER / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
