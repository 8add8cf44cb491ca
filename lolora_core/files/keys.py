"""Names of tensors in adapter files: which format, which module, which part of the update."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = ["FactorKey", "KeyFormat", "factor_key"]

#: Whose spelling a name is: PEFT's (diffusers' new one too), kohya's, diffusers' old one, LyCORIS.
KeyFormat = Literal["peft", "kohya", "diffusers", "lycoris"]

_LYCORIS = (
    r"hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|diff(?:_b)?|oft_\w+|boft_\w+|on_input|"
    r"[ab]1\.weight|[bw]_norm|scalar|rescale"
)
_PARTS: tuple[tuple[KeyFormat, str], ...] = (
    ("peft", r"\.(?P<part>lora_[AB])(?:\.(?P<adapter>[^.]+))?\.(?P<leaf>weight|bias)"),
    ("peft", r"\.(?P<part>lora_embedding_[AB])(?:\.(?P<adapter>[^.]+))?"),
    ("peft", r"\.(?P<part>lora_magnitude_vector)(?:\.(?P<adapter>[^.]+?))?(?:\.weight)?"),
    ("peft", r"\.(?P<part>gralora_[AB])(?:\.(?P<adapter>[^.]+))?"),
    ("peft", r"\.(?P<part>gralora_[AB]_general)(?:\.(?P<adapter>[^.]+))?\.weight"),
    ("kohya", r"\.(?P<part>lora_(?:down|up|mid))\.weight"),
    ("kohya", r"\.(?P<part>alpha|dora_scale)"),
    ("diffusers", r"(?:[._]lora|\.lora_linear_layer)\.(?P<part>down|up)\.weight"),
    ("lycoris", rf"\.(?P<part>{_LYCORIS})"),
)
# The first pattern that fits a whole name says what it is.
_PATTERNS = tuple((name, re.compile(rf"(?P<module>.+?){part}")) for name, part in _PARTS)


class FactorKey(NamedTuple):
    """What the name of a tensor says.

    Attributes
    ----------
    format : {"peft", "kohya", "diffusers", "lycoris"}
    module : str
        As it is spelt, with any prefix.
    part : str
        "lora_A", "lora_down", "alpha", "hada_w1_a", …; with ".bias" behind it for a bias.
    adapter : str
        PEFT's name of the adapter, where it stands in the key; else empty.
    """

    format: KeyFormat
    module: str
    part: str
    adapter: str = ""


def factor_key(name: str) -> FactorKey | None:
    """Return what the name of a tensor says, or None for one that is no part of an adapter.

    Examples
    --------
    >>> factor_key("base_model.model.h.0.q_proj.lora_A.default.weight")
    FactorKey(format='peft', module='base_model.model.h.0.q_proj', part='lora_A', adapter='default')
    >>> factor_key("lora_unet_mid_block_attn1_to_q.lora_down.weight").part
    'lora_down'
    >>> factor_key("h.0.q_proj.weight") is None
    True
    """
    for kind, pattern in _PATTERNS:
        found = pattern.fullmatch(name)
        if found is not None:
            groups = found.groupdict()
            bias = ".bias" if groups.get("leaf") == "bias" else ""
            return FactorKey(
                kind, found["module"], found["part"] + bias, groups.get("adapter") or ""
            )
    return None
