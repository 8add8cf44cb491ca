"""The modules: the packed factors of one term, and a linear layer with an adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.products import block_products
from lolora_core.adapters.products_fast import fast_block_products, fast_linear_with_products
from lolora_core.common.checks import compute_dtype

__all__ = ["AdapterLinear", "BlockFactors"]

Factors = dict[tuple[int, int], tuple[Tensor, Tensor]]


class BlockFactors(nn.Module):
    """The trainable factors of ΔW_ij = scaling·B_ij·A_ij on a grid with a rank map.

    A starts at kaiming_uniform(a=√5) per block, so within ±1/√w_j, and B at zero.

    Parameters
    ----------
    layout : BlockLayout
    scaling : float
    dtype : torch.dtype
    device : torch.device

    Attributes
    ----------
    A, B : ParameterList
        Packed as `layout.a_pieces` and `layout.b_pieces` say: exactly Σ r_ij·(h_i + w_j) entries.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.blocks.grid import Grid
    >>> layout = BlockLayout(Grid.regular((6, 4), 2), np.array([[2, 0], [1, 1]]))
    >>> term = BlockFactors(layout, 1.0, torch.float32, torch.device("cpu"))
    >>> sum(p.numel() for p in term.parameters()), term.delta().shape
    (20, torch.Size([6, 4]))
    """

    gather: Tensor | None

    def __init__(
        self, layout: BlockLayout, scaling: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.layout = layout
        self.scaling = scaling
        self.A = nn.ParameterList(
            nn.Parameter(torch.empty(shape, dtype=dtype, device=device))
            for shape in layout.a_pieces
        )
        self.B = nn.ParameterList(
            nn.Parameter(torch.zeros(shape, dtype=dtype, device=device))
            for shape in layout.b_pieces
        )
        for piece in self.A:
            nn.init.kaiming_uniform_(piece, a=math.sqrt(5))
        #: The packed factors before training, kept for init="svd".
        self.start: dict[str, Tensor] = {}
        gather = layout.gather
        self.register_buffer(
            "gather",
            None if gather is None else torch.as_tensor(gather, device=device),
            persistent=False,
        )

    def forward(
        self, x: Float[Tensor, "T n"], onto: Float[Tensor, "T m"] | None = None
    ) -> Float[Tensor, "T m"]:
        """Return x·ΔWᵀ, computed in the dtype of x, or add it to `onto` in place."""
        a, b = self._ready(x.dtype)
        if torch.compiler.is_compiling():
            # The compiler plans memory by itself, from operations that it can see through.
            update = block_products(x, self.layout, self.gather, a, b)
            return update if onto is None else onto + update
        return fast_block_products(x, self.layout, self.gather, a, b, onto)

    def with_base(self, x: Float[Tensor, "T n"], base: nn.Linear) -> Float[Tensor, "T m"]:
        """Return base(x) + x·ΔWᵀ for a frozen base of the dtype of x."""
        a, b = self._ready(x.dtype)
        return fast_linear_with_products(x, base.weight, base.bias, self.layout, self.gather, a, b)

    def _ready(self, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
        a, b = _pieces(self.A), _pieces(self.B)
        if a and a[0].dtype != dtype:
            a, b = [piece.to(dtype) for piece in a], [piece.to(dtype) for piece in b]
        if self.scaling != 1:
            b = [piece * self.scaling for piece in b]
        return a, b

    def delta(self) -> Float[Tensor, "m n"]:
        """Return the dense ΔW, in the dtype of the factors."""
        like = self.A[0]
        side = self.layout.grid.shape[1]
        return self(torch.eye(side, dtype=like.dtype, device=like.device)).T

    def factors(self) -> Factors:
        """Return {(i, j): (B_ij of shape (h_i, r_ij), A_ij of shape (r_ij, w_j))}, copied.

        Blocks of rank 0 are left out; ΔW_ij = scaling·B_ij·A_ij.
        """
        return {
            block: (self.B[b].detach()[b_rows].T, self.A[a].detach()[a_rows])
            for block, (a, a_rows), (b, b_rows) in self.layout.blocks()
        }

    @torch.no_grad()
    def set_factors(self, factors: Mapping[tuple[int, int], tuple[Tensor, Tensor]]) -> None:
        """Overwrite the factors of the blocks named, in the form that `factors` returns."""
        places = {block: (a, b) for block, a, b in self.layout.blocks()}
        for block, (left, right) in factors.items():
            (a, a_rows), (b, b_rows) = places[block]
            self.A[a][a_rows] = right.to(self.A[a])
            self.B[b][b_rows] = left.T.to(self.B[b])

    def packed(self) -> dict[str, Tensor]:
        """Return the packed factors themselves by the keys of `layout.tensor_shapes`."""
        pieces = {"A": self.A, "B": self.B}
        return {f"{n}.{p}": piece for n, held in pieces.items() for p, piece in enumerate(held)}

    def keep_start(self) -> None:
        """Keep a copy of the factors in `start`."""
        self.start = {
            f"start.{key}": value.detach().clone() for key, value in self.packed().items()
        }

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Overwrite the packed factors by key."""
        held = self.packed()
        for key, value in values.items():
            held[key].copy_(value)

    def extra_repr(self) -> str:
        """Return the grid, the ranks and the scaling."""
        ranks = self.layout.rank_map
        low, high = int(ranks.min()), int(ranks.max())
        words = f"rank {low}" if low == high else f"ranks {low}…{high}"
        return f"grid={self.layout.grid.label}, {words}, scaling={self.scaling:g}"


def _pieces(held: nn.ParameterList) -> list[Tensor]:
    # Iterating a ParameterList looks every entry up by its name.
    return [piece for piece in held._parameters.values() if piece is not None]


