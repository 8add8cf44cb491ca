"""The files of one checkpoint or adapter with the settings beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lolora_core.files.bounded_json import JsonLimits
from lolora_core.files.contents import Contents, classify
from lolora_core.files.folders import (
    OWN_CONFIG,
    OWN_TENSORS,
    PEFT_CONFIG,
    PEFT_TENSORS,
    Choice,
    choose_files,
    passed_over,
)
from lolora_core.files.header import MAX_TENSORS
from lolora_core.files.json_files import read_json
from lolora_core.files.magic import FIRST_BYTES, contents_of_bytes
from lolora_core.files.ranges import ByteFile, Headers, LocalFile, read_headers
from lolora_core.files.shards import check_index, check_shards

__all__ = ["CONFIG", "CONFIG_LIMITS", "Found", "find_local"]

CONFIG = "config.json"
#: transformers writes Infinity into some, as of Mamba.
CONFIG_LIMITS = JsonLimits(finite=False)
# Two suffixes: an index is JSON, and names .safetensors files.
_INDEX_ENDS = ".safetensors.index.json"


@dataclass(frozen=True)
class Found:
    """What is to be opened; no header has been read.

    Attributes
    ----------
    label : str
    files : tuple of ByteFile
        With the tensors.
    index, adapter_config, own : mapping, optional
        The JSON beside them.
    index_name : str
        The file of the index.
    config : mapping
        The model's config.json.
    notes : tuple of str
        What was passed over.
    folder : Path, optional
        Where it is, on this machine.
    max_tensors : int
        How many the files may name together.
    """

    label: str
    files: tuple[ByteFile, ...]
    index: Mapping[str, Any] | None = None
    index_name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    adapter_config: Mapping[str, Any] | None = None
    own: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    max_tensors: int = MAX_TENSORS

    def headers(self) -> Headers:
        """Read the headers.

        Raises
        ------
        ValueError
            A file is damaged, or something else than safetensors: the message says what.
        """
        try:
            found = read_headers(self.label, self.files, self.max_tensors)
        except ValueError:
            if (by_bytes := self.by_bytes()) is not None:
                raise ValueError(f"{self.label} is {by_bytes.refusal}") from None
            raise
        if self.index is not None:
            check_shards(self.label, found.tensors, self.index)
        return found

    def what(self) -> Contents:
        """Classify the files; also by their first bytes where they are no safetensors files."""
        try:
            return self.contents(self.headers())
        except ValueError:
            if (by_bytes := self.by_bytes()) is not None:
                return by_bytes
            raise

    def by_bytes(self) -> Contents | None:
        """Return what a single file is by its first bytes, where that is no safetensors file."""
        if len(self.files) != 1:
            return None
        file = self.files[0]
        first = bytes(file.read(0, min(FIRST_BYTES, file.size)))
        found = contents_of_bytes(first, Path(file.label).name)
        return None if found is None else replace(found, files={file.label: file.size})

    def contents(self, headers: Headers) -> Contents:
        """Classify what `headers` returned."""
        found = classify(
            headers.tensors,
            metadata=headers.metadata,
            config=self.config,
            adapter_config=self.adapter_config,
            own=self.own,
            name=Path(self.files[0].label).name if len(self.files) == 1 else "",
        )
        return replace(found, files={f.label: f.size for f in self.files}, notes=self.notes)


def find_local(path: Path) -> Found:
    """Return the files of a folder by the rule of `choose_files`, or a file with its settings.

    Raises
    ------
    FileNotFoundError, ValueError
        See `choose_files`; also a shard that is missing, or JSON that is damaged.
    """
    if not path.is_dir():
        return _find_file(path)
    names = sorted(entry.name for entry in path.iterdir())
    config, notes = read_config(path)
    choice = choose_files(
        lambda name: (path / name).is_file(),
        names,
        str(path),
        explicit=config.get("transformers_weights"),
    )
    if choice is None:
        listed = ", ".join(name for name in names if name.endswith(".safetensors")) or "none"
        raise ValueError(
            f"{path} must hold one .safetensors file, or several with model{_INDEX_ENDS}, or an "
            f"adapter; .safetensors files in it: {listed[:300]}"
        )
    found = _open_choice(path, str(path), choice)
    read = {Path(file.label).name for file in found.files} | {choice.name}
    return replace(found, config=config, notes=(*notes, *passed_over(names, read)))


def _find_file(path: Path) -> Found:
    folder, label = path.parent, str(path)
    config, notes = read_config(folder)
    if path.name.endswith(_INDEX_ENDS):
        found = _open_choice(folder, label, Choice("index", path.name))
    elif path.name == PEFT_TENSORS and (folder / PEFT_CONFIG).is_file():
        found = _open_choice(folder, label, Choice("peft", path.name))
    elif path.name == OWN_TENSORS and (folder / OWN_CONFIG).is_file():
        found = _open_choice(folder, label, Choice("own", path.name))
    else:
        found = _open_choice(folder, label, Choice("file", path.name))
    return replace(found, config=config, notes=notes)


def read_config(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return config.json, empty where there is none, and a note where it cannot be read."""
    if not (folder / CONFIG).is_file():
        return {}, ()
    try:
        return read_json(folder / CONFIG, CONFIG_LIMITS), ()
    except ValueError as error:
        return {}, (f"{CONFIG} is not used: {error}",)


def _open_choice(folder: Path, label: str, choice: Choice) -> Found:
    if choice.kind == "index":
        index = read_json(folder / choice.name)
        where = str(folder / choice.name)
        shards = sorted(set(check_index(index, where).values()))
        if missing := [shard for shard in shards if not (folder / shard).is_file()]:
            raise ValueError(
                f"{where} names the shard {missing[0]}, which is not in the folder; "
                f"{len(missing)} of {len(shards)} are missing"
            )
        files = tuple(LocalFile(folder / shard) for shard in shards)
        return Found(label, files, index=index, index_name=choice.name, folder=folder)
    files = (LocalFile(folder / choice.name),)
    if choice.kind == "peft":
        settings = read_json(folder / PEFT_CONFIG)
        return Found(label, files, adapter_config=settings, folder=folder)
    if choice.kind == "own":
        return Found(label, files, own=read_json(folder / OWN_CONFIG), folder=folder)
    return Found(label, files, folder=folder)
