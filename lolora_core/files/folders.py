"""Which files of a folder are read: the rule of PEFT, transformers and diffusers, in that order."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

from lolora_core.common.names import printable
from lolora_core.files.pickles import HOW_TO_CONVERT
from lolora_core.files.writes import write_files

__all__ = [
    "INDEX",
    "MODEL",
    "OWN_CONFIG",
    "OWN_TENSORS",
    "PEFT_CONFIG",
    "PEFT_TENSORS",
    "Choice",
    "choose_files",
    "passed_over",
    "write_adapter",
]

OWN_CONFIG, OWN_TENSORS = "adapters.json", "adapters.safetensors"
PEFT_CONFIG, PEFT_TENSORS = "adapter_config.json", "adapter_model.safetensors"
MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
PIPELINE = "model_index.json"

# As transformers 5.24 (modeling_utils, _get_resolved_checkpoint_files) looks for them.
_TRANSFORMERS = (MODEL, INDEX)
_TRANSFORMERS_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# diffusers (ModelMixin.from_pretrained) looks for the index first.
_DIFFUSERS = (
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
)
_DIFFUSERS_PICKLES = ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.bin.index.json")
_LORA, _LORA_PICKLE = "pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"
_VARIANT = re.compile(
    r"(?P<of>model|diffusion_pytorch_model)\."
    r"(?:(?P<a>(?!safetensors)\w+)\.safetensors(?:\.index\.json)?"
    r"|safetensors\.index\.(?P<b>\w+)\.json)"
)
_USUAL_VARIANTS = tuple(
    f"{of}.{end}"
    for of in ("model", "diffusion_pytorch_model")
    for end in ("fp16.safetensors", "safetensors.index.fp16.json")
)


#: Every file of an adapter in either format: an adapter takes the place of another whole.
ADAPTER_FILES = (OWN_CONFIG, OWN_TENSORS, PEFT_CONFIG, PEFT_TENSORS, "adapter_model.bin")


class Choice(NamedTuple):
    """What is read of a folder.

    Attributes
    ----------
    kind : {"own", "peft", "file", "index"}
    name : str
        The file of tensors, or the index.
    """

    kind: Literal["own", "peft", "file", "index"]
    name: str


def choose_files(
    has: Callable[[str], bool],
    names: Collection[str] | None,
    label: str,
    *,
    explicit: object = None,
) -> Choice | None:
    """Return which file of a folder is read, asking for as few names as possible.

    Adapters go before models, as in PEFT and transformers; then come transformers' names,
    diffusers', variants such as fp16, LoRAs of kohya and diffusers, and the only .safetensors file.
    Where one of these libraries would read a pickle, nothing else is read in its place.

    Parameters
    ----------
    has : callable
        Whether the folder has a file of this name.
    names : collection of str, optional
        All that it has, folders too, where they can be listed.
    label : str
        The folder, for messages.
    explicit : str, optional
        "transformers_weights" of config.json, which names the file.

    Returns
    -------
    Choice or None
        None where nothing is there that could be read.

    Raises
    ------
    ValueError
        Two adapters, a pipeline of several models, a pickle, or several files of equal right.

    Examples
    --------
    >>> there = {"model.safetensors.index.json", "model.safetensors"}
    >>> choose_files(there.__contains__, there, "folder")
    Choice(kind='file', name='model.safetensors')
    """
    own, peft = has(OWN_CONFIG), has(PEFT_CONFIG)
    if own and peft:
        raise ValueError(
            f"{label} holds two adapters, one of {OWN_CONFIG} and one of {PEFT_CONFIG}; give each "
            "a folder of its own, or remove the files of one"
        )
    if own:
        return Choice("own", OWN_TENSORS)
    if peft:
        if not has(PEFT_TENSORS) and has("adapter_model.bin"):
            _refuse_pickle(label, "adapter_model.bin", ())
        return Choice("peft", PEFT_TENSORS)
    if isinstance(explicit, str) and re.fullmatch(
        r"[\w.-]+\.safetensors(\.index\.json)?", explicit
    ):
        return _choice(explicit)
    others = () if names is None else tuple(n for n in names if n.endswith(".safetensors"))
    for wanted, pickles in (
        (_TRANSFORMERS, _TRANSFORMERS_PICKLES),
        (_DIFFUSERS, _DIFFUSERS_PICKLES),
    ):
        for name in wanted:
            if has(name):
                return _choice(name)
        if wanted is _TRANSFORMERS and has(PIPELINE):
            _refuse_pipeline(label, names)
        for name in pickles:
            if has(name):
                _refuse_pickle(label, name, others)
    return _variant(has, names, label) or _single(has, names, label, others)


def _choice(name: str) -> Choice:
    return Choice("index" if name.endswith(".json") else "file", name)


def _variant(
    has: Callable[[str], bool], names: Collection[str] | None, label: str
) -> Choice | None:
    known = _USUAL_VARIANTS if names is None else names
    found: dict[str, list[str]] = {}
    for name in sorted(known):
        if (named := _VARIANT.fullmatch(name)) and has(name):
            found.setdefault(f"{named['of']}, {named['a'] or named['b']}", []).append(name)
    if len(found) > 1:
        each = ", ".join(held[0] for held in found.values())
        raise ValueError(f"{label} holds several variants of a model: {each}; name one of them")
    for of, held in found.items():
        # transformers prefers the file, diffusers the index.
        held.sort(key=lambda name: name.endswith(".json") != of.startswith("diffusion"))
        return _choice(held[0])
    return None


def _single(
    has: Callable[[str], bool],
    names: Collection[str] | None,
    label: str,
    others: tuple[str, ...],
) -> Choice | None:
    if has(_LORA):
        return Choice("file", _LORA)
    if has(_LORA_PICKLE):
        _refuse_pickle(label, _LORA_PICKLE, others)
    if len(others) == 1:
        return Choice("file", others[0])
    indices = [n for n in names or () if n.endswith(".safetensors.index.json")]
    return _choice(indices[0]) if len(indices) == 1 else None


def _refuse_pickle(label: str, name: str, others: Iterable[str]) -> None:
    more = "".join(f" Or name the file that is meant, such as {n}." for n in list(others)[:1])
    raise ValueError(f"{label} holds its weights in {name}, a pickle. {HOW_TO_CONVERT}{more}")


def _refuse_pipeline(label: str, names: Collection[str] | None) -> None:
    parts = sorted(name for name in names or () if "." not in name)
    shown = ", ".join(printable(part) for part in parts) or "unet, transformer, text_encoder, …"
    raise ValueError(
        f"{label} is a pipeline of diffusers ({PIPELINE}), several models in folders of their own; "
        f"name one of them: {shown}"
    )


def write_adapter(
    folder: str | PathLike[str],
    files: Mapping[str, bytes],
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write the files of an adapter in the place of any other adapter there; whole or not at all.

    Parameters
    ----------
    folder, files, check
        As for `write_files`.

    Raises
    ------
    ValueError
        The folder holds a model, whose adapter it would seem to be.
    """
    names = (MODEL, INDEX, *_TRANSFORMERS_PICKLES, *_DIFFUSERS, PIPELINE, "config.json")
    if there := [name for name in names if (Path(folder) / name).exists()]:
        raise ValueError(f"{folder} holds a model ({', '.join(there)}); name another folder")
    write_files(folder, files, check, replaces=ADAPTER_FILES)


def passed_over(names: Iterable[str], read: Collection[str]) -> tuple[str, ...]:
    """Return a note that names the files of weights that are not among those read.

    Examples
    --------
    >>> passed_over(["model.safetensors", "model.fp16.safetensors"], ["model.safetensors"])
    ('passed over: model.fp16.safetensors',)
    """
    weights = re.compile(r".*\.safetensors(\.index\S*\.json)?|(pytorch_|adapter_)\w+\S*\.bin")
    left = sorted(name for name in names if weights.fullmatch(name) and name not in read)
    if not left:
        return ()
    shown = ", ".join(printable(name) for name in left[:5])
    return (f"passed over: {shown}{f' and {len(left) - 5} more' if len(left) > 5 else ''}",)
