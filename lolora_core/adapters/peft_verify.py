"""PEFT as the judge of a folder written for it: it opens the adapter, and its ΔW are compared.

Our own reader cannot see a transpose that it makes in reading and writing alike; PEFT decides by
the class of each module of the real model, so a model is built from the base's config.json. Its
weights are zeros that share one number, so any size fits into memory.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lolora_core.adapters.sets import AdapterSet
from lolora_core.common.words import percent

__all__ = ["verify_with_peft", "why_not_verified"]

# PEFT multiplies in the dtype of the factors that it loaded, float32, in another order.
_TOLERANCE = 1e-5


def why_not_verified(config: Mapping[str, Any]) -> str:
    """Return what PEFT would need to open an adapter of this base, or an empty text.

    Examples
    --------
    >>> why_not_verified({})
    'the base has no config.json that names its architecture'
    """
    if not config.get("architectures") or not config.get("model_type"):
        return "the base has no config.json that names its architecture"
    if missing := [name for name in ("peft", "transformers") if find_spec(name) is None]:
        return f"{' and '.join(missing)} is not installed"
    name = config["architectures"][0]
    if not hasattr(importlib.import_module("transformers"), str(name)):
        return f"transformers knows no {name}"
    return ""


def verify_with_peft(
    adapters: AdapterSet, folder: Path, config: Mapping[str, Any], allowed: float = 0.0
) -> float:
    """Open a PEFT folder with PEFT on a model of the config, and compare every ΔW.

    Parameters
    ----------
    adapters : AdapterSet
        What the folder was written from.
    folder : Path
    config : mapping
        The base's config.json; see `why_not_verified`.
    allowed : float
        Relative error that was meant: of truncation, and of rounding.

    Returns
    -------
    float
        √(Σ‖ΔW − ΔW_PEFT‖²/Σ‖ΔW‖²).

    Raises
    ------
    ValueError
        PEFT cannot open it, applies another ΔW, or applies none to a module.
    """
    try:
        theirs = list(_peft_updates(folder, config))
    except Exception as error:
        # Whatever PEFT or transformers raise, the folder is of no use there.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"PEFT cannot open what was written: {first[:200]}") from error
    gap = total = 0.0
    left = _Pieces(theirs)
    for name in adapters.terms:
        update = adapters.delta(name).float()
        norm = float(torch.linalg.vector_norm(update)) ** 2
        if norm == 0:
            continue
        nearest = left.take(name, update)
        if nearest is None:
            raise ValueError(f"PEFT applies no update to {name}: it finds no such module to adapt")
        gap += nearest
        total += norm
    extra = sum(float(torch.linalg.vector_norm(piece)) ** 2 for piece in left.rest())
    off = ((gap + extra) / total) ** 0.5 if total else 0.0
    if not off <= allowed + _TOLERANCE:
        raise ValueError(
            f"PEFT applies another ΔW than was meant, {percent(min(off, 1.0))} of its norm off; "
            "nothing is kept"
        )
    return off


class _Pieces:
    """PEFT's updates, each taken once: by its name, or where that has changed by its values."""

    def __init__(self, pieces: list[tuple[str, Tensor]]) -> None:
        self.named = dict(pieces)

    def take(self, name: str, update: Tensor) -> float | None:
        """Return ‖ΔW − ΔW_PEFT‖² of the piece that belongs to a module."""
        if name in self.named and self.named[name].shape == update.shape:
            return _distance(self.named.pop(name), update)
        alike = {n: _distance(p, update) for n, p in self.named.items() if p.shape == update.shape}
        if not alike:
            return None
        nearest = min(alike, key=lambda name: alike[name])
        del self.named[nearest]
        return alike[nearest]

    def rest(self) -> Iterator[Tensor]:
        """Yield what nobody took."""
        yield from self.named.values()


def _distance(first: Tensor, second: Tensor) -> float:
    return float(torch.linalg.vector_norm(first - second)) ** 2


def _peft_updates(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and ΔW of every module that PEFT adapts, experts one by one."""
    peft, transformers = map(importlib.import_module, ("peft", "transformers"))
    settings = transformers.AutoConfig.for_model(**config)
    with torch.device("meta"):
        base = getattr(transformers, config["architectures"][0])(settings)
    for module in base.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                zeros = torch.zeros((), dtype=weight.dtype).expand(weight.shape)
                module._parameters[name] = nn.Parameter(zeros, requires_grad=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(base, str(folder), torch_device="cpu").float()
    for name, module in model.named_modules():
        if not hasattr(module, "get_delta_weight") or "default" not in module.scaling:
            continue
        delta = module.get_delta_weight("default").detach()
        own = name.removeprefix("base_model.model.").replace(".base_layer", "")
        fused = getattr(module, "parameter_name", "")
        if delta.ndim == 3 and fused:
            for index, expert in enumerate(delta):
                halves = expert.chunk(2) if fused == "gate_up_proj" else (expert,)
                for half, matrix in enumerate(halves):
                    yield f"{own}.{fused}.{index}.{half}", matrix
        else:
            yield own, delta.flatten(1)
