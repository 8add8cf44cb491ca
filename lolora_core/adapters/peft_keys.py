"""What the tensors of a PEFT adapter are: factors by module, and what else was saved with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from lolora_core.files.keys import FactorKey, factor_key
from lolora_core.files.tensors import TensorSource

__all__ = ["PeftKeys", "part_names", "peft_keys", "read_parts", "reject_several_adapters"]

_PREFIX = "base_model.model."
# What torch.compile and FSDP put into names.
_WRAPPERS = re.compile(r"(^|(?<=\.))(_orig_mod|_fsdp_wrapped_module)\.")
# Parts of methods that are no scaled product.
_OTHER_PARTS = re.compile(
    r"\.(lora_|gralora_|hada_|lokr_|oft_|boft_|vera_|ia3_|hra_|randlora_|road_|fourierft_)"
)
_READ_PARTS = re.compile(r"(gra)?lora_(embedding_)?[AB](_general)?|(hada|lokr)_\w+")


@dataclass(frozen=True)
class PeftKeys:
    """The tensors of an adapter.

    Attributes
    ----------
    parts : dict of str to dict of str to str
        Names of the factors by module and part.
    left_out : dict of str to str
        Every other tensor, with the reason.
    notes : tuple of str
        What PEFT itself would make of unusual names.
    """

    parts: dict[str, dict[str, str]]
    left_out: dict[str, str]
    notes: tuple[str, ...]


def peft_keys(names: Iterable[str], label: str) -> PeftKeys:
    """Sort the names of the tensors of a PEFT adapter.

    Names with the adapter's name in them, without "base_model.model." and with what
    torch.compile puts in are understood.

    Raises
    ------
    ValueError
        Several adapters in one file, a part of another method, or one part of a module twice.

    Examples
    --------
    >>> found = peft_keys(["base_model.model.fc.lora_A.default.weight", "head.bias"], "a")
    >>> found.parts
    {'fc': {'lora_A': 'base_model.model.fc.lora_A.default.weight'}}
    >>> found.left_out
    {'head.bias': 'a trained bias, which no product of factors holds'}
    """
    parts: dict[str, dict[str, str]] = {}
    left_out: dict[str, str] = {}
    adapters: set[str] = set()
    bare = False
    for name in names:
        plain = _WRAPPERS.sub("", name)
        key = factor_key(plain)
        if key is None or _READ_PARTS.fullmatch(key.part.removesuffix(".bias")) is None:
            if (key is not None and key.format == "peft") or _OTHER_PARTS.search(plain):
                raise ValueError(
                    f"{label} holds {name}, which is no factor of LoRA, GraLoRA, LoHa or LoKr: "
                    "merge the adapter into its base with PEFT (merge_and_unload) and extract the "
                    "difference"
                )
            left_out[name] = _reason(plain)
        elif key.part.endswith(".bias"):
            left_out[name] = _reason(plain)
        else:
            adapters.add(key.adapter)
            bare |= not plain.startswith(_PREFIX)
            _put(parts, key, name, label)
    reject_several_adapters(adapters, label)
    notes = (f"keys lack {_PREFIX!r}: PEFT itself finds no factor under them",) if bare else ()
    return PeftKeys(parts, left_out, notes)


def _put(parts: dict[str, dict[str, str]], key: FactorKey, name: str, label: str) -> None:
    module = key.module.removeprefix(_PREFIX)
    held = parts.setdefault(module, {})
    if key.part in held:
        raise ValueError(f"{label} holds {key.part} of {module} twice: {held[key.part]} and {name}")
    held[key.part] = name


def part_names(module: str, keys: PeftKeys, wanted: tuple[str, ...]) -> list[str]:
    """Return the names of parts of a module, or raise ValueError that says which are not there."""
    held = keys.parts[module]
    if missing := [part for part in wanted if part not in held]:
        raise ValueError(f"{module} has {', '.join(held)}, but no {' and no '.join(missing)}")
    return [held[part] for part in wanted]


def read_parts(
    module: str, keys: PeftKeys, source: TensorSource, wanted: tuple[str, ...]
) -> list[Tensor]:
    """Read parts of a module; see `part_names`."""
    return [source.read(name) for name in part_names(module, keys, wanted)]


def reject_several_adapters(adapters: set[str], label: str) -> None:
    """Raise ValueError where the keys of a file name more than one adapter."""
    if len(adapters) > 1:
        listed = ", ".join(
            repr(name) if name else "one without a name" for name in sorted(adapters)
        )
        raise ValueError(
            f"{label} holds several adapters in one file, {listed}; save each to a file of its own"
        )


def _reason(name: str) -> str:
    if "trainable_tokens" in name:
        return "new values of some tokens of an embedding, which are no product of factors"
    if name.endswith(".bias"):
        return "a trained bias, which no product of factors holds"
    if ".base_layer." in name:
        return "a weight of the base, saved beside its factors"
    return "a whole weight, saved beside the factors (modules_to_save)"
