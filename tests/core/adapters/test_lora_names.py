"""Names of modules in LoRA files."""

from __future__ import annotations

import pytest

from lolora_core.adapters.lora_names import component_of, components, dotted_name, match_base

# As they stand in published files of Stable Diffusion 1.5, XL, 3, FLUX and their text encoders.
KNOWN = [
    ("lora_unet_conv_in", "conv_in", "unet"),
    ("lora_unet_time_embedding_linear_1", "time_embedding.linear_1", "unet"),
    ("lora_unet_add_embedding_linear_2", "add_embedding.linear_2", "unet"),
    (
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
        "unet",
    ),
    ("lora_unet_down_blocks_0_downsamplers_0_conv", "down_blocks.0.downsamplers.0.conv", "unet"),
    (
        "lora_unet_up_blocks_3_resnets_2_conv_shortcut",
        "up_blocks.3.resnets.2.conv_shortcut",
        "unet",
    ),
    ("lora_unet_mid_block_resnets_0_time_emb_proj", "mid_block.resnets.0.time_emb_proj", "unet"),
    (
        "lora_unet_mid_block_attentions_0_transformer_blocks_9_ff_net_2",
        "mid_block.attentions.0.transformer_blocks.9.ff.net.2",
        "unet",
    ),
    (
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
        "unet",
    ),
    ("lora_unet_output_blocks_0_0_skip_connection", "output_blocks.0.0.skip_connection", "unet"),
    ("lora_unet_double_blocks_0_img_attn_qkv", "double_blocks.0.img_attn.qkv", "unet"),
    ("lora_unet_double_blocks_18_txt_mlp_2", "double_blocks.18.txt_mlp.2", "unet"),
    ("lora_unet_double_blocks_0_img_mod_lin", "double_blocks.0.img_mod.lin", "unet"),
    ("lora_unet_single_blocks_37_modulation_lin", "single_blocks.37.modulation.lin", "unet"),
    ("lora_unet_final_layer_adaLN_modulation_1", "final_layer.adaLN_modulation.1", "unet"),
    (
        "lora_transformer_single_transformer_blocks_0_attn_to_q",
        "single_transformer_blocks.0.attn.to_q",
        "transformer",
    ),
    (
        "lora_transformer_transformer_blocks_0_attn_to_add_out",
        "transformer_blocks.0.attn.to_add_out",
        "transformer",
    ),
    (
        "lora_transformer_time_text_embed_timestep_embedder_linear_1",
        "time_text_embed.timestep_embedder.linear_1",
        "transformer",
    ),
    (
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "text_model.encoder.layers.0.self_attn.q_proj",
        "text_encoder",
    ),
    (
        "lora_te2_text_model_encoder_layers_31_mlp_fc2",
        "text_model.encoder.layers.31.mlp.fc2",
        "text_encoder_2",
    ),
    (
        "lora_te3_encoder_block_0_layer_1_DenseReluDense_wi_0",
        "encoder.block.0.layer.1.DenseReluDense.wi_0",
        "text_encoder_3",
    ),
    ("lora_te_down_proj", "down_proj", "text_encoder"),
    ("lycoris_transformer_blocks_0_attn_to_v", "transformer_blocks.0.attn.to_v", ""),
    ("unet.mid_block.attentions.0.proj_in", "mid_block.attentions.0.proj_in", "unet"),
    ("text_encoder.text_model.x.q_proj", "text_model.x.q_proj", "text_encoder"),
    ("diffusion_model.blocks.0.self_attn.q", "blocks.0.self_attn.q", "unet"),
    ("up.attn1.processor.to_out", "up.attn1.to_out.0", ""),
    ("encoder.layer.0.query", "encoder.layer.0.query", ""),
]


@pytest.mark.parametrize(("module", "dotted", "component"), KNOWN)
def test_names_without_a_base(module: str, dotted: str, component: str) -> None:
    assert dotted_name(module) == dotted
    assert component_of(module) == component


@pytest.mark.parametrize("module", ["lora_unet_blocks_0_own", "lora_te_x", "lora_unet_to_q_to"])
def test_a_word_that_is_not_known_gives_no_name(module: str) -> None:
    assert dotted_name(module) is None


def test_a_base_settles_words_that_are_not_known() -> None:
    base = ["own.thing_1.to_q", "own.thing.1.to_k", "unet.other"]
    found = match_base(
        ["lora_unet_own_thing_1_to_q", "lora_unet_own_thing_1_to_k", "lora_unet_other"], base
    )
    assert found == {
        "lora_unet_own_thing_1_to_q": "own.thing_1.to_q",
        "lora_unet_own_thing_1_to_k": "own.thing.1.to_k",
        "lora_unet_other": "unet.other",
    }


def test_a_base_with_a_prefix_and_two_text_encoders() -> None:
    base = [
        "model.diffusion_model.input_blocks.1.0.in_layers.2",
        "text_encoder.text_model.layers.0.q_proj",
        "text_encoder_2.text_model.layers.0.q_proj",
    ]
    modules = [
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_te1_text_model_layers_0_q_proj",
        "text_encoder_2.text_model.layers.0.q_proj",
    ]
    assert match_base(modules, base) == dict(zip(modules, base, strict=True))


def test_what_is_ambiguous_is_not_matched() -> None:
    assert match_base(["lora_unet_a_b"], ["x.a.b", "y.a.b"]) == {}
    assert match_base(["lora_unet_a_b"], ["a.b", "y.a.b"]) == {"lora_unet_a_b": "a.b"}


def test_components_keep_the_order_of_the_names() -> None:
    assert components(["unet.b", "lora_te_x", "unet.a"]) == {
        "unet": ("unet.b", "unet.a"),
        "text_encoder": ("lora_te_x",),
    }
