"""The papers of the project say what is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.page_settings import OF_PAGE
from docs.experiment import pictures
from docs.screenshots import FOLDER, SHOTS
from lolora_core.commands.main import app as lolora
from lolora_core.training.experiment.findings import read_experiment

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCS)
#: The largest picture, in bytes.
LARGEST = 300_000
#: What `code` in backticks names inside this repository.
PATH = re.compile(r"`((?:lolora_core|app|assets|tests|benchmarks|docs)/[\w./-]*)`")


def rooms() -> list[str]:
    """Every package, every module that is a room by itself, and the folders beside them."""
    packages = [
        f"{path.parent.relative_to(ROOT)}/"
        for top in ("lolora_core", "app")
        for path in sorted((ROOT / top).rglob("__init__.py"))
        if path.parent.parent != ROOT
    ]
    modules = [
        str(path.relative_to(ROOT))
        for top in ("lolora_core", "app")
        for path in sorted((ROOT / top).glob("*.py"))
        if not path.name.startswith("__")
    ]
    return [*packages, *modules, "assets/", "tests/", "benchmarks/", "docs/"]


@pytest.mark.parametrize("room", rooms())
def test_every_room_is_in_the_architecture(room: str) -> None:
    assert room in PATH.findall(ARCHITECTURE)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_path_and_link_leads_somewhere(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named = [ROOT / path for path in PATH.findall(text)]
    assert named + links
    for path in [*named, *((ROOT / paper).parent / link for link in links)]:
        assert path.exists(), path


def test_every_picture_is_made_by_the_script_and_shown() -> None:
    shown: set[Path] = set()
    for paper in PAPERS:
        text = (ROOT / paper).read_text(encoding="utf-8")
        shown |= {(ROOT / paper).parent / at for at in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)}
    of_experiment = [name for name, _ in pictures(read_experiment())]
    made = {FOLDER / f"{name}.png" for name in (*SHOTS, *of_experiment)}
    assert shown == made == set(FOLDER.glob("*.png"))
    assert max(path.stat().st_size for path in made) < LARGEST


def test_every_page_and_command_is_in_the_documents() -> None:
    for path in OF_PAGE:
        name = (path or "start").replace("_", "-")
        assert f"docs/{name}.md" in DOCS
        assert f"docs/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(lolora).commands  # type: ignore[attr-defined]
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.M) == list(commands)


def test_the_drawing_has_every_layer_of_the_contracts() -> None:
    drawing = ARCHITECTURE.split("```mermaid")[1].split("```")[0]
    found = [c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    layers = [
        part for contract in found for line in contract["layers"] for part in line.split(" | ")
    ]
    assert len(layers) > 10
    for layer in layers:
        assert layer == "__main__" or f'{layer}["{layer}' in drawing


def test_one_licence_everywhere() -> None:
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert citation()["license"] == "Apache-2.0"


def citation() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_citation_names_the_paper() -> None:
    found = citation()
    # What the format asks for.
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    assert found["cff-version"] == "1.2.0"
    (paper,) = found["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert {"type": "other", "value": "arXiv:2506.00236"} in paper["identifiers"]


def test_the_version_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", text, re.M)[:2] == [
        "Unreleased",
        PYPROJECT["project"]["version"],
    ]


def test_what_the_app_needs_is_pinned() -> None:
    """Everything that the package asks for has a pinned version in requirements.txt."""
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["app"]]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = {re.split(r"[<>=\[]", line)[0] for line in asked}
    assert names == set(re.findall(r"^([\w-]+)==[\w.]+$", pinned, re.M))
    for name in ("test", "assets", "minilm"):
        for line in project["optional-dependencies"][name]:
            assert re.fullmatch(r"[\w-]+(\[\w+\])?==[\w.]+", line), line


def test_how_to_add_is_five_steps_at_most() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (?:Add|A new) ", text, flags=re.M)[1:]
    assert [part.split("\n")[0] for part in parts] == [
        "a family",
        "a task",
        "a page",
        "a lesson",
        "a format",
    ]
    for part in parts:
        steps = re.findall(r"^\d+\. ", part.split("\n## ")[0], re.M)
        assert 1 < len(steps) <= 5
