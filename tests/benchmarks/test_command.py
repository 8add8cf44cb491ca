"""``python -m benchmarks``: help, parts, JSON to stdout or to a file. It measures nothing here."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import fuzz
from benchmarks.guided import write_seeds
from benchmarks.timing import interleaved_medians, median_seconds

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which parts ran; none of them measures."""
    names: list[str] = []

    def measure(name: str) -> Any:
        names.append(name)
        return {"ratio": 1.0}

    monkeypatch.setattr(command, "measure", measure)
    return names


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command.app, list(arguments))


def test_help_names_every_part() -> None:
    result = run("--help")
    assert result.exit_code == 0
    told = " ".join(result.output.split())
    assert "Example: python -m benchmarks library whatif --output figures.json" in told
    for name in command.PARTS:
        assert re.search(rf"\b{name}\b", told)


def test_a_part_runs_alone_and_all_without_a_name(ran: list[str]) -> None:
    assert json.loads(run("training").stdout) == {"training": {"ratio": 1.0}}
    assert ran == ["training"]
    ran.clear()
    found = json.loads(run().stdout)
    assert list(found) == ran == [name for name in command.PARTS if name != "hybrid"]


def test_output_is_a_file(ran: list[str], tmp_path: Path) -> None:
    result = run("hybrid", "adapters", "--output", str(tmp_path / "figures.json"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert list(json.loads((tmp_path / "figures.json").read_text())) == ["hybrid", "adapters"]


def test_bad_input_is_a_sentence_and_exit_code_2(ran: list[str], tmp_path: Path) -> None:
    for line in (["everything"], ["library", "--output", str(tmp_path / "no" / "figures.json")]):
        result = run(*line)
        assert result.exit_code == 2
        assert "Traceback" not in result.output
    assert ran == []


def test_every_part_is_a_function_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (module, function) in command.PARTS.items():
        found = importlib.import_module(module)
        assert callable(getattr(found, function))
        monkeypatch.setattr(found, function, lambda: {"time / svd": 0.123456, "runs": 3})
        assert command.measure(name) == {"time / svd": 0.123, "runs": 3}


def test_every_part_is_described() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in command.PARTS:
        assert f"`{name}`" in text


def test_medians_count_no_first_call() -> None:
    calls: list[str] = []
    ticks = iter(range(100))
    found = interleaved_medians(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, lambda: next(ticks)
    )
    assert calls == ["a", "a", "b", "b"] * 2
    assert found == {"a": 1, "b": 1}
    median_seconds(lambda: calls.append("c"), 3)
    assert calls.count("c") == 4


def test_guided_fuzzing_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    guided = typer.Typer(rich_markup_mode=None)
    guided.command()(fuzz.main)
    result = CliRunner().invoke(guided, ["--guided"])
    assert result.exit_code == 2
    assert "Invalid value for --guided: it needs atheris: pip install atheris" in result.output


def test_the_good_files_say_whose_they_are(tmp_path: Path) -> None:
    write_seeds(tmp_path, fuzz.READERS)
    seeds = {path.read_bytes() for path in tmp_path.iterdir()}
    assert {seed[0] for seed in seeds} == set(range(len(fuzz.READERS)))
    assert all(seed[1:] in fuzz.READERS[seed[0]].samples() for seed in seeds)
