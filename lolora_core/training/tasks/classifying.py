"""What the classification tasks share: accuracy, drawing of splits, building, pretraining."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lolora_core.training.tasks.base import Data, Split
from lolora_core.training.tasks.models import DigitsMLP

__all__ = ["accuracy", "build_with", "draw_splits", "pretrain", "untrained_mlp"]


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is at the target.

    Examples
    --------
    >>> accuracy(torch.eye(2), torch.tensor([0, 0]))
    tensor(0.5000)
    """
    return (outputs.argmax(dim=1) == targets).float().mean()


def build_with(network: Callable[[], nn.Module], state: dict[str, Tensor]) -> nn.Module:
    """Return a network with copies of the given tensors; no random number is drawn.

    Examples
    --------
    >>> build_with(lambda: nn.Linear(1, 1, bias=False), {"weight": torch.ones(1, 1)}).weight
    Parameter containing:
    tensor([[1.]], requires_grad=True)
    """
    with torch.device("meta"):
        model = network()
    copies = {name: tensor.detach().clone() for name, tensor in state.items()}
    model.load_state_dict(copies, assign=True)
    return model.requires_grad_(True)


def draw_splits(
    pool: Data, test: Data, seed: int, *, train: int, validation: int
) -> dict[Split, Data]:
    """Draw training and validation examples from a pool, none twice; the test split is given.

    Raises
    ------
    ValueError
        A pool that is too small.

    Examples
    --------
    >>> rows = Data(torch.arange(6.0)[:, None], torch.arange(6))
    >>> splits = draw_splits(rows, rows, 0, train=4, validation=2)
    >>> sorted([*splits["train"].targets.tolist(), *splits["validation"].targets.tolist()])
    [0, 1, 2, 3, 4, 5]
    """
    if train + validation > len(pool.inputs):
        raise ValueError(
            f"{train} training and {validation} validation examples are more than the "
            f"{len(pool.inputs)} that there are"
        )
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pool.inputs)))
    chosen: dict[Split, Tensor] = {
        "train": order[:train],
        "validation": order[train : train + validation],
    }
    drawn = {name: Data(*(part[rows] for part in pool)) for name, rows in chosen.items()}
    return {**drawn, "test": test}


def pretrain(model: nn.Module, data: Data, *, epochs: int, seed: int) -> None:
    """Train every parameter with Adam, batches of 64; the rate falls from 0.001 to 0."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    steps = epochs * -(-len(data.inputs) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for chosen in torch.randperm(len(data.inputs), generator=generator).split(64):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(data.inputs[chosen]), data.targets[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()


def untrained_mlp(pixels: int, seed: int) -> nn.Module:
    """Return an MLP pixels–256–256–10, uniform in ±1/√inputs, drawn by a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, (m, n) in {"fc1": (256, pixels), "fc2": (256, 256), "fc3": (10, 256)}.items():
        for part, shape in (("weight", (m, n)), ("bias", (m,))):
            state[f"{name}.{part}"] = (2 * torch.rand(shape, generator=generator) - 1) / n**0.5
    return build_with(lambda: DigitsMLP(pixels), state)
