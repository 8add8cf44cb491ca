"""Which modules of a checkpoint get an adapter, and how the weight of each is stored."""

from __future__ import annotations

from collections.abc import Iterable

from lolora_core.adapters.kinds import weight_kinds
from lolora_core.adapters.select import select_names
from lolora_core.adapters.stored import Stored
from lolora_core.checkpoints.align import stored_kinds
from lolora_core.files.tensors import TensorSource

__all__ = ["targeted_modules"]


def targeted_modules(
    base: TensorSource,
    tuned: TensorSource,
    names: Iterable[str],
    skipped: dict[str, str],
    wanted: tuple[str | Iterable[str], str | Iterable[str]],
) -> dict[str, Stored]:
    """Return the matrices that get an adapter, and how their weights are stored.

    Parameters
    ----------
    base, tuned : TensorSource
        The kinds of layers are told from the base, and from what an adapter says of itself.
    names : iterable of str
        Matrices of both.
    skipped : dict of str to str
        Gets the reason of every other.
    wanted : pair
        target_modules and exclude_modules, see `extract_adapters`.

    Raises
    ------
    ValueError
        A name or a pattern that matches nothing.

    Examples
    --------
    >>> import torch
    >>> from lolora_core.files.tensors import MappingSource
    >>> held = MappingSource({"q.weight": torch.eye(2), "lm_head.weight": torch.ones(9, 2)})
    >>> skipped: dict[str, str] = {}
    >>> found = targeted_modules(held, held, held.tensors, skipped, ("all-linear", ()))
    >>> list(found), skipped
    (['q.weight'], {'lm_head.weight': 'the output head, which all-linear leaves out'})
    """
    modules = {name.removesuffix(".weight"): name for name in names if name.endswith(".weight")}
    skipped |= {name: _no_module(name) for name in names if name[-7:] != ".weight"}
    target, excluded = (part if isinstance(part, str) else list(part) for part in wanted)
    chosen = select_names(modules, target)
    excepted = select_names(modules, excluded, "exclude_modules") if excluded else set()
    kinds, own = weight_kinds(base.tensors, base.config), stored_kinds(tuned)
    found = {}
    for module, name in modules.items():
        kind = kinds[module]
        if module in excepted:
            skipped[name] = "exclude_modules names it"
        elif module not in chosen:
            skipped[name] = "target_modules does not name it"
        elif target == "all-linear" and not (kind.all_linear or module in own):
            skipped[name] = kind.why
        else:
            found[name] = own.get(module, kind.stored)
    return found


def _no_module(name: str) -> str:
    if name.endswith("in_proj_weight"):
        return "an nn.MultiheadAttention's query, key and value in one, not the weight of a module"
    return "it is not the weight of a module"
