"""Run the benchmarks named on the command line, or all; print JSON."""

from __future__ import annotations

import json
import sys

from benchmarks import adapters, browser, checkpoints, library, training, whatif

PARTS = {
    "library": library.run,
    "hybrid": library.hybrid,
    "whatif": whatif.run,
    "adapters": adapters.run,
    "training": training.run,
    "checkpoints": checkpoints.run,
    "browser": browser.run,
}


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    chosen = sys.argv[1:] or [name for name in PARTS if name != "hybrid"]  # library runs it
    print(json.dumps({n: _rounded(PARTS[n]()) for n in chosen}, indent=2, ensure_ascii=False))
