"""What libFuzzer runs, through atheris: each reader, led on by what of the program a file reaches.

``python -m benchmarks.fuzz --guided`` starts it in a process of its own, which libFuzzer ends.
"""

from __future__ import annotations

import importlib
import random
import sys
import warnings
from pathlib import Path
from typing import Any

__all__ = ["main", "write_seeds"]


def write_seeds(folder: Path, readers: Any) -> None:
    """Write the good files of all readers; the first byte of each says whose it is."""
    for place, reader in enumerate(readers):
        for number, sample in enumerate(reader.samples()):
            (folder / f"{place}-{number}").write_bytes(bytes([place]) + sample)


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over or a reader fails.

    Parameters
    ----------
    arguments : list of str
        Of libFuzzer, after the name of the program.
    """
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["app", "lolora_core"]):
        fuzzing: Any = importlib.import_module("tests.fuzzing")
    readers = fuzzing.READERS

    def read(data: bytes) -> None:
        if data:
            fuzzing.ending(readers[data[0] % len(readers)], data[1:])

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance, place, body = random.Random(seed), data[:1] or b"\0", data[1:]
        if chance.random() < 0.5:
            edit = (chance.randrange(fuzzing.WAYS), chance.randrange(len(body) + 1))
            body = fuzzing.damaged(body, [(*edit, chance.randrange(256))])
        else:
            body = bytes(atheris.Mutate(body, most - 1))
        mend = readers[place[0] % len(readers)].mend
        made: bytes = place + (mend(body) if mend and chance.random() < 0.5 else body)
        return made[:most]

    warnings.simplefilter("error")
    atheris.Setup(arguments, read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
