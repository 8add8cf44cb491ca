"""The wheel in an environment of its own: its command, its data, its parts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a build reads.
SOURCES = ("lolora_core", "app", "assets", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed, among the dependencies that are installed here."""
    folder = tmp_path_factory.mktemp("package")
    # Setuptools builds in the folder of the sources.
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, sources / name, ignore=without)
        else:
            shutil.copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build: list[str | Path] = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, folder, sources], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env")
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    # As packages that come after the environment's own; without the hooks of editable installs.
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env"


def run(environment: Path, *command: str) -> str:
    """Run a program of the environment from a folder that is not the checkout."""
    program: list[str | Path] = [environment / "bin" / command[0], *command[1:]]
    done = subprocess.run(
        program, cwd=environment, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_runs_from_the_wheel(environment: Path) -> None:
    line = "approximate camera --rank 32 --grid 8"
    table = run(environment, "lolora", *line.split())
    for family, error in (("global", "0.0804"), ("localized", "0.0835"), ("adaptive", "0.0618")):
        assert any(row.split()[0] == family and error in row for row in table.splitlines() if row)


def test_the_wheel_holds_packages_assets_and_the_app(environment: Path) -> None:
    code = """
import json
from importlib.resources import files
from pathlib import Path
import app, lolora_core
from lolora_core.targets import asset_path, load
assert load("minilm-0-query").shape == (384, 384)
print(json.dumps({
    "where": [*lolora_core.__path__, *app.__path__, str(asset_path("minilm.safetensors").parent)],
    "py.typed": files("lolora_core").joinpath("py.typed").is_file(),
    "scripts": [str(path.relative_to(root.parent)) for root in map(Path, app.__path__)
                for path in root.rglob("*.*s")],
    "app": sorted(part.name for part in files("app").iterdir()),
    "views": sorted(part.name for part in files("app.views").iterdir()),
}))
"""
    found = json.loads(run(environment, "python", "-c", code))
    for place in found["where"]:
        assert Path(place).is_relative_to(environment.resolve())
    assert found["py.typed"]
    scripts = {
        str(path.relative_to(ROOT))
        for kind in ("css", "js")
        for path in ROOT.glob(f"app/**/*.{kind}")
    }
    assert {"app/lens/linked_view.css", "app/shared/access.js"} <= scripts
    assert scripts <= set(found["scripts"])
    assert {".streamlit", "main.py", "lens", "shared", "views"} <= set(found["app"])
    assert {"compare", "what_if", "fine_tune", "your_weights"} <= set(found["views"])


def test_the_wheel_says_what_it_is(environment: Path) -> None:
    code = """
import json
from importlib.metadata import metadata, distribution
about = metadata("lolora-core")
parts = [str(path) for path in distribution("lolora-core").files]
print(json.dumps([about["Version"], about["License-Expression"], about.get_all("Provides-Extra"),
                  sorted({part.split("/")[0] for part in parts})]))
"""
    number, licence, extras, tops = json.loads(run(environment, "python", "-c", code))
    assert number == version("lolora-core")
    assert licence == "Apache-2.0"
    assert {"app", "dask", "minilm", "test"} <= set(extras)
    assert [top for top in tops if not top.startswith(("..", "lolora_core-"))] == [
        "app",
        "lolora_core",
    ]
