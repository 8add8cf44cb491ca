"""Mixtures of experts for PEFT, which stacks the factors of all experts of a layer into one.

transformers 5 holds the experts of a layer as one parameter. When PEFT opens an adapter that names
them one by one, it stacks their factors, so all must be there and have one rank, that of the
settings; the router gets it as well. Factors are filled up with zeros, which changes no ΔW.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["is_expert", "stackable"]

Pair = tuple[Float[Tensor, "m r"], Float[Tensor, "r n"]]

_EXPERT = re.compile(
    r"(?P<layer>.+)\.experts\.(?P<index>\d+)\.(?P<part>w[123]|(gate|up|down)_proj)"
)
# Parts of one product: PEFT wants both of them, or neither.
_TWINS = {"w1": "w3", "w3": "w1", "gate_proj": "up_proj", "up_proj": "gate_proj"}


def is_expert(module: str) -> bool:
    """Return whether a module is one of the experts that PEFT stacks.

    Examples
    --------
    >>> is_expert("model.layers.0.block_sparse_moe.experts.3.w1"), is_expert("model.layers.0.mlp")
    (True, False)
    """
    return _EXPERT.fullmatch(module) is not None


def stackable(
    pairs: Mapping[str, Pair], known: Iterable[str] = ()
) -> tuple[dict[str, Pair], int | None]:
    """Fill the factors of experts and routers up to one rank; return them and that rank.

    Parameters
    ----------
    pairs : mapping of str to (Tensor, Tensor)
        B of shape (out, r) and A of shape (r, in) by module name.
    known : iterable of str
        Names of experts of the base, those without an update too.

    Returns
    -------
    dict, int or None
        The same for everything else; None where there are no experts.

    Examples
    --------
    >>> pairs = {f"h.0.experts.{i}.w2": (torch.ones(4, r), torch.ones(r, 6))
    ...     for i, r in ((0, 1), (2, 3))}
    >>> found, rank = stackable(pairs)
    >>> {name[-4:]: tuple(b.shape) for name, (b, _) in found.items()}, rank
    ({'0.w2': (4, 3), '2.w2': (4, 3), '1.w2': (4, 3)}, 3)
    """
    layers: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for name in pairs:
        found = _EXPERT.fullmatch(name)
        if found is not None:
            layers[found["layer"]][found["part"]][int(found["index"])] = name
    if not layers:
        return dict(pairs), None
    experts = {
        name for parts in layers.values() for held in parts.values() for name in held.values()
    }
    routers = {f"{layer}.gate" for layer in layers} & set(pairs)
    rank = max(pairs[name][1].shape[0] for name in experts | routers)
    full = dict(pairs)
    counts = {
        layer: max(i for held in parts.values() for i in held) for layer, parts in layers.items()
    }
    for name in known:
        found = _EXPERT.fullmatch(name)
        if found is not None and found["layer"] in counts:
            counts[found["layer"]] = max(counts[found["layer"]], int(found["index"]))
    for layer, parts in layers.items():
        for part in {*parts, *(_TWINS[part] for part in parts if part in _TWINS)}:
            held = parts.get(part) or parts[_TWINS[part]]
            b, a = pairs[next(iter(held.values()))]
            for index in range(counts[layer] + 1):
                full.setdefault(
                    f"{layer}.experts.{index}.{part}",
                    (b.new_zeros(len(b), rank), a.new_zeros(rank, a.shape[1])),
                )
    even = {n: n in routers or is_expert(n) for n in full}
    return {n: _filled(pair, rank) if even[n] else pair for n, pair in full.items()}, rank


def _filled(pair: Pair, rank: int) -> Pair:
    b, a = pair
    more = rank - a.shape[0]
    return torch.nn.functional.pad(b, (0, more)), torch.nn.functional.pad(a, (0, 0, 0, more))
