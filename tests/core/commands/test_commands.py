"""The command line: the README's examples, JSON, exit codes, errors as sentences, Ctrl-C."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import lolora_core
from lolora_core import Approximation
from lolora_core.adapters.sets import AdapterSet
from lolora_core.checkpoints import read_peft
from lolora_core.commands import experiments
from lolora_core.commands.main import app
from lolora_core.training.experiment.findings import read_experiment
from lolora_core.training.experiment.protocol import QUICK

ROOT = Path(lolora_core.__file__).resolve().parents[1]
BASE, ROTATED = (f"assets/digits-mlp-{name}.safetensors" for name in ("base", "rotated"))
COMMANDS = (
    "approximate",
    "sweep",
    "advise",
    "scoreboard",
    "survey",
    "extract",
    "resize",
    "what",
    "overlap",
    "merge",
    "reproduce",
    "bench",
    "serve",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> Any:
    return CliRunner().invoke(app, shlex.split(line))


def test_a_change_that_is_not_finite_is_said_in_words() -> None:
    before = {"a.weight": torch.zeros(8, 8), "b.weight": torch.zeros(8, 8)}
    after = {"a.weight": torch.eye(8), "b.weight": torch.full((8, 8), torch.inf)}
    save_file(before, "before.safetensors")
    save_file(after, "after.safetensors")
    result = run("extract before.safetensors after.safetensors --rank 2 --output out")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "‖change‖ not known, for a value is not finite" in said
    assert not re.search(r"\bnan\b", said)


def test_the_examples_of_the_readme_run(folder: Path) -> None:
    section = (ROOT / "README.md").read_text().split("## The command line")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = [
        re.sub(r"^(lolora|python -m lolora_core) ", "", line)
        for line in block[1].splitlines()
        if not line.startswith("#")
    ]
    for line in lines:
        result = run(line)
        assert result.exit_code == 0, (line, result.output)
    assert {line.split()[0] for line in lines} == set(COMMANDS[:10])
    survey = pd.read_csv(folder / "survey.csv")
    assert sorted(survey["rows"]) == [10, 256, 256]
    assert len(read_peft(folder / "adapter").terms) == 3
    smaller = AdapterSet.load(folder / "smaller")
    assert 0 < smaller.num_parameters < read_peft(folder / "adapter").num_parameters
    assert (folder / "sweep.csv").read_text().startswith("family,grid_rows")
    assert set(pd.read_csv(folder / "scoreboard.csv")["kind"]) == {"weights"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_names_the_command(command: str) -> None:
    result = run(f"{command} --help")
    assert result.exit_code == 0
    assert f"Example: lolora {command}" in " ".join(result.output.split())


def test_the_list_of_commands_is_shown_without_loading_the_library(folder: Path) -> None:
    script = (
        "import sys; from lolora_core.commands.main import main; sys.argv[1:] = ['--help']\n"
        "try: main()\n"
        "finally: print(*sorted({'torch', 'numpy', 'pandas', 'sklearn'} & {*sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    *shown, loaded = ended.stdout.split("\n")[:-1]
    assert shown[0] == "Usage: lolora [OPTIONS] COMMAND [ARGS]..."
    assert all(any(line.startswith(f"  {command} ") for line in shown) for command in COMMANDS)
    assert loaded == ""


def test_help_names_the_families_that_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for families in (("global", "hybrid"), ("toy",)):
        monkeypatch.setattr("lolora_core.families.FAMILIES", dict.fromkeys(families))
        for command in ("approximate", "sweep", "advise", "scoreboard", "extract", "resize"):
            words = " ".join(run(f"{command} --help").output.split())
            assert re.search(rf"--family <\S+> {', '.join(families)}[.;]", words), words


def test_serve_becomes_the_program_beside_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *command: ran.append(command))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert run("serve --workers 3 --port 9000").exit_code == 0
    ((program, command, environment),) = ran
    assert (program, command[0]) == (sys.executable, sys.executable)
    assert command[1:] == ["-m", "app.serve", "--workers", "3", "--port", "9000"]
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}elsewhere"
    monkeypatch.setattr(lolora_core, "__file__", "/nowhere/lolora_core/__init__.py")
    result = run("serve")
    assert result.exit_code == 2
    assert "install it with pip install 'lolora-core[app]'" in " ".join(result.output.split())
    assert len(ran) == 1


def test_json_is_all_that_stdout_holds(folder: Path) -> None:
    found = json.loads(run("approximate camera --rank 32 --grid 8 --json").stdout)
    errors = {a["family"]: round(a["relative_error"], 4) for a in found["approximations"]}
    assert (errors["global"], errors["adaptive"]) == (0.0804, 0.0618)
    assert found["budget"] == 32_768
    cells = json.loads(run("scoreboard --kind update --family diagonal --json").stdout)
    assert {(cell["kind"], cell["winner"]) for cell in cells} == {("update", "diagonal")}
    rows = json.loads(run("sweep camera --grid 2 --family localized --json").stdout)
    assert {row["family"] for row in rows} == {"localized"}
    assert json.loads(run("advise camera --rank 32 --json").stdout)["best"]["family"] == "adaptive"
    survey = json.loads(run(f"survey {BASE} {ROTATED} --json").stdout)
    assert len(survey["rows"]) == 3
    assert all("axis" in reason for reason in survey["skipped"].values())
    line = f"extract {BASE} {ROTATED} --error 0.2 --dtype float16 --output a --json"
    extracted = json.loads(run(line).stdout)
    assert extracted["relative_error"] <= 0.2 + 1e-3
    again = json.loads(run("resize a --family global --rank 1 --output b --peft --json").stdout)
    assert again["num_parameters"] < extracted["num_parameters"]
    assert json.loads(run("survey b --rank 1 --json").stdout)["rows"][0]["base_norm"] is None


def test_a_target_may_be_an_array_an_image_or_a_tensor(folder: Path) -> None:
    np.save(folder / "w.npy", np.eye(8))
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(folder / "picture.png")
    for target in ("w.npy", "picture.png", "assets/minilm.safetensors:0-query"):
        output = "--family localized --output o.safetensors"
        result = run(f"approximate {target} --rank 2 --grid 2 {output}")
        assert result.exit_code == 0, result.output
        assert Approximation.load(folder / "o.safetensors").family == "localized"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("approximate nothing", "There is no target 'nothing'"),
        ("approximate camera --rank 1 --budget 5", "--rank or --budget, not both"),
        ("approximate camera --grid 8by8", "a grid is K or ROWSxCOLS"),
        ("approximate camera --grid 900", "grid 900×900 does not fit"),
        ("approximate camera --budget -1", "must be 0 or more"),
        ("approximate camera --family lora", "family must be one of global"),
        ("approximate camera --output a.safetensors", "name it with --family"),
        ("approximate weights.pt", "is a pickle by its name"),
        ("approximate missing.npy", "missing.npy: No such file"),
        (f"approximate {BASE}", "name one as"),
        (f"approximate {BASE}:nothing", "holds no tensor 'nothing'"),
        ("sweep camera --output sweep.txt", "must end in .csv"),
        ("scoreboard --kind photo", "--kind must be one of image, pattern, weights, update"),
        ("scoreboard --csv board.txt", "must end in .csv"),
        ("advise camera", "exactly one of budget, error and energy"),
        ("survey missing.safetensors other.safetensors", "missing.safetensors is not there"),
        (f"survey {BASE} assets/minilm.safetensors", "are not checkpoints of one model"),
        (f"survey {BASE} {ROTATED} --output a.txt", "must end in .jsonl or .csv"),
        (f"extract {BASE} {ROTATED} --output a --dtype int8", "--dtype must be one of float32"),
        (f"extract {BASE} {ROTATED} --output a --rank 1 --error 0.5", "exactly one of"),
        (f"extract {BASE} {ROTATED} --output {BASE}", "File exists"),
        ("resize missing --output a", "missing is not there"),
        ("overlap missing other", "missing is not there"),
        (f"overlap {BASE} {ROTATED}", "an adapter or updates ΔW are needed"),
        (f"survey {BASE} {ROTATED} --intruders -1", "intruders must be 0"),
        ("reproduce --output missing", "must be a folder that is there"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(folder: Path, line: str, message: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    result = run(line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_full_disk_is_a_sentence_and_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sweep.csv").write_text("old")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    result = run("sweep camera --grid 1 --output sweep.csv")
    assert (result.exit_code, result.stderr.strip()) == (2, "Error: No space left on device")
    assert sorted(path.name for path in folder.iterdir()) == ["assets", "sweep.csv"]
    assert (folder / "sweep.csv").read_text() == "old"


#: The command line, whose survey is interrupted when two matrices are done.
HELD = """
import signal

