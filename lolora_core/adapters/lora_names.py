"""Names of modules in LoRA files: kohya's with underscores, diffusers' with prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = [
    "component_of",
    "components",
    "dotted_name",
    "is_kohya_name",
    "kohya_names",
    "match_base",
]

#: What kohya's prefixes stand for, in diffusers' words.
_KOHYA = {
    "lora_unet": "unet",
    "lora_te": "text_encoder",
    "lora_te1": "text_encoder",
    "lora_te2": "text_encoder_2",
    "lora_te3": "text_encoder_3",
    "lora_transformer": "transformer",
    "lora_prior_unet": "prior",
    "lora_prior_te": "text_encoder",
    "lycoris": "",
}
_KOHYA_NAME = re.compile(
    rf"(?P<prefix>{'|'.join(sorted(_KOHYA, key=len, reverse=True))})_(?P<rest>.+)"
)
_PREFIXES = {
    "unet": "lora_unet",
    "transformer": "lora_transformer",
    "text_encoder": "lora_te",
    "text_encoder_2": "lora_te2",
    "text_encoder_3": "lora_te3",
    "prior": "lora_prior_unet",
}
# How the parts of a pipeline begin in one file: diffusers' words, and those of other programs.
_DIFFUSERS = {
    "unet": "unet",
    "transformer": "transformer",
    "transformer_2": "transformer_2",
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "text_encoder_3": "text_encoder_3",
    "prior": "prior",
    "vae": "vae",
    "diffusion_model": "unet",
}
# Modules of diffusers, transformers and the first Stable Diffusion whose names hold underscores,
# and the words between them. Numbers stand for themselves.
_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        add_embedding add_k_proj add_q_proj add_v_proj attentions attn attn1 attn2 block blocks
        caption_projection class_embedding context_embedder conv conv1 conv2 conv_in conv_out
        conv_shortcut down_blocks downsamplers ff ff_context guidance_embedder
        joint_attention_blocks linear linear_1 linear_2 lin mid_block motion_modules net norm
        norm1 norm1_context norm2 norm_out patch_embed proj proj_in proj_mlp proj_out resnets
        single_transformer_blocks temporal_transformer_blocks temp_attentions temp_convs
        text_embedder time_emb_proj time_embed time_embedding time_embedder time_proj
        time_text_embed timestep_embedder to_add_out to_k to_out to_q to_v transformer_blocks
        up_blocks upsamplers x_embedder text_proj ffn DenseReluDense SelfAttention EncDecAttention
        c_attn c_fc c_proj dense embed_tokens embeddings encoder decoder fc1 fc2 k_proj layer
        layers mlp model o_proj out_proj position_embedding q_proj self_attn cross_attn shared
        text_model text_projection token_embedding transformer v_proj vision_model
        visual_projection wi wi_0 wi_1 wo gate_proj up_proj down_proj q k v o h resblocks
        diffusion_model double_blocks emb_layers final_layer img_attn img_in img_mlp img_mod
        in_layer in_layers input_blocks label_emb linear1 linear2 middle_block modulation op out
        out_layer out_layers output_blocks qkv single_blocks skip_connection time_in txt_attn
        txt_in txt_mlp txt_mod vector_in adaLN_modulation guidance_in attention feed_forward w1 w2
        w3
        """,
    )
)
_LONGEST = max(word.count("_") for word in _WORDS) + 1


def is_kohya_name(module: str) -> bool:
    """Return whether a module is spelt with underscores and a prefix of kohya's or LyCORIS'.

    Examples
    --------
    >>> is_kohya_name("lora_te1_text_model_encoder_layers_0_mlp_fc1"), is_kohya_name("lora_unet.x")
    (True, False)
    """
    return "." not in module and _KOHYA_NAME.fullmatch(module) is not None


def component_of(module: str) -> str:
    """Return the part of a pipeline that a module belongs to; empty where its name does not tell.

    Examples
    --------
    >>> component_of("lora_te2_text_model_encoder_layers_0_mlp_fc1")
    'text_encoder_2'
    >>> component_of("unet.mid_block.attentions.0.proj_in"), component_of("model.layers.0.mlp")
    ('unet', '')
    """
    return _parts(module)[0]


