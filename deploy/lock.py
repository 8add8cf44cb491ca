"""Write ``requirements.lock``: every package of the container but torch, with its SHA-256.

``python deploy/lock.py`` on the machine that the container is: Linux on x86-64, Python 3.11. torch
has a wheel for CPUs and others for GPUs, and is installed before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
HEAD = "# Written by deploy/lock.py: Linux on x86-64, Python 3.11, all but torch.\n"


def lines(report: dict[str, Any]) -> list[str]:
    """Return a line for each package of a report of pip.

    Examples
    --------
    >>> info = {"archive_info": {"hashes": {"sha256": "0a"}}}
    >>> lines({"install": [{"metadata": {"name": "Rich", "version": "1"}, "download_info": info}]})
    ['rich==1 --hash=sha256:0a']
    """
    return sorted(
        f"{found['metadata']['name'].lower()}=={found['metadata']['version']} "
        f"--hash=sha256:{found['download_info']['archive_info']['hashes']['sha256']}"
        for found in report["install"]
    )


def main() -> None:
    """Resolve ``requirements.txt`` without torch, and write the lock file."""
    wanted = (HERE.parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        pip += ["--only-binary=:all:", "--report", str(report)]
        pip += [line for line in wanted if line[0] != "#" and not line.startswith("torch==")]
        subprocess.run(pip, check=True)
        found = json.loads(report.read_text(encoding="utf-8"))
    LOCK.write_text(HEAD + "\n".join(lines(found)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
