"""Whole-or-nothing writes: what is there stays until all that replaces it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

__all__ = ["whole_file", "whole_files", "write_files"]


@contextmanager
def whole_files(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder for drafts; those of `names` take their places only if nothing fails.

    The drafts lie inside `folder`, so that the last step is a rename on one disk.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_files(Path(folder), ["a", "b"]) as drafts:
    ...         for name in ("a", "b"):
    ...             _ = (drafts / name).write_text(name)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['a', 'b']
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as made:
        drafts = Path(made)
        yield drafts
        for name in names:
            (drafts / name).replace(folder / name)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file takes its place only if nothing fails."""
    with whole_files(path.parent, [path.name]) as drafts:
        yield drafts / path.name


def write_files(
    folder: str | PathLike[str],
    files: Mapping[str, bytes],
    check: Callable[[Path], None] | None = None,
    replaces: Collection[str] = (),
) -> None:
    """Write files to a folder, which is made if need be; all of them or none.

    `check` gets the folder in which they are complete before any of them takes its place; where
    it raises, nothing is left. What `replaces` names and `files` does not is removed once all
    are there.
    """
    target = Path(folder)
    new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        with whole_files(target, files) as drafts:
            for name, data in files.items():
                (drafts / name).write_bytes(data)
            if check is not None:
                check(drafts)
        for name in replaces:
            if name not in files:
                (target / name).unlink(missing_ok=True)
    except BaseException:
        if new and not any(target.iterdir()):
            target.rmdir()
        raise
