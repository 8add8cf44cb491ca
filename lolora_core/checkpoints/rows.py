"""A file of rows, JSON lines or CSV, to which only whole rows are added."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Row", "RowFile"]

Row = dict[str, str | int | float | None]


class RowFile:
    """Rows of one run, kept across runs.

    A row cut off by a crash is dropped when the file is opened, and one that does not fit the disk
    when it is written.

    Parameters
    ----------
    path : Path
        ``.jsonl`` or ``.csv``; made at the first row.
    run : str
        Which inputs and settings the rows are for; each row has it in its column ``run``.

    Raises
    ------
    ValueError
        Another suffix, or a file with anything else in it.
    """

    def __init__(self, path: Path, run: str) -> None:
        if path.suffix not in (".jsonl", ".csv"):
            raise ValueError(f"output must end in .jsonl or .csv; it is {path}")
        self.path, self.run = path, run
        data = path.read_bytes() if path.exists() else b""
        self._whole = data.rfind(b"\n") + 1
        try:
            text = data[: self._whole].decode()
            self.rows = _parse(text, path.suffix)
        except (ValueError, TypeError, csv.Error) as error:
            raise ValueError(
                f"{path} is not a survey: {str(error)[:120]}. Name another file"
            ) from None
        if any(row.get("run") != run for row in self.rows):
            raise ValueError(
                f"{path} is the survey of another pair, another order of base and tuned, or other "
                "settings; name another file, or remove it"
            )

    def append(self, row: Row) -> None:
        """Add one row, whole or not at all.

        Raises
        ------
        OSError
            As where the disk is full; the rows before it are kept.
        """
        row = {"run": self.run, **row}
        line = self._line(row).encode()
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

    def _line(self, row: Row) -> str:
        if self.path.suffix == ".jsonl":
            # JSON has no NaN.
            plain = {key: None if _is_nan(value) else value for key, value in row.items()}
            return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row), lineterminator="\n")
        if not self._whole:
            writer.writeheader()
        writer.writerow({key: None if _is_nan(value) else value for key, value in row.items()})
        return text.getvalue()


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _write_all(file: io.FileIO, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _parse(text: str, suffix: str) -> list[Row]:
    if suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
        if not all(isinstance(row, Mapping) for row in rows):
            raise ValueError("a line is not an object")
        return [dict(row) for row in rows]
    reader = csv.DictReader(io.StringIO(text), strict=True)
    return [{key: _cell(key, value) for key, value in row.items()} for row in reader]


def _cell(key: str, value: str) -> str | int | float | None:
    if not isinstance(key, str) or value == "":
        return None
    if key in ("run", "name", "kind", "dtype", "best_family", "best_grid"):
        return value
    return int(value) if value.lstrip("-").isdecimal() else float(value)
