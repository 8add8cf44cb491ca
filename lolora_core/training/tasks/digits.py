"""Digits: a network pretrained upright, or on 0–4 only, adapted to another domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lolora_core.targets import asset_path
from lolora_core.training.tasks.base import Data, Problem, Task
from lolora_core.training.tasks.classifying import (
    accuracy,
    build_with,
    draw_splits,
    pretrain,
    untrained_mlp,
)
from lolora_core.training.tasks.data import digits, rotate
from lolora_core.training.tasks.models import DigitsMLP, DigitsTransformer

__all__ = ["TASKS", "digit_accuracies"]

TRAIN, VALIDATION = 300, 300
#: With 300 examples under this noise, training anything loses to training the head alone.
MANY = 1000
NOISE = 0.5
#: Of the 8×8 pixels, how many a side go dark.
DARK = 5
SOURCE = (
    "scikit-learn's 1,797 digits (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten "
    "Digits, UCI Machine Learning Repository, 1998); base trained by this project"
)


def _noisy(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(images.shape, dtype=np.float32)
    return images + np.float32(NOISE) * noise


DOMAINS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda images: images,
    "rotated": lambda images: rotate(images, 1),
    "inverted": lambda images: 1 - images,
    "noisy": _noisy,
}


@cache
def _domain(name: str) -> tuple[Data, Data]:
    """Return the pool to draw from and the test split, one noise for each digit."""
    split = digits()
    pool = len(split.train_images)
    changed = DOMAINS[name](np.concatenate([split.train_images, split.test_images]))
    images = torch.from_numpy(np.ascontiguousarray(changed))
    labels = torch.from_numpy(np.concatenate([split.train_labels, split.test_labels]))
    return Data(images[:pool], labels[:pool]), Data(images[pool:], labels[pool:])


def _only(data: Data, wanted: Tensor) -> Data:
    return Data(data.inputs[wanted], data.targets[wanted])


@cache
def _bundled(file: str) -> dict[str, Tensor]:
    return load_file(asset_path(file))


@cache
def _base_of_low_classes() -> dict[str, Tensor]:
    pool, _ = _domain("upright")
    model = untrained_mlp(64, seed=0)
    pretrain(model, _only(pool, pool.targets < 5), epochs=40, seed=0)
    return model.state_dict()


def _mlp(domain: str, seed: int, train: int = TRAIN) -> Problem:
    return _mlp_on(_domain(domain), seed, train)


def _mlp_on(data: tuple[Data, Data], seed: int, train: int = TRAIN) -> Problem:
    model = build_with(DigitsMLP, _bundled("digits-mlp-base.safetensors"))
    return _problem(model, *data, seed, ("fc1", "fc2"), "fc3", train)


def _dark(images: Tensor, seed: int) -> Tensor:
    """Return the images with one square of pixels at 0: the same for all images of a seed."""
    top, left = np.random.default_rng(seed).integers(0, 8 - DARK + 1, 2)
    seen = torch.ones(8, 8)
    seen[top : top + DARK, left : left + DARK] = 0
    return images * seen.flatten()


def _with_dark_sensor(seed: int) -> Problem:
    pool, test = (Data(_dark(d.inputs, seed), d.targets) for d in _domain("upright"))
    return _mlp_on((pool, test), seed)


def _shifted(seed: int) -> Problem:
    model = build_with(DigitsMLP, _base_of_low_classes())
    pool, test = (_only(data, data.targets >= 5) for data in _domain("upright"))
    return _problem(model, pool, test, seed, ("fc1", "fc2"), "fc3")


def _transformer(seed: int) -> Problem:
    model = build_with(DigitsTransformer, _bundled("digits-transformer-base.safetensors"))
    layers = ("query", "key", "value", "output", "ff_in", "ff_out")
    adapted = tuple(f"blocks.{block}.{layer}" for block in (0, 1) for layer in layers)
    return _problem(model, *_domain("rotated"), seed, adapted, "head")


def _problem(
    model: nn.Module,
    pool: Data,
    test: Data,
    seed: int,
    adapted: tuple[str, ...],
    head: str,
    train: int = TRAIN,
) -> Problem:
    splits = draw_splits(pool, test, seed, train=train, validation=VALIDATION)
    return Problem(model, splits, adapted, (head,), functional.cross_entropy, accuracy)


@torch.no_grad()
def digit_accuracies(
    model: nn.Module, domains: Sequence[str] = ("upright", "rotated")
) -> dict[str, float]:
    """Return the share of the 449 test digits that a model reads rightly, for each domain.

    Examples
    --------
    >>> base = build_with(DigitsMLP, _bundled("digits-mlp-base.safetensors"))
    >>> {domain: round(share, 2) for domain, share in digit_accuracies(base).items()}
    {'upright': 0.97, 'rotated': 0.1}
    """
    tests = {name: _domain(name)[1] for name in domains}
    return {
        name: float(accuracy(model.eval()(test.inputs), test.targets))
        for name, test in tests.items()
    }


def _upright(seed: int) -> Data:
    return _domain("upright")[1]


def _low_classes(seed: int) -> Data:
    _, test = _domain("upright")
    return _only(test, test.targets < 5)


_CLASSES = tuple("0123456789")


def _adapted(train: int = TRAIN) -> str:
    return (
        f"{train:,} examples train, {VALIDATION} others validate, 449 test; "
        "adapters on fc1 and fc2, head fc3."
    )


TASKS = (
    *(
        Task(
            f"digits-{domain}",
            f"Digits, {domain}",
            f"An MLP 64–256–256–10 that knows upright digits learns {words}. {_adapted(train)}",
            SOURCE,
            f"The base reads upright digits; it must learn to read {goal}.",
            partial(_mlp, domain, train=train),
            known=_upright,
            classes=_CLASSES,
        )
        for domain, words, goal, train in (
            ("rotated", "digits turned by 90°", "digits that lie on their side", TRAIN),
            ("inverted", "digits with black and white exchanged", "black digits on white", TRAIN),
            (
                "noisy",
                f"digits under Gaussian noise of standard deviation {NOISE}",
                "them through heavy noise",
                MANY,
            ),
        )
    ),
    Task(
        "digits-dark",
        "Digits, sensor dropout",
        f"An MLP 64–256–256–10 that knows upright digits learns to read them with a sensor whose "
        f"{DARK}×{DARK} of 8×8 pixels have gone dark; the seed draws where, the same for all "
        f"digits. {_adapted()}",
        SOURCE,
        "The base reads whole digits; it must learn to read them although some pixels went dark.",
        _with_dark_sensor,
        known=_upright,
        classes=_CLASSES,
    ),
    Task(
        "digits-shifted",
        "Digits, 0–4 to 5–9",
        "An MLP 64–256–256–10 that was trained on the digits 0–4 alone (in memory, seeded, about "
        "a second) learns 5–9. 300 examples train, 300 others validate; adapters on fc1 and fc2, "
        "head fc3.",
        SOURCE,
        "The base has only ever seen 0 to 4; it must learn to read 5 to 9.",
        _shifted,
        known=_low_classes,
        classes=_CLASSES,
    ),
    Task(
        "digits-transformer",
        "Digits, vision transformer",
        "A small vision transformer that knows upright digits learns digits turned by 90°. 300 "
        "examples train, 300 others validate, 449 test; adapters on the attention and feed-forward "
        "matrices of both blocks, head `head`.",
        SOURCE,
        "The base reads upright digits; it must learn to read digits that lie on their side.",
        _transformer,
        known=_upright,
        classes=_CLASSES,
    ),
)
