"""How many digits base, tuned, and base with the adapter of a file read; cached by content."""

from __future__ import annotations

import threading

import pandas as pd
from cachetools import LRUCache, cached
from cachetools.keys import hashkey
from torch import nn

from app.views.your_weights.archive import archive
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan
from lolora_core.checkpoints import TensorSource
from lolora_core.training.tasks.classifying import build_with
from lolora_core.training.tasks.digits import digit_accuracies

__all__ = ["accuracies"]


def _model(pair: Pair, source: TensorSource) -> nn.Module:
    assert pair.network is not None
    return build_with(pair.network, {name: source.read(name) for name in source.tensors})


def _side_key(pair: Pair, side: str) -> object:
    return hashkey(pair.key, side)


@cached(LRUCache(64), key=_side_key, condition=threading.Condition())
def _of_side(pair: Pair, side: str) -> dict[str, float]:
    return digit_accuracies(_model(pair, pair.base if side == "base" else pair.tuned))


def _key(pair: Pair, plan: AdapterPlan, form: str) -> object:
    return hashkey(pair.key, plan.key, form)


@cached(LRUCache(256), key=_key, condition=threading.Condition())
def accuracies(pair: Pair, plan: AdapterPlan, form: str) -> pd.DataFrame:
    """Return the share of test digits read rightly, upright and rotated.

    Returns
    -------
    DataFrame
        Rows base, tuned, and base with the adapter that the file of a plan holds.
    """
    adapted = archive(pair, plan, form).adapters.install(_model(pair, pair.base))
    found = {
        "base": _of_side(pair, "base"),
        "tuned": _of_side(pair, "tuned"),
        "base + adapter": digit_accuracies(adapted),
    }
    return pd.DataFrame.from_dict(found, orient="index")
