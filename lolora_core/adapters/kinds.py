"""What kind of module a weight belongs to, decided from evidence in the checkpoint.

A tensor file holds names and shapes, not classes. What tells them apart: nn.Linear stores
[out, in] and its bias has as many values as the weight has rows; transformers' Conv1D stores
[in, out] and always has a bias, with as many values as columns; nn.Embedding never has one; a
convolution has three axes or more. The model's config.json states the sizes of embeddings.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.files.header import TensorInfo

__all__ = ["CONV1D_MODELS", "CONV1D_NAMES", "WeightKind", "matrix_shape", "weight_kinds"]

#: Models of transformers 5 whose layers are Conv1D.
CONV1D_MODELS = frozenset({"clvp", "decision_transformer", "gpt2", "imagegpt", "openai-gpt"})
#: Last parts of the names of their layers.
CONV1D_NAMES = frozenset({"c_attn", "c_proj", "c_fc", "q_attn"})
# What embeddings of transformers are called; the last part of a module's name.
_EMBEDDINGS = re.compile(
    r"wte|wpe|shared|embed_in|embed_tokens|embed_positions|tok_embeddings|tokens_embed|"
    r"positions_embed|relative_attention_bias|(word|token|position|token_type|segment|tok)"
    r"_embed(ding)?s?(_\d+)?|entity_embeddings|distance_embedding"
)
_LIKE_EMBEDDING = re.compile(r"emb(ed(ding)?s?)?$|embed|_emb(_|$)|codebook")
_HEADS = re.compile(
    r"(.+\.)?(lm_head|embed_out|output_projection|lm_loss|vocab_projector|generator_lm_head|"
    r"lm_head\.(decoder|out_proj)|predictions\.decoder|pred_layer\.proj)"
)
# At the top of a model these are heads; inside one they are not.
_TOP_HEADS = re.compile(r"(proj_out|output|decoder|head)")
# Sizes in config.json that are the rows of an embedding.
_SIZES = ("vocab_size", "type_vocab_size", "max_position_embeddings", "n_positions", "n_ctx")
_EXPERTS = re.compile(r"(^|[._])(experts?|moe)([._]|$)")
_LONGEST_KERNEL = 64

_TIED = (
    "the embedding of the tokens and the output head are tied (tie_word_embeddings), and PEFT "
    "would change one of them only; leave it out with --exclude"
)
_UNHEARD = (
    "the output of an nn.MultiheadAttention, which reads this weight itself: an adapter here would "
    "do nothing"
)


class WeightKind(NamedTuple):
    """The kind of one weight and how it is known.

    Attributes
    ----------
    stored : Stored
        Of kind "unclear" where the evidence does not decide.
    why : str
        The evidence; where it is unclear, what would settle it.
    all_linear : bool
        "all-linear" means it, as in PEFT: linear layers and Conv1D, but no output head.
    """

    stored: Stored
    why: str
    all_linear: bool = False


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape in which a weight is looked at as a matrix: (out, in·k_h·k_w).

    Examples
    --------
    >>> matrix_shape((8, 4, 3, 3)), matrix_shape((8, 4))
    ((8, 36), (8, 4))
    """
    return shape[0], math.prod(shape[1:])


def weight_kinds(
    tensors: Mapping[str, TensorInfo], config: Mapping[str, Any] | None = None
) -> dict[str, WeightKind]:
    """Return the kind of every module whose weight has two axes or more, by module name.

    Parameters
    ----------
    tensors : mapping of str to TensorInfo
        All of a checkpoint, for biases and shapes are evidence.
    config : mapping, optional
        The model's config.json.

    Examples
    --------
    >>> from lolora_core.files.header import TensorInfo
    >>> def info(name, *shape):
    ...     return name, TensorInfo(name, "F32", shape, (), "")
    >>> found = weight_kinds(dict([info("fc.weight", 4, 8), info("fc.bias", 4),
    ...     info("c_fc.weight", 4, 16), info("c_fc.bias", 16), info("wte.weight", 50, 4)]))
    >>> {name: kind.stored.kind for name, kind in found.items()}
    {'fc': 'linear', 'c_fc': 'conv1d', 'wte': 'embedding'}
    """
    return _Evidence(tensors, config or {}).kinds()


