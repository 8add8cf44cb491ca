"""The role of each tensor of a file, from its name, dtype and number of axes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from lolora_core.common.names import printable
from lolora_core.files.header import STORED_DTYPES, TensorInfo
from lolora_core.files.keys import factor_key

__all__ = ["Role", "TensorGroup", "counted", "groups_of", "role_of"]

Role = Literal[
    "factors",
    "scales of factors",
    "weights under an adapter",
    "parts of a PEFT adapter",
    "states of an optimizer",
    "packed weights",
    "scales of packed weights",
    "embeddings",
    "matrices",
    "tensors of 3 or more axes",
    "norms, biases and other vectors",
    "single numbers",
    "integers",
]

#: What PEFT's methods other than LoRA and GraLoRA call their parameters.
_PEFT_PART = re.compile(
    r"(?:^|\.)(?:adamss|adaption_prompt|beft|boft|bone|c3a|cartridge|cpt|deft|delora|fourierft|frod"
    r"|glora|hada|hira|hra|ia3|lily|ln_tuning|lokr|lora|miss|multitask_prompt_tuning|oft|osf|p_tuning"
    r"|peanut|poly|prefix_tuning|prompt_tuning|psoft|pvera|randlora|ranknum|road|shadow|shira"
    r"|supertuning|tinylora|trainable_tokens|unilora|vblora|vera|waveft|xlora)_?\w*(?:\.|$)"
    r"|(?:^|\.)(?:prompt_embeddings|prefix_embeddings)$"
)
_OPTIMIZER = re.compile(r"(?:^|\.)(?:max_)?(?:exp_avg(?:_sq)?|momentum_buffer)(?:\.|$)")
_PACKED = re.compile(r"\.(?:qweight|weight_packed)$")
_SCALES = re.compile(
    r"\.(?:qzeros|scales|g_idx|SCB|weight_format|weight_scale(?:_2)?|\w+_scale_inv|input_scale"
    r"|activation_scale|output_scale|[kv]_scale|scale_weight|scale_input"
    r"|weight_(?:shape|zero_point|g_idx|global_scale)|input_global_scale"
    r"|(?:weight\.)?(?:(?:nested_)?(?:absmax|quant_map)|quant_state\.\w+))$"
    r"|^scaled_fp8$"
)
_EMBEDDING = re.compile(
    r"(?:^|[._])(?:embed_tokens|embed_positions|tok_embeddings|embeddings?|wte|wpe|shared|lm_head)"
    r"\.weight$|_embeddings\.weight$|(?:^|\.)(?:class|position)_embed\w*$"
)
# Parts that a tensor of a model could be called as well.
_WEAK = frozenset(
    {
        *("alpha", "dora_scale", "scalar", "rescale", "on_input"),
        *("w_norm", "b_norm", "a1.weight", "b1.weight"),
    }
)


class TensorGroup(NamedTuple):
    """The tensors of one role.

    Attributes
    ----------
    role : str
    tensors, parameters, nbytes : int
        How many, their entries, and their bytes.
    dtypes : dict of str to int
        How many tensors of each, the most usual first.
    shapes : dict of tuple to int
        The same of the shapes.
    """

    role: Role
    tensors: int
    parameters: int
    nbytes: int
    dtypes: dict[str, int]
    shapes: dict[tuple[int, ...], int]


def role_of(info: TensorInfo) -> Role:
    """Return the role of a tensor.

    A name alone does not make a scale of an adapter: a model may have an ``alpha`` too.

    Examples
    --------
    >>> role_of(TensorInfo("lora_unet_mid.lora_down.weight", "F16", (4, 8), (), ""))
    'factors'
    >>> role_of(TensorInfo("h.0.ln.bias", "F32", (8,), (), ""))
    'norms, biases and other vectors'
    """
    name = info.name
    if ".base_layer." in name:
        return "weights under an adapter"
    key = factor_key(name)
    if key is not None and not name.startswith("base_model.") and key.format == "lycoris":
        weak = key.part in _WEAK and not name.startswith(("lora_", "lycoris_"))
        return "scales of factors" if weak else "factors"
    if key is not None and key.format != "lycoris":
        return "scales of factors" if key.part in _WEAK else "factors"
    if name.startswith("base_model.") or name in ("prompt_embeddings", "prefix_embeddings"):
        part = name.removeprefix("base_model.").removeprefix("model.")
        if _PEFT_PART.search(part):
            return "parts of a PEFT adapter"
    if _OPTIMIZER.search(name):
        return "states of an optimizer"
    if _SCALES.search(name):
        return "scales of packed weights"
    if _PACKED.search(name) or (name.endswith("_blocks") and info.dtype == "U8"):
        return "packed weights"
    if name.endswith("_scales") and info.dtype == "U8":
        return "scales of packed weights"
    return _plain_role(info)


def _plain_role(info: TensorInfo) -> Role:
    axes = len(info.shape)
    if info.dtype.startswith(("I", "U", "B")) and info.dtype != "BF16":
        small = info.dtype in ("I8", "U8") and axes >= 2
        return "packed weights" if small and info.name.endswith(".weight") else "integers"
    if axes < 2:
        return "norms, biases and other vectors" if axes else "single numbers"
    if _EMBEDDING.search(info.name):
        return "embeddings"
    return "matrices" if axes == 2 else "tensors of 3 or more axes"


def groups_of(tensors: Mapping[str, TensorInfo]) -> dict[Role, tuple[str, ...]]:
    """Return the names of the tensors of each role, in the order of the file."""
    found: dict[Role, list[str]] = {}
    for name, info in tensors.items():
        found.setdefault(role_of(info), []).append(name)
    return {role: tuple(names) for role, names in found.items()}


def counted(words: str, names: tuple[str, ...]) -> str:
    """Return how many tensors there are of something, and the first.

    Examples
    --------
    >>> counted("factors", ("a.up", "a.down"))
    '2 factors, such as a.up'
    """
    if len(names) == 1:
        return f"{words}: {printable(names[0])}"
    return f"{len(names)} {words}, such as {printable(names[0])}"


def measure_group(role: Role, infos: Iterable[TensorInfo]) -> TensorGroup:
    """Count the tensors of one role, their entries, bytes, dtypes and shapes."""
    held = list(infos)
    entries = [math.prod(info.shape) for info in held]
    bits = [STORED_DTYPES[info.dtype].bits if info.dtype in STORED_DTYPES else 0 for info in held]
    return TensorGroup(
        role,
        len(held),
        sum(entries),
        sum(n * each // 8 for n, each in zip(entries, bits, strict=True)),
        dict(Counter(info.dtype for info in held).most_common()),
        dict(Counter(info.shape for info in held).most_common()),
    )
