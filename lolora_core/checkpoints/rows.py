"""The rows of one run as JSON lines, to which only whole rows are added."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Row", "RowFile", "rows_path"]

Row = dict[str, Any]


def rows_path(output: Path) -> Path:
    """Return where the rows for an output file are kept: in itself, or beside a CSV file.

    Raises
    ------
    ValueError
        Another suffix than ``.jsonl`` and ``.csv``.

    Examples
    --------
    >>> rows_path(Path("survey.csv")).name, rows_path(Path("survey.jsonl")).name
    ('survey.csv.jsonl', 'survey.jsonl')
    """
    if output.suffix not in (".jsonl", ".csv"):
        raise ValueError(f"output must end in .jsonl or .csv; it is {output}")
    return output if output.suffix == ".jsonl" else output.with_name(f"{output.name}.jsonl")


class RowFile:
    """Rows of one run, kept across runs.

    A row cut off by a crash is dropped when the file is opened, and one that does not fit the disk
    when it is written.

    Parameters
    ----------
    path : Path
        JSON lines; made at the first row.
    run : str
        Which inputs and settings the rows are for; each row has it in its column ``run``.

    Raises
    ------
    ValueError
        A file with anything else in it.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run
        data = path.read_bytes() if path.exists() else b""
        self._whole = data.rfind(b"\n") + 1
        try:
            self.rows = _parse(data[: self._whole].decode())
        except ValueError as error:
            raise ValueError(
                f"{path} is not a survey: {str(error)[:120]}. Name another file"
            ) from None
        if any(row.get("run") != run for row in self.rows):
            raise ValueError(
                f"{path} is the survey of another pair, another order of base and tuned, other "
                "settings or another version of the columns; name another file, or remove it"
            )

    def append(self, row: Row) -> None:
        """Add one row, whole or not at all.

        Raises
        ------
        OSError
            As where the disk is full; the rows before it are kept.
        """
        row = {"run": self.run, **row}
        # JSON has no NaN.
        plain = {key: None if _is_nan(value) else value for key, value in row.items()}
        line = (json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self.path.open("r+b" if self.path.exists() else "w+b", buffering=0) as file:
            file.truncate(self._whole)
            file.seek(self._whole)
            try:
                _write_all(file, line)
            except BaseException:
                file.truncate(self._whole)
                raise
        self._whole += len(line)
        self.rows.append(row)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _write_all(file: io.FileIO, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _parse(text: str) -> list[Row]:
    rows = [json.loads(line) for line in text.splitlines()]
    if not all(isinstance(row, Mapping) for row in rows):
        raise ValueError("a line is not an object")
    return [dict(row) for row in rows]