def components(modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the modules of each part of a pipeline, in their order.

    Examples
    --------
    >>> components(["lora_unet_conv_in", "lora_te_text_model_embeddings", "lora_unet_conv_out"])
    {'unet': ('lora_unet_conv_in', 'lora_unet_conv_out'), \
'text_encoder': ('lora_te_text_model_embeddings',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for module in modules:
        component = component_of(module)
        found[component] = (*found.get(component, ()), module)
    return found


def _parts(module: str) -> tuple[str, str]:
    """Return the component of a module and its name within it, as it is spelt."""
    kohya = None if "." in module else _KOHYA_NAME.fullmatch(module)
    if kohya is not None:
        return _KOHYA[kohya["prefix"]], kohya["rest"]
    first, dot, rest = module.partition(".")
    return (_DIFFUSERS[first], rest) if dot and first in _DIFFUSERS else ("", module)


def dotted_name(module: str) -> str | None:
    """Return a module's name within its component with dots; None where a word is not known.

    kohya writes "down_blocks.0.attentions.1" as "down_blocks_0_attentions_1". The longest known
    word is taken first, and less where that leads nowhere.

    Examples
    --------
    >>> dotted_name("lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_ff_net_0_proj")
    'down_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj'
    >>> dotted_name("unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out")
    'mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0'
    >>> dotted_name("lora_unet_down_blocks_0_own_invention") is None
    True
    """
    _, rest = _parts(module)
    if not is_kohya_name(module):
        # Processors of old diffusers hold the factors of the projections beside them.
        plain = rest.replace(".processor.", ".")
        return f"{plain}.0" if plain != rest and plain.endswith(".to_out") else plain
    words = _split(rest.split("_"), 0, {})
    return None if words is None else ".".join(words)


def _split(
    tokens: list[str], start: int, known: dict[int, tuple[str, ...] | None]
) -> tuple[str, ...] | None:
    if start == len(tokens):
        return ()
    if start not in known:
        known[start] = None
        for end in range(min(len(tokens), start + _LONGEST), start, -1):
            word = "_".join(tokens[start:end])
            if word in _WORDS or (end == start + 1 and word.isdecimal()):
                rest = _split(tokens, end, known)
                if rest is not None:
                    known[start] = (word, *rest)
                    break
    return known[start]


def match_base(modules: Iterable[str], base: Iterable[str]) -> dict[str, str]:
    """Return the module of a base that each module of a LoRA file means, where that is certain.

    A name means the one whose end it is, with "." written as "_" where the file does so. Where
    several end alike, as in the text encoders of a pipeline, the component decides.

    Parameters
    ----------
    modules : iterable of str
        As the file spells them.
    base : iterable of str
        Dotted names of the base's modules.

    Examples
    --------
    >>> base = ["text_encoder.text_model.q_proj", "text_encoder_2.text_model.q_proj", "up.proj_in"]
    >>> match_base(["lora_te2_text_model_q_proj", "lora_unet_up_proj_in", "lora_unet_to_q"], base)
    {'lora_te2_text_model_q_proj': 'text_encoder_2.text_model.q_proj', \
'lora_unet_up_proj_in': 'up.proj_in'}
    """
    ends: dict[str, list[str]] = {}
    for name in base:
        parts = name.split(".")
        for start in range(len(parts)):
            ends.setdefault("_".join(parts[start:]), []).append(name)
    found = {}
    for module in modules:
        component, rest = _parts(module)
        spelt = rest if is_kohya_name(module) else (dotted_name(module) or rest)
        hits = ends.get(spelt.replace(".", "_"), [])
        if len(hits) > 1:
            hits = [name for name in hits if component_of(name) == component] or hits
        if len(hits) > 1:
            whole = spelt.replace(".", "_")
            hits = [name for name in hits if _parts(name)[1].replace(".", "_") == whole] or hits
        if len(hits) == 1:
            found[module] = hits[0]
    return found


def kohya_names(modules: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the names of modules as kohya spells them; those that are spelt so already stay.

    Parameters
    ----------
    modules : iterable of str
    prefix : str
        For a module whose name does not tell its component: "lora_unet", "lora_te", …

    Raises
    ------
    ValueError
        A prefix that kohya does not know, or two modules of one name.

    Examples
    --------
    >>> kohya_names(["mid_block.attentions.0.proj_in", "text_encoder.layers.0.mlp"], "lora_unet")
    {'mid_block.attentions.0.proj_in': 'lora_unet_mid_block_attentions_0_proj_in', \
'text_encoder.layers.0.mlp': 'lora_te_layers_0_mlp'}
    """
    if prefix not in _KOHYA:
        raise ValueError(f"prefix must be one of {', '.join(_KOHYA)}; it is {prefix!r}")
    listed = list(modules)
    several = any(component_of(module) == "text_encoder_2" for module in listed)
    own = _PREFIXES | ({"text_encoder": "lora_te1"} if several else {})
    found: dict[str, str] = {}
    for module in listed:
        name = module
        if not is_kohya_name(module):
            rest = dotted_name(module) or module
            name = f"{own.get(component_of(module), prefix)}_{rest.replace('.', '_')}"
        found[module] = name
    taken: dict[str, str] = {}
    for module, name in found.items():
        if name in taken:
            raise ValueError(f"{taken[name]} and {module} would both be named {name}")
        taken[name] = module
    return found