class _Evidence:
    """What the checkpoint as a whole says, gathered once."""

    def __init__(self, tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> None:
        weights = {
            n.removesuffix(".weight"): t.shape for n, t in tensors.items() if n[-7:] == ".weight"
        }
        self.weights = {n: s for n, s in weights.items() if len(s) >= 2 and 0 not in s}
        self.biases = {
            n.removesuffix(".bias"): t.shape for n, t in tensors.items() if n[-5:] == ".bias"
        }
        # The parent of the projections of an nn.MultiheadAttention.
        self.attention = {
            n[: -len("in_proj_weight")] for n in tensors if n.endswith("in_proj_weight")
        }
        settings = [config, *(v for v in config.values() if isinstance(v, Mapping))]
        self.sizes = {s[key] for s in settings for key in _SIZES if isinstance(s.get(key), int)}
        self.vocabularies = {
            s["vocab_size"] for s in settings if isinstance(s.get("vocab_size"), int)
        }
        self.model_type = str(config.get("model_type", ""))
        self.tied = self._tied(config)
        self.by_name: Counter[tuple[str, str]] = Counter()
        self.overall: Counter[str] = Counter()
        for name, shape in self.weights.items():
            kind = self._by_bias(name, shape)
            if kind is not None:
                self.by_name[_last(name), kind] += 1
                self.overall[kind] += 1

    def _tied(self, config: Mapping[str, Any]) -> bool:
        """Return whether the output head is the embedding of the tokens."""
        stated = config.get("tie_word_embeddings")
        if stated is not None:
            return bool(stated)
        # Most models tie where nothing is stated; a head of its own would be in the file.
        names = [str(name) for name in config.get("architectures") or ()]
        language = any(re.search(r"LMHead|ForCausalLM|ForConditional|MaskedLM", n) for n in names)
        return language and not any(_HEADS.fullmatch(name) for name in self.weights)

    def kinds(self) -> dict[str, WeightKind]:
        return {name: self._kind(name, shape) for name, shape in self.weights.items()}

    def _by_bias(self, name: str, shape: tuple[int, ...]) -> str | None:
        bias = self.biases.get(name)
        if len(shape) != 2 or bias is None or len(bias) != 1 or shape[0] == shape[1]:
            return None
        return {shape[0]: "linear", shape[1]: "conv1d"}.get(bias[0])

    def _kind(self, name: str, shape: tuple[int, ...]) -> WeightKind:
        if len(shape) > 2:
            return self._convolution(name, shape)
        bias = self.biases.get(name)
        if bias is not None:
            return self._with_bias(name, shape, bias)
        if self._is_embedding(name, shape):
            why = "an embedding: no bias, and named as embeddings are"
            if shape[0] in self.sizes:
                why = f"an embedding: no bias, and config.json states {shape[0]:,} rows"
            tied = self.tied and shape[0] in self.vocabularies
            return WeightKind(Stored("embedding", doubt=_TIED if tied else ""), why)
        if _LIKE_EMBEDDING.search(_last(name)) and not self._is_head(name, shape):
            doubt = (
                "no bias and a name like that of an embedding: an nn.Embedding, or an nn.Linear "
                "without bias. config.json beside the base, with the sizes of its embeddings, "
                "or --target and --exclude settle it"
            )
            return WeightKind(Stored("unclear", doubt=doubt), doubt)
        return self._linear(name, shape, "no bias, which a Conv1D always has")

    def _with_bias(self, name: str, shape: tuple[int, ...], bias: tuple[int, ...]) -> WeightKind:
        known = self._by_bias(name, shape)
        if known is not None:
            axis = "rows" if known == "linear" else "columns"
            why = f"its bias has {bias[0]:,} values, as many as its {axis}"
            return self._linear(name, shape, why) if known == "linear" else _conv1d(why)
        if bias != (shape[0],):
            doubt = (
                f"its bias has the shape {bias}, which fits neither its {shape[0]:,} rows nor its "
                f"{shape[1]:,} columns; leave it out with --exclude"
            )
            return WeightKind(Stored("unclear", doubt=doubt), doubt)
        # A square weight: its own bias fits both ways.
        alike = {kind for last, kind in self.by_name if last == _last(name)}
        if len(alike) == 1:
            why = f"square, and every other {_last(name)} is stored so"
            return _conv1d(why) if alike == {"conv1d"} else self._linear(name, shape, why)
        conv1d_name = _last(name) in CONV1D_NAMES
        if self.model_type in CONV1D_MODELS and conv1d_name:
            return _conv1d(f"config.json says {self.model_type}, whose {_last(name)} is a Conv1D")
        if self.model_type and not conv1d_name:
            return self._linear(name, shape, f"a layer of {self.model_type} that is no Conv1D")
        if self.model_type or (self.overall and not self.overall["conv1d"]):
            return self._linear(name, shape, "square, and no layer of this checkpoint is a Conv1D")
        if self.overall and not self.overall["linear"]:
            return _conv1d("square, and every layer of this checkpoint with a bias is a Conv1D")
        if not self.overall and not conv1d_name:
            return self._linear(name, shape, "square, and nothing here is stored [in, out]")
        doubt = (
            "square, so its bias does not tell whether it is stored [out, in] or [in, out] as "
            "transformers' Conv1D. config.json beside the base, with its model_type, settles it"
        )
        return WeightKind(Stored("unclear", doubt=doubt), doubt)

    def _linear(self, name: str, shape: tuple[int, ...], why: str) -> WeightKind:
        if self._is_head(name, shape):
            stored = Stored("linear", doubt=_TIED) if self.tied else LINEAR
            return WeightKind(stored, "the output head, which all-linear leaves out")
        parent, _, last = name.rpartition(".")
        if last == "out_proj" and f"{parent}." in self.attention:
            return WeightKind(Stored("linear", doubt=_UNHEARD), _UNHEARD)
        return WeightKind(LINEAR, why, all_linear=True)

    def _is_head(self, name: str, shape: tuple[int, ...]) -> bool:
        if _HEADS.fullmatch(name):
            return not self.vocabularies or shape[0] in self.vocabularies
        return bool(_TOP_HEADS.fullmatch(name)) and shape[0] in self.vocabularies

    def _is_embedding(self, name: str, shape: tuple[int, ...]) -> bool:
        last = _last(name)
        if _EMBEDDINGS.fullmatch(last):
            return True
        # BART and its kin add two rows to their positions.
        sizes = self.sizes | {size + 2 for size in self.sizes}
        return (
            bool(_LIKE_EMBEDDING.search(last))
            and shape[0] in sizes
            and not self._is_head(name, shape)
        )

    def _convolution(self, name: str, shape: tuple[int, ...]) -> WeightKind:
        kernel, bias = shape[2:], self.biases.get(name)
        doubt = ""
        if _EXPERTS.search(name) or max(kernel) > _LONGEST_KERNEL:
            doubt = f"a stack of matrices of shape {shape}, not the weight of one layer"
        elif bias is not None and bias != (shape[0],):
            doubt = "a transposed convolution by its bias, which PEFT does not adapt"
        elif shape[1] == 1 and shape[0] > 1:
            doubt = "a convolution of one input channel, or one in groups: the file does not say"
        if doubt:
            return WeightKind(Stored("unclear", doubt=doubt), doubt)
        return WeightKind(
            Stored("conv", kernel), f"a convolution, kernel {'×'.join(map(str, kernel))}"
        )


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _conv1d(why: str) -> WeightKind:
    return WeightKind(Stored("conv1d"), why, all_linear=True)
