"""Which modules of a model get an adapter."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from lolora_core.adapters.config import AdapterConfig
from lolora_core.common.names import names_like
from lolora_core.common.patterns import Matcher

__all__ = ["find_targets", "near_modules", "select_names"]


def near_modules(wanted: str, names: Iterable[str]) -> str:
    """Return a phrase with the names most like `wanted`, whole or last parts, or the first few."""
    known = list(names)
    close = names_like(wanted, known, limit=5, cutoff=0.4)
    return (
        f"near names: {', '.join(close)}" if close else f"nn.Linear modules: {', '.join(known[:5])}"
    )


def find_targets(model: nn.Module, config: AdapterConfig) -> dict[str, nn.Linear]:
    """Return the linear layers that `config.target_modules` means, by name, in the model's order.

    A layer that stands at several names is listed under the first.

    Raises
    ------
    ValueError
        The model holds no nn.Linear or is one itself, or a target matches none.

    Examples
    --------
    >>> model = nn.ModuleDict({"query": nn.Linear(2, 2), "key": nn.Linear(2, 2)})
    >>> list(find_targets(model, AdapterConfig(target_modules=["query"])))
    ['query']
    >>> find_targets(model, AdapterConfig(target_modules=["quary"]))
    Traceback (most recent call last):
    ValueError: target_modules: 'quary' matches no nn.Linear; near names: query
    """
    if isinstance(model, nn.Linear):
        raise ValueError("the model is an nn.Linear itself; wrap it, e.g. nn.Sequential(model)")
    linears = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear)
    }
    if not linears:
        raise ValueError(f"{type(model).__name__} holds no nn.Linear to adapt")
    found = select_names(linears, config.target_modules)
    chosen: dict[int, str] = {}
    for name, module in linears.items():
        if name in found:
            chosen.setdefault(id(module), name)
    return {name: linears[name] for name in chosen.values()}


def select_names(
    known: Iterable[str], targets: str | Iterable[str], argument: str = "target_modules"
) -> set[str]:
    """Return the names that `target_modules` means, out of those of all linear modules.

    `argument` is how messages call it.

    Raises
    ------
    ValueError
        A target that matches none, or a pattern that is no regular expression.

    Examples
    --------
    >>> sorted(select_names(["0.query", "0.key", "1.query"], ["query"]))
    ['0.query', '1.query']
    """
    linears = list(known)
    if isinstance(targets, str):
        return set(linears) if targets == "all-linear" else _by_pattern(linears, targets, argument)
    found: set[str] = set()
    for target in targets:
        hits = {name for name in linears if name == target or name.endswith(f".{target}")}
        if not hits:
            raise ValueError(
                f"{argument}: {target!r} matches no nn.Linear; {near_modules(target, linears)}"
            )
        found |= hits
    return found


def _by_pattern(linears: list[str], targets: str, argument: str) -> set[str]:
    matcher = Matcher(argument)
    found = {name for name in linears if matcher.fits(targets, name)}
    if not found:
        raise ValueError(
            f"{argument}: the pattern {targets!r} matches no nn.Linear; "
            f"{near_modules(targets, linears)}"
        )
    return found
