"""MNIST and Fashion-MNIST, downloaded by scikit-learn where there is a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lolora_core.training.tasks.base import Data, Problem, Task
from lolora_core.training.tasks.classifying import (
    accuracy,
    build_with,
    draw_splits,
    pretrain,
    untrained_mlp,
)
from lolora_core.training.tasks.models import DigitsMLP

__all__ = ["TASKS", "Fetch", "build", "known"]

PIXELS = 784
CLOTHES = (
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
BASE, TEST = 10_000, 2_000
TRAIN, VALIDATION = 1_000, 1_000
#: ``name -> (images (n, 784) in 0…255, labels (n,))``.
Fetch = Callable[[str], tuple[np.ndarray, np.ndarray]]
_held: dict[str, tuple[Data, dict[str, Tensor]]] = {}
_filling = Lock()


def _openml(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    bunch = fetch_openml(name, version=1, as_frame=False, parser="liac-arff")
    return bunch.data, bunch.target.astype(np.int64)


def _turned(data: Data) -> Data:
    turned = torch.rot90(data.inputs.unflatten(1, (28, 28)), 1, (1, 2))
    return Data(turned.flatten(1), data.targets)


def _load(name: str, fetch: Fetch) -> tuple[Data, dict[str, Tensor]]:
    """Return images with labels and the base, trained upright on the first 10,000 of them."""
    try:
        images, labels = fetch(name)
    except OSError as error:
        raise ConnectionError(
            f"{name} is downloaded from openml.org, which could not be reached ({error}); connect "
            "to a network and try again, or choose a digits task, which needs none."
        ) from error
    data = Data(torch.from_numpy(np.asarray(images, np.float32) / 255), torch.from_numpy(labels))
    model = untrained_mlp(PIXELS, seed=0)
    pretrain(model, Data(*(part[:BASE] for part in data)), epochs=3, seed=0)
    return data, model.state_dict()


def _fetched(name: str, fetch: Fetch) -> tuple[Data, dict[str, Tensor]]:
    with _filling:
        if name not in _held:
            _held[name] = _load(name, fetch)
    return _held[name]


def known(name: str, seed: int, fetch: Fetch = _openml) -> Data:
    """Return the upright test images, which the base was trained for; arguments as of `build`."""
    data, _ = _fetched(name, fetch)
    return Data(*(part[-TEST:] for part in data))


def build(name: str, seed: int, fetch: Fetch = _openml) -> Problem:
    """Return the problem: an MLP trained upright learns the images turned by 90°.

    Parameters
    ----------
    name : str
        "mnist_784" or "Fashion-MNIST", as OpenML calls them.
    seed : int
        Draws the training and validation examples.
    fetch : callable
        ``name -> (images, labels)``.

    Raises
    ------
    ConnectionError
        OpenML cannot be reached.
    """
    data, state = _fetched(name, fetch)
    pool, test = (
        _turned(Data(*(part[rows] for part in data)))
        for rows in (slice(BASE, -TEST), slice(-TEST, None))
    )
    splits = draw_splits(pool, test, seed, train=TRAIN, validation=VALIDATION)
    model = build_with(lambda: DigitsMLP(PIXELS), state)
    return Problem(model, splits, ("fc1", "fc2"), ("fc3",), functional.cross_entropy, accuracy)


TASKS = tuple(
    Task(
        name,
        f"{title}, rotated",
        f"An MLP 784–256–256–10, trained in memory on {BASE:,} upright images of {title} (three "
        f"epochs, seeded), learns images turned by 90° from {TRAIN:,} examples; {VALIDATION:,} "
        f"validate, {TEST:,} test. Needs a network for its first use.",
        f"{title}, OpenML {openml}, by sklearn.datasets.fetch_openml",
        f"The base reads upright images of {title}; it must learn to read them on their side.",
        partial(build, openml),
        batch=64,
        known=partial(known, openml),
        classes=classes,
        downloads=True,
    )
    for name, title, openml, classes in (
        ("mnist", "MNIST", "mnist_784", tuple("0123456789")),
        ("fashion-mnist", "Fashion-MNIST", "Fashion-MNIST", CLOTHES),
    )
)
