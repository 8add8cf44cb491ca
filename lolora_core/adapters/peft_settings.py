"""Settings of a PEFT adapter: those known to be read rightly, everything else refused by name.

What PEFT 0.21 does with each was read in its code, `peft/tuners/*/config.py` and `layer.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lolora_core.common.patterns import Matcher

__all__ = [
    "CARRIED",
    "carried_settings",
    "check_settings",
    "finite_number",
    "pattern_value",
    "positive_alpha",
    "positive_rank",
]

#: Settings that change no ΔW and are written again.
CARRIED = ("auto_mapping", "base_model_name_or_path", "inference_mode", "revision", "task_type")

# Read whatever they say: they take part in ΔW as it is computed here, choose modules, whose names
# stand in the file, tell how training went, or belong to a start that `_STARTS` decides upon.
_COMMON = frozenset(
    {
        *CARRIED,
        "alpha_pattern",
        "exclude_modules",
        "layers_pattern",
        "layers_to_transform",
        "modules_to_save",
        "peft_type",
        "peft_version",
        "r",
        "rank_pattern",
        "target_modules",
    }
)
_READ: dict[str, frozenset[str]] = {
    "LORA": _COMMON
    | {
        "bias",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "fan_in_fan_out",
        "init_lora_weights",
        "loftq_config",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "merge_weights",
        "qalora_group_size",
        "runtime_config",
        "trainable_token_indices",
        "use_rslora",
    },
    "GRALORA": _COMMON
    | {
        "alpha",
        "bias",
        "fan_in_fan_out",
        "gralora_dropout",
        "gralora_k",
        "hybrid_r",
        "init_weights",
    },
    "LOHA": _COMMON
    | {"alpha", "init_weights", "module_dropout", "rank_dropout", "use_effective_conv2d"},
}
_READ["LOKR"] = _READ["LOHA"] | {"decompose_both", "decompose_factor", "rank_dropout_scale"}

# The base stays as it is: "eva" and "mica" choose factors from data and from the base, and one
# of the two factors is zero.
_STARTS = frozenset({"gaussian", "orthogonal", "eva", "mica", "lycoris"})


def _is_off(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def _keeps_base(start: object) -> bool:
    return start is None or isinstance(start, bool) or str(start).lower() in _STARTS


def check_settings(config: Mapping[str, Any], label: str) -> str:
    """Return the type of an adapter whose settings are all known to be read rightly.

    Parameters
    ----------
    config : mapping
        The content of adapter_config.json.
    label : str
        How messages call the adapter.

    Raises
    ------
    ValueError
        Another type than LORA, GRALORA, LOHA and LOKR; a start that changes the base, such as
        PiSSA's; or another setting that makes the update something else.

    Examples
    --------
    >>> check_settings({"peft_type": "LORA", "r": 8, "use_dora": False}, "a")
    'LORA'
    >>> check_settings({"peft_type": "LORA", "use_dora": True}, "a")
    Traceback (most recent call last):
    ValueError: a sets use_dora to true, so its update is not known to be a scaled low-rank \
product; merge it into its base with PEFT (merge_and_unload) and extract the difference
    """
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind not in _READ:
        raise ValueError(f"{label} is a PEFT adapter of type {kind!r}; {', '.join(_READ)} are read")
    name = "init_lora_weights" if kind == "LORA" else "init_weights"
    if not _keeps_base(config.get(name)):
        raise ValueError(
            f"{label} sets {name} to {_shown(config[name])}, and such a start changes the base, so "
            "that its factors are no update of the pretrained weights; convert it with PEFT: "
            "save_pretrained with path_initial_model_for_weight_conversion"
        )
    found = [
        f"{name} to {_shown(value)}"
        for name, value in config.items()
        if name not in _READ[kind] and not _is_off(value)
    ]
    if found:
        raise ValueError(
            f"{label} sets {', '.join(found)}, so its update is not known to be a scaled low-rank "
            "product; merge it into its base with PEFT (merge_and_unload) and extract the "
            "difference"
        )
    return kind


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def carried_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that change no ΔW and are written again.

    Examples
    --------
    >>> carried_settings({"r": 8, "task_type": "CAUSAL_LM", "revision": None})
    {'revision': None, 'task_type': 'CAUSAL_LM'}
    """
    return {name: config[name] for name in CARRIED if name in config}


def pattern_value(patterns: object, module: str, default: Any, matcher: Matcher) -> Any:
    """Return the value of the first key that fits the end of a module's name, as PEFT does.

    Parameters
    ----------
    patterns : mapping of str to value, or anything that is empty
        rank_pattern or alpha_pattern; keys are regular expressions for whole last parts.
    module : str
    default : value
        Where no key fits.
    matcher : Matcher
        One for all modules of a file, so that their time together is bounded.

    Raises
    ------
    ValueError
        A key that is no regular expression, or takes too long.

    Examples
    --------
    >>> matcher = Matcher()
    >>> pattern_value({"q_proj": 4, r"^h.0.k$": 2}, "h.0.q_proj", 8, matcher)
    4
    >>> pattern_value({"proj": 4}, "h.0.q_proj", 8, matcher)
    8
    """
    if isinstance(patterns, Mapping):
        for key, value in patterns.items():
            if matcher.fits(rf"(.*\.)?({key})$", module):
                return value
    return default


def finite_number(value: object, name: str) -> float:
    """Return a setting that must be a number.

    Raises
    ------
    ValueError
        It is something else, or not finite.

    Examples
    --------
    >>> finite_number("8", "lora_alpha")
    Traceback (most recent call last):
    ValueError: lora_alpha must be a finite number; it is '8'
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; it is {value!r}")
    return float(value)


def positive_alpha(alpha: float, rank: int) -> float:
    """Return an alpha that `AdapterConfig` takes; scales of its terms are folded into them.

    Examples
    --------
    >>> positive_alpha(-4.0, 8), positive_alpha(16.0, 8)
    (8.0, 16.0)
    """
    return alpha if alpha > 0 else float(rank)


def positive_rank(value: object, name: str) -> int:
    """Return a setting that must be a rank of 1 or more.

    Raises
    ------
    ValueError
        It is something else.

    Examples
    --------
    >>> positive_rank(0, "r")
    Traceback (most recent call last):
    ValueError: r must be an integer of 1 or more; it is 0
    """
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be an integer of 1 or more; it is {value!r}")
    return value
