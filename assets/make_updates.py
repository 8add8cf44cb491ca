"""Make the bundled checkpoints: digits networks trained upright, then fully tuned on turned digits.

Run ``python -m assets.make_updates`` in the repository root, with the extra "assets" installed.
It takes about a minute on two cores.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from assets.make_weights import ASSETS, write
from lolora_core.training.tasks.data import Split, digits
from lolora_core.training.tasks.models import DigitsMLP, DigitsTransformer

SEED = 0
QUARTER_TURNS = 1
EPOCHS = 40
BATCH = 64
LEARNING_RATE = 1e-3


def train(model: nn.Module, split: Split, *, seed: int) -> None:
    """Train every parameter with Adam and cross-entropy; the rate falls to 0 along a cosine."""
    images, labels = torch.from_numpy(split.train_images), torch.from_numpy(split.train_labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    batches = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * batches)
    rng = np.random.default_rng(seed)
    model.train()
    for _ in range(EPOCHS):
        order = torch.from_numpy(rng.permutation(len(images)))
        for chosen in order.split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracies(model: nn.Module, split: Split) -> tuple[float, float]:
    """Return the shares of training and test images that are classified rightly."""
    model.eval()
    right = [
        (model(torch.from_numpy(images)).argmax(dim=1).numpy() == labels).mean()
        for images, labels in (
            (split.train_images, split.train_labels),
            (split.test_images, split.test_labels),
        )
    ]
    return float(right[0]), float(right[1])


def report(stem: str, model: nn.Module, domains: dict[str, Split], about: str) -> None:
    """Save one checkpoint and print its accuracies on both domains as rows of PROVENANCE.md."""
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write(ASSETS / f"{stem}.safetensors", tensors, about)
    for domain, split in domains.items():
        on_train, on_test = accuracies(model, split)
        print(f"| {stem} | {domain} | {on_train:.4f} | {on_test:.4f} |")


def make(name: str, model: nn.Module, domains: dict[str, Split]) -> None:
    """Train on upright digits, save, fine-tune every parameter on turned digits, save."""
    train(model, domains["upright"], seed=SEED)
    what = f"{type(model).__name__} trained on upright scikit-learn digits"
    report(f"digits-{name}-base", model, domains, what)
    tuned = copy.deepcopy(model)
    train(tuned, domains["rotated"], seed=SEED + 1)
    what = f"{what}, then fully fine-tuned on digits rotated by {90 * QUARTER_TURNS}°"
    report(f"digits-{name}-rotated", tuned, domains, what)


if __name__ == "__main__":
    # One thread: the order of the sums, and so the files' SHA-256, must not depend on the cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    both = {"upright": digits(seed=SEED), "rotated": digits(quarter_turns=QUARTER_TURNS, seed=SEED)}
    for short, network in (("mlp", DigitsMLP), ("transformer", DigitsTransformer)):
        torch.manual_seed(SEED)
        make(short, network(), both)
