"""Where a checkpoint comes from: files, sharded folders, adapters, models on the Hub, mappings."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from lolora_core.adapters.lora_files import open_lora_file
from lolora_core.adapters.peft_read import AdapterSource, open_adapters, open_peft
from lolora_core.checkpoints.remote import UNBOUNDED, Access, find_remote
from lolora_core.files.contents import IS_UPDATE, Contents, classify
from lolora_core.files.folders import OWN_CONFIG, OWN_TENSORS
from lolora_core.files.found import Found, find_local
from lolora_core.files.header import MAX_TENSORS
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.files.ranges import ByteFile
from lolora_core.files.scaled import ScaledSource
from lolora_core.files.tensors import MappingSource, SafetensorsSource, TensorSource

__all__ = ["Needs", "SourceLike", "open_source", "what"]


#: Of an update that must be made whole to be looked at: 8 GB.
MAX_ENTRIES = 2**31

#: What the functions of this package take as a source; see `open_source`.
SourceLike = str | PathLike[str] | Mapping[str, Tensor] | ByteFile | TensorSource

#: What a source must hold: anything that can be read, weights, or updates ΔW.
Needs = Literal["any", "weights", "update"]

_MARK = f'metadata={{"{IS_UPDATE[0]}": "{IS_UPDATE[1]}"}}'


def open_source(
    where: SourceLike,
    *,
    revision: str | None = None,
    needs: Needs = "any",
    max_tensors: int = MAX_TENSORS,
    access: Access = UNBOUNDED,
    max_entries: int = MAX_ENTRIES,
) -> TensorSource:
    """Open a checkpoint or an adapter; of checkpoints only headers are read.

    What it is is decided from its headers, not from its name; see `what`.

    Parameters
    ----------
    where : path, str, mapping, ByteFile or TensorSource
        A .safetensors file; a folder with one, or with shards and their index; a folder with a
        PEFT adapter (LoRA or GraLoRA) or one of `save_adapters`, or the file of tensors in it,
        whose tensors are updates ΔW; a file of factors of kohya, diffusers or LyCORIS; a model id
        on the Hub, "owner/name" or "owner/name@revision"; or tensors by name. A path that exists
        goes before a model id. Of several files in a folder the one is read that PEFT,
        transformers or diffusers would read; `notes` names the others.
    revision : str, optional
        Branch, tag or commit, for a model id only.
    needs : {"any", "weights", "update"}
        What it must hold. Plain matrices are weights or updates, as needed; tensors given by name
        are what the caller says.
    max_tensors : int
        How many its files may hold.
    access : Access
        To models on the Hub: with HF_TOKEN and of any size, unless said otherwise.
    max_entries : int
        Of an update of LoHa or LoKr, whose few numbers span a matrix of any size.

    Raises
    ------
    FileNotFoundError, ValueError
        Nothing is there, it is damaged, it is something that is not read, or not what is needed.
        The message says what it is, on what evidence, and what to do.

    Examples
    --------
    >>> import torch
    >>> open_source({"fc.weight": torch.zeros(2, 3)}).tensors["fc.weight"].shape
    (2, 3)
    """
    if needs not in get_args(Needs):
        raise ValueError(f"needs must be one of {', '.join(get_args(Needs))}; it is {needs!r}")
    if isinstance(where, Mapping):
        return MappingSource(where)
    found = _find(where, revision, max_tensors, access)
    if isinstance(found, TensorSource):
        return found
    source = _open(found, needs)
    if isinstance(source, AdapterSource):
        source.reject_large(max_entries)
    return source


def what(
    where: SourceLike, *, revision: str | None = None, max_tensors: int = MAX_TENSORS
) -> Contents:
    """Say what a file, a folder or a model on the Hub is, from headers alone.

    Parameters
    ----------
    where, revision, max_tensors
        As for `open_source`.

    Returns
    -------
    Contents
        Also for what is not read, such as a pickle: `advice` says what to do with it.

    Raises
    ------
    FileNotFoundError, ValueError
        Nothing is there, or it is damaged.

    Examples
    --------
    >>> import torch
    >>> what({"h.0.fc.weight": torch.zeros(2, 2), "h.0.norm.weight": torch.ones(2)}).words
    'a whole model'
    """
    if isinstance(where, Mapping):
        return classify(MappingSource(where).tensors)
    found = _find(where, revision, max_tensors)
    if isinstance(found, TensorSource):
        return classify(found.tensors, config=found.config)
    return found.what()


def _find(
    where: str | PathLike[str] | ByteFile | TensorSource,
    revision: str | None,
    max_tensors: int,
    access: Access = UNBOUNDED,
) -> Found | TensorSource:
    if isinstance(where, ByteFile):
        return Found(where.label, (where,), max_tensors=max_tensors)
    if not isinstance(where, str | PathLike):
        return where
    return replace(_find_named(where, revision, access), max_tensors=max_tensors)


def _find_named(where: str | PathLike[str], revision: str | None, access: Access) -> Found:
    path = Path(where)
    if path.exists():
        if revision is not None:
            raise ValueError(f"revision is for model ids; {path} is on this machine")
        return find_local(path)
    refuse_pickle_name(str(path))
    named = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", str(where))
    if named is None or str(where).endswith(".safetensors"):
        raise FileNotFoundError(
            f"{where} is not there; give a .safetensors file, a folder, or a model id owner/name"
        )
    if revision is not None and named[2] is not None:
        raise ValueError(f"revision stands twice: {named[2]!r} in {where!r}, and {revision!r}")
    return find_remote(named[1], revision=revision or named[2], access=access)


def _open(found: Found, needs: Needs) -> TensorSource:
    if found.own is not None or found.adapter_config is not None:
        _refuse_if(needs == "weights", found.label, "an adapter")
        return _open_adapter(found)
    headers = found.headers()
    contents = found.contents(headers)
    source = SafetensorsSource(
        found.label, found.files, config=found.config, notes=found.notes, headers=headers
    )
    if contents.kind == "factors":
        _refuse_if(needs == "weights", found.label, contents.words)
        return open_lora_file(source)
    if contents.kind == "update":
        _refuse_if(needs == "weights", found.label, contents.words)
        return source.as_update()
    if contents.kind == "matrices":
        note = "plain matrices are taken as updates ΔW, not as weights"
        return source.as_update((note,)) if needs == "update" else source
    is_fp8 = contents.methods == ("fp8",)
    if contents.kind == "model" or is_fp8:
        if needs == "update":
            raise ValueError(
                f"{found.label} is {contents.sentence}, and an adapter or updates ΔW are needed. "
                "Give the base too, for ΔW = W_tuned − W_base; a file of updates is taken as such "
                f"where it was saved with {_MARK}"
            )
        return ScaledSource(source) if is_fp8 else source
    raise ValueError(f"{found.label} is {contents.refusal}")


def _refuse_if(wrong: bool, label: str, words: str) -> None:
    if wrong:
        raise ValueError(
            f"base must be a checkpoint; {label} is {words}. Give it as tuned: the two may be "
            "swapped"
        )


def _open_adapter(found: Found) -> TensorSource:
    if found.folder is not None:
        return _with_notes(open_adapters(found.folder), found)
    if found.own is None and found.adapter_config is not None:
        parts = SafetensorsSource(found.label, found.files, headers=found.headers())
        return _with_notes(open_peft(found.adapter_config, parts), found)
    (file,) = found.files
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / OWN_CONFIG).write_text(json.dumps(found.own), encoding="utf-8")
        (folder / OWN_TENSORS).write_bytes(file.read(0, file.size))
        try:
            source = open_adapters(folder)
        except ValueError as error:
            raise ValueError(str(error).replace(str(folder), found.label)) from None
    return replace(_with_notes(source, found), label=found.label, identity=file.identity)


def _with_notes(source: AdapterSource, found: Found) -> AdapterSource:
    held = source.adapters
    return replace(source, adapters=replace(held, notes=(*held.notes, *found.notes)))
