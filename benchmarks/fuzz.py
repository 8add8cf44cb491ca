"""A hundred thousand damaged files: each must end in a value or a sentence, soon, in little memory.

The readers and the damage are those of tests/fuzzing.py. ``python -m benchmarks.fuzz --guided``
begins with the same good files, and looks for what reaches new places in the program.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.guided import write_seeds
from tests.fuzzing import READERS, WAYS, Reader, damaged, ending

INPUTS = 100_000
#: The whole run ends after this time, and says how far it came.
SECONDS = 900.0


def _drawn(chance: random.Random, reader: Reader) -> bytes:
    """Return a good file with up to eight edits, or random bytes."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(300))
    sample = chance.choice(reader.samples())
    edits = [
        (chance.randrange(WAYS), chance.randrange(len(sample) + 1), chance.randrange(256))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8)))
    ]
    data = damaged(sample, edits)
    return reader.mend(data) if reader.mend and chance.random() < 0.5 else data


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def run(inputs: int = INPUTS, seconds: float = SECONDS, seed: int = 0) -> dict[str, Any]:
    """Count endings; a failure comes with the bytes that made it.

    Returns
    -------
    dict
        Of every reader: how many files were read and refused, the slowest in seconds of computing,
        and its bytes. Peak memory in MB, before and after. Failures, at most ten.
    """
    chance, end = random.Random(seed), time.monotonic() + seconds
    for reader in READERS:
        for sample in reader.samples():
            ending(reader, sample)
    before, failures = _peak_mb(), []
    found: dict[str, dict[str, Any]] = {
        reader.name: {"read": 0, "refused": 0, "slowest_s": 0.0, "slowest": ""}
        for reader in READERS
    }
    tried = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while tried < inputs and time.monotonic() < end:
            reader = READERS[tried % len(READERS)]
            data, row = _drawn(chance, reader), found[reader.name]
            started = time.thread_time()
            try:
                row[ending(reader, data)] += 1
            except Exception:
                failures.append({"reader": reader.name, "data": data.hex(), "why": _last_line()})
            taken = time.thread_time() - started
            if taken > row["slowest_s"]:
                row |= {"slowest_s": taken, "slowest": data[:200].hex()}
            tried += 1
    return {
        "inputs": tried,
        "readers": found,
        "slowest_s": max(row["slowest_s"] for row in found.values()),
        "peak_mb": _peak_mb(),
        "peak_mb_of_good_files": before,
        "failed": len(failures),
        "failures": failures[:10],
    }


def guided(seconds: float = 120.0) -> dict[str, Any]:
    """Fuzz with atheris, led by coverage, until a reader fails or the time is over.

    Returns
    -------
    dict
        How many files were tried, how many places in the program they reached (as libFuzzer counts
        them), the slowest in seconds, peak memory in MB, and the file that failed, if one did.
    """
    with tempfile.TemporaryDirectory() as made:
        corpus, kept = Path(made) / "corpus", Path(made) / "kept"
        corpus.mkdir()
        kept.mkdir()
        write_seeds(corpus, READERS)
        options = [f"-max_total_time={seconds:.0f}", f"-artifact_prefix={kept}/", "-timeout=20"]
        options += ["-max_len=65536", "-rss_limit_mb=4096", "-print_final_stats=1"]
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.guided", str(corpus), *options],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        failed = [path.read_bytes() for path in kept.iterdir()]
    stats = dict(re.findall(r"^stat::(\w+):\s+(\d+)", ended.stderr, re.M))
    reached = re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", ended.stderr, re.M)
    begun = re.search(r"\bINITED\s+cov: (\d+)", ended.stderr)
    why = re.search(r"Uncaught Python exception.*?(?=^==)", ended.stderr, re.M | re.S)
    return {
        "inputs": int(stats.get("number_of_executed_units", 0)),
        "places reached by good files": int(begun[1]) if begun else 0,
        "places reached": int(reached[-1]) if reached else 0,
        "slowest_s": int(stats.get("slowest_unit_time_sec", 0)),
        "peak_mb": int(stats.get("peak_rss_mb", 0)),
        "failures": [
            {"reader": READERS[data[0] % len(READERS)].name, "data": data[1:].hex()}
            for data in failed
            if data
        ],
        "why": "" if ended.returncode == 0 else (why[0] if why else ended.stderr[-600:]).strip(),
    }


def _last_line() -> str:
    return traceback.format_exc(limit=-1).strip()[-600:]


def main(
    guided_by_coverage: Annotated[
        bool, typer.Option("--guided", help="With atheris, led by what a file reaches.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="When it ends.")] = 120.0,
) -> None:
    """Damage files and read them; JSON out. Example: python -m benchmarks.fuzz --guided."""
    if guided_by_coverage and importlib.util.find_spec("atheris") is None:
        raise typer.BadParameter("it needs atheris: pip install atheris", param_hint="--guided")
    found = guided(seconds) if guided_by_coverage else run(seconds=seconds)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    typer.run(main)
