"""The pairs of checkpoints that come with the program: before and after a fine-tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from safetensors.torch import load_file

from lolora_core.common.names import near_names
from lolora_core.files.ranges import LocalFile
from lolora_core.files.tensors import MappingSource, SafetensorsSource, TensorSource
from lolora_core.targets import Cut, asset_path

__all__ = ["BUNDLED_PAIRS", "BundledPair", "bundled_pair"]

Sources = tuple[TensorSource, TensorSource]


@dataclass(frozen=True)
class BundledPair:
    """One line of the list of bundled pairs.

    Attributes
    ----------
    title, description, source, licence : str
    open : callable
        Returns base and tuned.
    cuts : tuple of Cut
        Grids that mean something in its matrices.
    """

    title: str
    description: str
    source: str
    licence: str
    open: Callable[[], Sources]
    cuts: tuple[Cut, ...]


def _files(network: str) -> Sources:
    base, tuned = (
        SafetensorsSource(stem, (LocalFile(asset_path(f"{stem}.safetensors")),))
        for stem in (f"digits-{network}-base", f"digits-{network}-rotated")
    )
    return base, tuned


def _minilm() -> Sources:
    held = load_file(asset_path("minilm-docstrings.safetensors"))
    base = {
        name.removeprefix("base."): tensor.float()
        for name, tensor in held.items()
        if name.startswith("base.")
    }
    tuned = {name: tensor + held[f"update.{name}"].float() for name, tensor in base.items()}
    return MappingSource(base, "MiniLM"), MappingSource(tuned, "MiniLM-docstrings")


_DIGITS = "this project, assets/make_updates.py; scikit-learn digits"
_DIGITS_LICENCE = "this project's own; scikit-learn states none for its digits"

#: By name; the words are for a reader who has not heard of them.
BUNDLED_PAIRS = {
    "digits transformer": BundledPair(
        "Digits transformer, upright → rotated",
        "A small vision transformer that reads upright digits, then learns digits turned by 90°. "
        "Every parameter was trained.",
        _DIGITS,
        _DIGITS_LICENCE,
        partial(_files, "transformer"),
        (Cut("4 heads", 4, 1, "24 rows of query, key and value per attention head"),),
    ),
    "digits MLP": BundledPair(
        "Digits MLP, upright → rotated",
        "A network of three layers that reads upright digits, then learns digits turned by 90°. "
        "Every parameter was trained.",
        _DIGITS,
        _DIGITS_LICENCE,
        partial(_files, "mlp"),
        (),
    ),
    "MiniLM": BundledPair(
        "MiniLM, sentences → docstrings",
        "A pretrained sentence encoder that learns which library a docstring comes from. Every "
        "parameter was trained; seven of its matrices are kept here.",
        "sentence-transformers/all-MiniLM-L6-v2; update by this project, assets/make_finetune.py",
        "Apache-2.0",
        _minilm,
        (Cut("12 heads", 12, 1, "32 rows of query, key and value per attention head"),),
    ),
}


def bundled_pair(name: str) -> Sources:
    """Return base and tuned of a pair in `BUNDLED_PAIRS`.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> base, tuned = bundled_pair("digits MLP")
    >>> base.tensors["fc2.weight"].shape
    (256, 256)
    """
    if name not in BUNDLED_PAIRS:
        raise ValueError(near_names(name, BUNDLED_PAIRS, "bundled pair"))
    return BUNDLED_PAIRS[name].open()
