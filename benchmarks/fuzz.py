"""A hundred thousand damaged files: each must end in a value or a sentence, soon, in little memory.

The readers and the damage are those of tests/fuzzing.py.
"""

from __future__ import annotations

import random
import resource
import sys
import time
import traceback
import warnings
from typing import Any

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


def _last_line() -> str:
    return traceback.format_exc(limit=-1).strip()[-600:]
