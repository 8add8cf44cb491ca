"""Run the benchmarks named on the command line, or all; print JSON."""

from __future__ import annotations

import json
import sys

from benchmarks import adapters, browser, checkpoints, library, training, whatif

PARTS = {
    "library": library.run,
    "hybrid": library.hybrid,
    "adapters": adapters.run,
    "checkpoints": checkpoints.run,
    "training": training.run,
    "whatif": whatif.run,
    "browser": browser.run,
}


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    # `library` has `hybrid` in it.
    chosen = sys.argv[1:] or ["library", "browser"]
    print(json.dumps({n: _rounded(PARTS[n]()) for n in chosen}, indent=2, ensure_ascii=False))
