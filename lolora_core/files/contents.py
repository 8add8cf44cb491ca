"""What a file is: a model, updates, an adapter, packed weights, decided from its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lolora_core.common.names import printable
from lolora_core.files.header import TensorInfo
from lolora_core.files.keys import factor_key
from lolora_core.files.packed import UNPACK, Packed, packed_weights
from lolora_core.files.roles import Role, TensorGroup, counted, groups_of, measure_group

__all__ = ["IS_UPDATE", "Contents", "ContentsKind", "classify", "is_marked_update"]

#: "model" weights; "update" ΔW by name; "matrices" either of the two; "own" an adapter of
#: `save_adapters`; "peft" one of PEFT; "factors" a file of kohya, diffusers or LyCORIS; "unmerged"
#: a model with adapters in it; "packed" quantised weights; "other" what holds no weights.
ContentsKind = Literal[
    "model",
    "update",
    "matrices",
    "own",
    "peft",
    "factors",
    "unmerged",
    "packed",
    "other",
]

#: The entry of safetensors' metadata that says that the tensors are updates ΔW.
IS_UPDATE = ("lolora", "update")

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_DIFFUSERS = re.compile(
    r"(?:unet|transformer(?:_\d)?|text_encoder(?:_\d)?|prior|vae|controlnet|(?:model\.)?"
    r"diffusion_model)\."
)
_PEFT_WORDS = {"LORA": "a LoRA of PEFT", "GRALORA": "a GraLoRA of PEFT"}
# MLX, torchtune and XLabs spell factors in ways of their own.
_LIKE_FACTOR = re.compile(r"(?:^|[._])lora")
_NEW_TOKENS = frozenset({"emb_params", "clip_l", "clip_g", "t5xxl"})
_FACTOR_WORDS = {
    "kohya": "a LoRA in kohya's format",
    "diffusers": "a LoRA in diffusers' format",
    "loha": "a LoHa of LyCORIS",
    "lokr": "a LoKr of LyCORIS",
    "diff": "differences of whole weights, as LyCORIS writes them",
    "oft": "an OFT of LyCORIS",
    "boft": "a BOFT of LyCORIS",
    "ia3": "an IA3 of LyCORIS",
    "norm": "trained norms, as LyCORIS writes them",
    "glora": "a GLoRA of LyCORIS",
}
_LYCORIS_METHODS = (
    ("hada_", "loha"),
    ("lokr_", "lokr"),
    ("diff", "diff"),
    ("boft_", "boft"),
    ("oft_", "oft"),
    ("on_input", "ia3"),
    ("w_norm", "norm"),
    ("b_norm", "norm"),
    ("a1.weight", "glora"),
    ("b1.weight", "glora"),
)


@dataclass(frozen=True)
class Contents:
    """The answer of `classify`, with what it rests on.

    Attributes
    ----------
    kind : str
        See `ContentsKind`.
    words : str
        For messages: "a LoRA in kohya's format".
    evidence : tuple of str
        Short statements: "12 pairs of factors, such as …".
    methods : tuple of str
        Which ones within the kind: PEFT's type in capitals, "kohya", "loha", "fp8", "gptq", …
    advice : str
        What to do where it is not read.
    groups : tuple of TensorGroup
        The tensors by role.
    files : dict of str to int
        What was looked at, with sizes in bytes.
    notes : tuple of str
        What was passed over.
    """

    kind: ContentsKind
    words: str
    evidence: tuple[str, ...]
    methods: tuple[str, ...] = ()
    advice: str = ""
    groups: tuple[TensorGroup, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_read(self) -> bool:
        """Whether such files are read; a setting or a tensor of one may be refused all the same."""
        weights = self.kind in ("model", "update", "matrices") or self.methods == ("fp8",)
        return weights or self.kind in ("own", "peft", "factors")

    @property
    def sentence(self) -> str:
        """The words and the evidence: "a LoRA in kohya's format (…)"."""
        return f"{self.words} ({'; '.join(self.evidence)})" if self.evidence else self.words

    @property
    def refusal(self) -> str:
        """The sentence and what to do: what follows "FILE is"."""
        return f"{self.sentence}; {self.advice}" if self.advice else self.sentence


def is_marked_update(metadata: Mapping[str, str]) -> bool:
    """Return whether a file states that its tensors are updates ΔW.

    Examples
    --------
    >>> is_marked_update({"format": "pt", "lolora": "update"})
    True
    """
    return metadata.get(IS_UPDATE[0]) == IS_UPDATE[1]


def classify(
    tensors: Mapping[str, TensorInfo],
    *,
    metadata: Mapping[str, str] = _NOTHING,
    config: Mapping[str, Any] = _NOTHING,
    adapter_config: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
    name: str = "",
) -> Contents:
    """Say what a file is; values are not looked at.

    Parameters
    ----------
    tensors : mapping
        As the headers state them.
    metadata : mapping
        safetensors' ``__metadata__``. ``{"lolora": "update"}`` settles that plain tensors are
        updates ΔW.
    config, adapter_config, own : mapping
        ``config.json``, ``adapter_config.json`` and ``adapters.json`` beside the tensors; empty
        or None where there is none.
    name : str
        Of the file.

    Returns
    -------
    Contents

    Examples
    --------
    >>> names = ("lora_te_q.lora_down.weight", "lora_te_q.lora_up.weight")
    >>> classify({name: TensorInfo(name, "F16", (4, 4), (), "") for name in names}).sentence
    "a LoRA in kohya's format (2 factors, such as lora_te_q.lora_down.weight)"
    """
    roles = groups_of(tensors)
    found = (
        _with_settings(roles, adapter_config, own)
        or _adapters(tensors, roles)
        or _packed(packed_weights(tensors, roles, config))
        or _other(tensors, roles, name)
        or _weights(roles, metadata, config, name)
    )
    groups = (measure_group(role, (tensors[n] for n in names)) for role, names in roles.items())
    ordered = sorted(groups, key=lambda group: -group.nbytes)
    return Contents(*found, groups=tuple(ordered))


_Answer = tuple[ContentsKind, str, tuple[str, ...], tuple[str, ...], str]
_Roles = Mapping[Role, tuple[str, ...]]


def _with_settings(
    roles: _Roles, adapter_config: Mapping[str, Any] | None, own: Mapping[str, Any] | None
) -> _Answer | None:
    if own is not None:
        return "own", "an adapter of lolora", ("adapters.json is beside it",), (), ""
    if adapter_config is None:
        return None
    kind = adapter_config.get("peft_type")
    if isinstance(kind, str) and kind:
        evidence = (f"adapter_config.json says peft_type {printable(kind)}",)
        return (
            "peft",
            _PEFT_WORDS.get(kind, f"a PEFT adapter of type {printable(kind)}"),
            evidence,
            (kind,),
            "merge it into its model with PEFT and give the merged model",
        )
    words = "an adapter of MLX" if "fine_tune_type" in adapter_config else "an adapter"
    return (
        "other",
        f"{words} that PEFT did not write",
        ("adapter_config.json states no peft_type",),
        (),
        "convert it to PEFT's format, or merge it into its model and give the merged model",
    )


def _adapters(tensors: Mapping[str, TensorInfo], roles: _Roles) -> _Answer | None:
    factors = roles.get("factors", ())
    parts = roles.get("parts of a PEFT adapter", ())
    under = roles.get("weights under an adapter", ())
    keys = {name: key for name in factors if (key := factor_key(name)) is not None}
    beside = tuple(name for key in keys.values() if (name := f"{key.module}.weight") in tensors)
    if under or (beside and len(factors) > 1):
        evidence = [counted("factors", factors)] if factors else []
        evidence.append(counted("weights that adapters wrap", under or beside))
        return (
            "unmerged",
            "a model with adapters that were not merged",
            tuple(evidence),
            (),
            "merge it first (model.merge_and_unload() of PEFT) and save that, or save the adapter "
            "alone (model.save_pretrained(folder))",
        )
    if factors:
        return _factor_file(keys)
    if parts:
        return (
            "peft",
            "the tensors of a PEFT adapter without its adapter_config.json",
            (counted("tensors of an adapter", parts),),
            (),
            "put the adapter_config.json beside it that PEFT wrote",
        )
    return None


def _factor_file(keys: Mapping[str, Any]) -> _Answer:
    methods: dict[str, None] = {}
    plain_peft = []
    for name, key in keys.items():
        if key.format == "peft":
            if _DIFFUSERS.match(name):
                methods["diffusers"] = None
            else:
                plain_peft.append(name)
        elif key.format == "lycoris":
            found = (method for start, method in _LYCORIS_METHODS if key.part.startswith(start))
            methods[next(found, "lycoris")] = None
        else:
            methods[key.format] = None
    if plain_peft and not methods:
        return (
            "peft",
            "the factors of a PEFT adapter without its adapter_config.json",
            (counted("factors", tuple(plain_peft)),),
            (),
            "put the adapter_config.json beside it that PEFT wrote: alpha, which scales the "
            "update, stands only there",
        )
    if plain_peft:
        methods["peft"] = None
    named = tuple(methods)
    words = [_FACTOR_WORDS.get(method, f"an adapter in {method}'s format") for method in named]
    evidence = (counted("factors" if len(keys) > 1 else "factor", tuple(keys)),)
    whole = words[0] if len(words) == 1 else f"a mixture in one file: {', '.join(words)}"
    return "factors", whole, evidence, named, "merge it with the tool that wrote it"


def _packed(found: Packed | None) -> _Answer | None:
    if found is None:
        return None
    return "packed", found.words, found.evidence, (found.method,), UNPACK


def _other(tensors: Mapping[str, TensorInfo], roles: _Roles, name: str) -> _Answer | None:
    if not tensors:
        return "other", "a file without tensors", (), (), "save it again"
    states = roles.get("states of an optimizer", ())
    if states or name == "optimizer.safetensors":
        evidence = (counted("states", states),) if states else (f"it is called {name}",)
        return "other", "the states of an optimizer", evidence, (), "give the model beside it"
    lora = tuple(name for name in tensors if _LIKE_FACTOR.search(name))
    if 2 * len(lora) > len(tensors):
        return (
            "other",
            "an adapter in a format that is not known here",
            (counted("tensors", lora),),
            (),
            "convert it to PEFT's format, or merge it with the tool that wrote it",
        )
    if all(name in _NEW_TOKENS or re.fullmatch("<.+>", name) for name in tensors):
        return (
            "other",
            "embeddings of textual inversion",
            (counted("tensors", tuple(tensors)),),
            (),
            "they are new tokens, and no weight changes: there is no ΔW in them",
        )
    return None


def _weights(
    roles: _Roles, metadata: Mapping[str, str], config: Mapping[str, Any], name: str
) -> _Answer:
    if is_marked_update(metadata):
        evidence = (f'its metadata says "{IS_UPDATE[0]}": "{IS_UPDATE[1]}"',)
        return "update", "updates ΔW by name", evidence, (), ""
    signs = []
    for key in ("model_type", "_class_name", "architectures"):
        value = config.get(key)
        if value and isinstance(value, str | list):
            shown = value if isinstance(value, str) else ", ".join(map(str, value[:2]))
            signs.append(f"config.json says {key} {printable(shown)}")
            break
    wanted: tuple[Role, ...] = ("norms, biases and other vectors", "embeddings")
    for role in wanted:
        if names := roles.get(role):
            signs.append(counted(role, names))
    matrices = (
        *roles.get("matrices", ()),
        *roles.get("tensors of 3 or more axes", ()),
        *roles.get("embeddings", ()),
    )
    if not matrices:
        seen = tuple(counted(role, names) for role, names in roles.items())
        return "other", "tensors of which none is a matrix", seen, (), "give a file with matrices"
    shard = re.search(r"-(\d+)-of-(\d+)\.safetensors$", name)
    if shard is not None:
        signs.insert(0, f"its name says shard {int(shard[1])} of {int(shard[2])}")
        return "model", "a shard of a model", tuple(signs), (), ""
    if signs:
        return "model", "a whole model", tuple(signs), (), ""
    seen = (counted("tensors", matrices), "nothing else that a model has")
    return "matrices", "plain matrices, weights or updates", seen, (), ""
