"""Names of modules for PEFT, which adapts one model at a time and spells names with dots."""

from __future__ import annotations

from dataclasses import replace

from lolora_core.adapters.lora_names import components, dotted_name, is_kohya_name
from lolora_core.adapters.sets import AdapterSet

__all__ = ["by_component"]


def by_component(adapters: AdapterSet) -> dict[str, AdapterSet]:
    """Return the adapters of each part of a pipeline with the names of its modules.

    Names of a model stay as they are, under the component "".

    Raises
    ------
    ValueError
        A name of kohya's in which a word is not known, or two modules of one name.

    Examples
    --------
    >>> from lolora_core.adapters import AdapterConfig
    >>> names = ["lora_unet_mid_block_attentions_0_proj_in", "lora_te_text_model_q_proj"]
    >>> terms = dict.fromkeys(names, ())
    >>> found = by_component(AdapterSet(AdapterConfig(rank=1), terms, spelling="file"))
    >>> {part: list(held.terms) for part, held in found.items()}
    {'unet': ['mid_block.attentions.0.proj_in'], 'text_encoder': ['text_model.q_proj']}
    """
    if adapters.spelling == "model" and not any(map(is_kohya_name, adapters.terms)):
        return {"": adapters}
    found = {}
    for component, modules in components(adapters.terms).items():
        names = {module: dotted_name(module) for module in modules}
        for module, name in names.items():
            if name is None:
                raise ValueError(
                    f"{module} is spelt with underscores, and it is not certain where PEFT needs "
                    "dots; give the base too, whose names tell: lolora extract BASE FILE"
                )
        if len(set(names.values())) < len(names):
            raise ValueError(f"two modules of {component or 'the file'} have one name with dots")
        spelt = {name: module for module, name in names.items() if name is not None}
        found[component] = replace(
            adapters,
            terms={name: adapters.terms[module] for name, module in spelt.items()},
            stored={
                name: adapters.stored[module]
                for name, module in spelt.items()
                if module in adapters.stored
            },
            spelling="model",
        )
    return found