import lolora_core.checkpoints as checkpoints
from lolora_core.commands.main import app

survey = checkpoints.survey


def held(*arguments, progress, **settings):
    def report(done, total, name):
        progress(done, total, name)
        if done == 2:
            # As Ctrl-C does; sent from outside it may come where Python cannot raise anything.
            signal.raise_signal(signal.SIGINT)

    return survey(*arguments, progress=report, **settings)


checkpoints.survey = held
# A shell that starts the tests in the background has its children ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
app()
"""


def test_ctrl_c_ends_with_130_and_keeps_the_survey_so_far(folder: Path) -> None:
    random = torch.Generator().manual_seed(0)
    state = {f"layer.{at}.w.weight": torch.randn(30, 20, generator=random) for at in range(9)}
    save_file(state, folder / "base.safetensors")
    save_file({n: v + 0.1 for n, v in state.items()}, folder / "tuned.safetensors")
    line = [sys.executable, "-c", HELD, "survey", "base.safetensors", "tuned.safetensors"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [*line, "--output", "survey.jsonl"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    stderr = process.stderr
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "The rows so far are in survey.jsonl" in stderr
    rows = [json.loads(text) for text in (folder / "survey.jsonl").read_text().splitlines()]
    assert 0 < len(rows) < 9
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "base.safetensors",
        "tuned.safetensors",
    ]


def test_reproduce_writes_both_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lolora_core.training.experiment import reproduce as module

    committed = read_experiment()
    asked = []

    def made(cells: Any, **options: Any) -> dict[str, Any]:
        asked.append((cells, options["n_jobs"]))
        return committed

    monkeypatch.setattr(module, "reproduce", made)
    assert run("reproduce --output . --jobs 1 --runs runs.jsonl").exit_code == 0
    assert json.loads((folder / "does-it-train-better.json").read_text()) == committed
    assert (folder / "does-it-train-better.md").read_text().startswith("# Does")
    assert (folder / "runs.jsonl").is_file()
    (folder / "does-it-train-better.json").unlink()
    found = json.loads(run("reproduce --json").stdout)
    assert found["verdicts"] == committed["verdicts"]
    # A part of it is printed, beside what is committed, and writes nothing.
    part = run("reproduce --task image --task docstrings")
    assert part.exit_code == 0
    assert "mean, 95 % interval" in part.stdout
    rows = [line for line in part.stdout.splitlines() if " − " in line]
    assert len(rows) == len(committed["comparisons"])
    for row, line in zip(committed["comparisons"], rows, strict=True):
        assert line.split()[-2:] == [row["outcome"]] * 2
    assert not (folder / "does-it-train-better.json").exists()
    assert run("reproduce --quick").exit_code == 0
    assert [jobs for _, jobs in asked] == [1, 2, 2, 2]
    assert [len({cell.task for cell in cells}) for cells, _ in asked] == [11, 11, 2, 4]
    assert tuple(asked[-1][0]) == QUICK
    assert "did you mean image?" in run("reproduce --task imge").stderr


def test_bench_without_the_repository_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments.lolora_core, "__file__", str(folder / "a" / "b.py"))
    result = run("bench")
    assert result.exit_code == 2
    assert "clone it" in result.stderr


def test_bench_runs_the_parts_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def ended(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        seen.append((command[1:], settings["cwd"]))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(experiments.subprocess, "run", ended)
    assert run("bench library").exit_code == 3
    assert seen == [(["-m", "benchmarks", "library"], ROOT)]
