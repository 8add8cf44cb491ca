"""``python -m benchmarks.metered run …``: Streamlit, with the processor time of every script run.

The file that `METER` names gets one line a run: the seconds of its thread.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.web.cli import main

__all__ = ["METER"]

METER = "LOLORA_METER"


def _meter(log: Path) -> None:
    run = ScriptRunner._run_script

    def metered(self: ScriptRunner, rerun_data: RerunData) -> None:
        began = time.thread_time()
        run(self, rerun_data)
        with log.open("a") as out:
            out.write(f"{time.thread_time() - began}\n")

    ScriptRunner._run_script = metered  # type: ignore[method-assign]


if __name__ == "__main__":
    _meter(Path(os.environ[METER]))
    main(prog_name="streamlit")
