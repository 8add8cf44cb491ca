"""Which modules of a PEFT adapter are Conv1D of transformers, so that ΔW is (B·A)ᵀ.

PEFT looks at the class of each module when it opens an adapter. The file says fan_in_fan_out, once,
and that is the flag of the last module that was wrapped: for a GPT-2 with an adapted output head
it is false although all other modules are Conv1D.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lolora_core.adapters.kinds import CONV1D_MODELS, CONV1D_NAMES
from lolora_core.adapters.stored import Stored
from lolora_core.files.json_files import read_json

__all__ = ["peft_stored"]

_CONV1D = Stored("conv1d")


def peft_stored(
    config: Mapping[str, Any], modules: Iterable[str]
) -> tuple[dict[str, Stored], tuple[str, ...]]:
    """Return the modules whose weights are stored [in, out], and notes on what is uncertain.

    The base decides where the settings tell what it is: by the class of its model, or by a local
    folder with its config.json. Else fan_in_fan_out does.

    Examples
    --------
    >>> base = {"base_model_class": "GPT2LMHeadModel", "parent_library": "transformers.models.gpt2"}
    >>> config = {"fan_in_fan_out": False, "auto_mapping": base}
    >>> found, notes = peft_stored(config, ["h.0.attn.c_attn", "lm_head"])
    >>> list(found), notes
    (['h.0.attn.c_attn'], ())
    """
    listed = list(modules)
    named = [module for module in listed if module.rpartition(".")[2] in CONV1D_NAMES]
    known = _has_conv1d(config)
    if known is not None:
        return (dict.fromkeys(named, _CONV1D) if known else {}), ()
    flag = bool(config.get("fan_in_fan_out"))
    notes: tuple[str, ...] = ()
    if flag and len(named) < len(listed):
        notes = (_doubt("true", "every module is read as stored [in, out]"),)
    elif named and not flag and len(named) < len(listed):
        notes = (_doubt("false", "every module is read as stored [out, in]"),)
    return (dict.fromkeys(listed, _CONV1D) if flag else {}), notes


def _doubt(flag: str, reading: str) -> str:
    return (
        f"fan_in_fan_out is {flag}, which PEFT saves for the last module only; {reading}. If some "
        "are not, their updates are transposed: give the base beside the adapter"
    )


def _has_conv1d(config: Mapping[str, Any]) -> bool | None:
    """Return whether the base is a model of Conv1D layers; None where nothing tells."""
    mapping = config.get("auto_mapping")
    if isinstance(mapping, Mapping) and isinstance(mapping.get("base_model_class"), str):
        name = mapping["base_model_class"].lower()
        if str(mapping.get("parent_library")).startswith("transformers."):
            return name.startswith(tuple(_plain(model) for model in CONV1D_MODELS))
    base = config.get("base_model_name_or_path")
    if isinstance(base, str) and base and (Path(base) / "config.json").is_file():
        model = read_json(Path(base) / "config.json").get("model_type")
        return model in CONV1D_MODELS if isinstance(model, str) else None
    return None


def _plain(model_type: str) -> str:
    return model_type.replace("-", "").replace("_", "")
