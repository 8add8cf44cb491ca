"""The settings by which other tools state a rank, with their definitions, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lolora_core.explore import conversions
from lolora_core.explore.conversions import Values

__all__ = ["CONVERSIONS", "Conversion"]


@dataclass(frozen=True)
class Conversion:
    """How one setting of another tool states a rank.

    Attributes
    ----------
    name : str
        Key of the setting here, as ``"kohya_sv_fro"``.
    tool : str
    setting : str
        What the tool calls it.
    definition : str
        Which rank a value x of it gives.
    value : callable
        ``(singular_values, rank) -> x or None``.
    rank : callable
        ``(singular_values, x) -> rank``.
    """

    name: str
    tool: str
    setting: str
    definition: str
    value: Callable[[Values, int], float | None]
    rank: Callable[[Values, float], int]


#: Every setting, in the order of the tables that show them.
CONVERSIONS: tuple[Conversion, ...] = (
    Conversion(
        "peft_float_rank",
        "PEFT convert_to_lora",
        "rank (float)",
        "smallest rank whose σ² add up to at least x of all σ²",
        conversions.peft_float_rank,
        conversions.rank_from_peft_float_rank,
    ),
    Conversion(
        "kohya_sv_fro",
        "kohya resize_lora",
        "sv_fro",
        "smallest rank whose Frobenius norm is at least x of the whole, x² of all σ²",
        conversions.kohya_sv_fro,
        conversions.rank_from_kohya_sv_fro,
    ),
    Conversion(
        "kohya_sv_cumulative",
        "kohya resize_lora",
        "sv_cumulative",
        "smallest rank whose σ add up to at least x of all σ",
        conversions.kohya_sv_cumulative,
        conversions.rank_from_kohya_sv_cumulative,
    ),
    Conversion(
        "kohya_sv_ratio",
        "kohya resize_lora",
        "sv_ratio",
        "number of σ above σ_max/x, at least 1",
        conversions.kohya_sv_ratio,
        conversions.rank_from_kohya_sv_ratio,
    ),
    Conversion(
        "lycoris_threshold",
        "LyCORIS extract",
        "threshold",
        "number of σ above x, at least 1; whole layers from half the output side on",
        conversions.lycoris_threshold,
        conversions.rank_from_lycoris_threshold,
    ),
    Conversion(
        "lycoris_ratio",
        "LyCORIS extract",
        "ratio",
        "number of σ above x·σ_max, at least 1; whole layers from half the output side on",
        conversions.lycoris_ratio,
        conversions.rank_from_lycoris_ratio,
    ),
    Conversion(
        "lycoris_quantile",
        "LyCORIS extract",
        "quantile",
        "largest rank whose σ add up to less than x of all σ, at least 1; whole layers from half "
        "the output side on",
        conversions.lycoris_quantile,
        conversions.rank_from_lycoris_quantile,
    ),
    Conversion(
        "mergekit_sv_epsilon",
        "mergekit-extract-lora",
        "--sv-epsilon",
        "number of σ above x, an absolute size; 0 is no limit",
        conversions.mergekit_sv_epsilon,
        conversions.rank_from_mergekit_sv_epsilon,
    ),
)