class AdapterLinear(nn.Module):
    """A frozen nn.Linear with an adapter: y = base(x) + dropout(x)·ΔWᵀ.

    Made by `add_adapters`. The factors are float32 where the base is half precision; the
    products run in the dtype of the base's output, so autocast reaches them.

    Parameters
    ----------
    base : nn.Linear
    layouts : sequence of BlockLayout
        One for each term.
    scaling, dropout : float

    Attributes
    ----------
    terms : ModuleList of BlockFactors
        One; for hybrid the global term and the blocks'.
    merged : bool
        The base's weight holds ΔW at present.
    """

    #: The weight as it was pretrained, where init="svd" has changed the base.
    pretrained: Tensor | None
    #: The base's weight before it was merged.
    unmerged: Tensor | None

    def __init__(
        self,
        base: nn.Linear,
        layouts: tuple[BlockLayout, ...],
        scaling: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.base = base
        weight = base.weight
        self.terms = nn.ModuleList(
            BlockFactors(layout, scaling, compute_dtype(weight.dtype), weight.device)
            for layout in layouts
        )
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("pretrained", None, persistent=False)
        self.register_buffer("unmerged", None, persistent=False)
        self.train(base.training)

    @property
    def in_features(self) -> int:
        """Columns of the weight."""
        return self.base.in_features

    @property
    def out_features(self) -> int:
        """Rows of the weight."""
        return self.base.out_features

    @property
    def bias(self) -> Tensor | None:
        """The base's bias."""
        return self.base.bias

    @property
    def weight(self) -> Tensor:
        """The weight in effect, base plus ΔW; dense, for code that reads a layer's weight."""
        if self.merged:
            return self.base.weight
        return self.base.weight + self._update().to(self.base.weight.dtype)

    @property
    def merged(self) -> bool:
        """Whether the base's weight holds ΔW at present."""
        return self.unmerged is not None

    @property
    def num_parameters(self) -> int:
        """Trainable parameters of the adapter."""
        return sum(term.layout.num_parameters for term in self.block_terms)

    @property
    def block_terms(self) -> list[BlockFactors]:
        """`terms` as a list, typed."""
        return [term for term in self.terms._modules.values() if isinstance(term, BlockFactors)]

    def _update(self) -> Float[Tensor, "m n"]:
        first, *rest = (term.delta() for term in self.block_terms)
        return sum(rest, start=first)

    def delta(self) -> Float[Tensor, "m n"]:
        """Return the dense ΔW against the pretrained weight, in the dtype of the factors.

        With init="svd" it is what training has changed, zero at the start.
        """
        update = self._update()
        if self.pretrained is None:
            return update
        residual = self.base.weight if self.unmerged is None else self.unmerged
        return update + (residual.to(update.dtype) - self.pretrained.to(update.dtype))

    def forward(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        """Return base(x) + dropout(x)·ΔWᵀ."""
        if self.merged:
            return self.base(x)
        tokens = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
        y = self._in_one_step(tokens) if self._one_step(x) else self._term_by_term(x, tokens)
        return y if x.dim() == 2 else y.view(*x.shape[:-1], y.shape[-1])

    def _term_by_term(
        self, x: Float[Tensor, "*batch n"], tokens: Float[Tensor, "T n"]
    ) -> Float[Tensor, "T m"]:
        y = self._base_output(x, tokens)
        tokens = self.dropout(tokens).to(y.dtype)
        for term in self.block_terms:
            y = term(tokens, onto=y)
        return y

    def _in_one_step(self, tokens: Float[Tensor, "T n"]) -> Float[Tensor, "T m"]:
        """Do the same without dropout; base and first term share one step of the backward."""
        first, *others = self.block_terms
        y = first.with_base(tokens, self.base)
        for term in others:
            y = term(tokens, onto=y)
        return y

    def _base_output(
        self, x: Float[Tensor, "*batch n"], tokens: Float[Tensor, "T n"]
    ) -> Float[Tensor, "T m"]:
        """Return base(x), one row a token, in memory that nothing else holds."""
        if self._plain_base():
            return self.base(tokens)
        # A hook reads the shape that it is given, and may hold on to what the base returned.
        return self.base(x).reshape(len(tokens), -1).clone()

    def _plain_base(self) -> bool:
        return type(self.base) is nn.Linear and not self.base._forward_hooks

    def _one_step(self, x: Tensor) -> bool:
        base = self.base
        weight, bias = base.weight, base.bias
        return (
            self._plain_base()
            and weight.dtype == x.dtype
            and not (weight.requires_grad or (bias is not None and bias.requires_grad))
            and not base._forward_pre_hooks
            and not (self.training and self.dropout.p)
            and (x.is_meta or not torch.is_autocast_enabled(x.device.type))
            and not torch.compiler.is_compiling()
        )

    @torch.no_grad()
    def merge(self) -> None:
        """Add ΔW to the base's weight; the weight before is kept for `unmerge`."""
        if self.merged:
            raise ValueError("the adapter is merged already; unmerge it first")
        merged = self.base.weight + self._update()
        self.unmerged = self.base.weight.clone()
        self.base.weight.copy_(merged)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the base's weight back as it was before `merge`, bit for bit."""
        if self.unmerged is None:
            raise ValueError("the adapter is not merged")
        self.base.weight.copy_(self.unmerged)
        self.unmerged = None

    @torch.no_grad()
    def restore_base(self) -> nn.Linear:
        """Return the base with its pretrained weight, bit for bit."""
        if self.merged:
            self.unmerge()
        if self.pretrained is not None:
            self.base.weight.copy_(self.pretrained)
            self.pretrained = None
        return self.base
