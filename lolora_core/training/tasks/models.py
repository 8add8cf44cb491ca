"""Two small networks for 8 × 8 digits, whose linear layers are what the adapters change."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIDE = 8
PIXELS = IMAGE_SIDE * IMAGE_SIDE
CLASSES = 10


class DigitsMLP(nn.Module):
    """A multilayer perceptron 64–256–256–10 with ReLU between the layers.

    Layers: `fc1` (256×64), `fc2` (256×256), `fc3` (10×256), each with a bias.

    Parameters
    ----------
    pixels : int
        Inputs of `fc1`; 64 for the 8 × 8 digits, 784 for MNIST.

    Examples
    --------
    >>> DigitsMLP()(torch.zeros(3, 64)).shape
    torch.Size([3, 10])
    """

    def __init__(self, pixels: int = PIXELS) -> None:
        super().__init__()
        self.fc1 = nn.Linear(pixels, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, CLASSES)

    def forward(self, images: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch 10"]:
        """Return one logit per class for flattened images."""
        hidden = functional.relu(self.fc1(images))
        return self.fc3(functional.relu(self.fc2(hidden)))


class TransformerBlock(nn.Module):
    """One pre-norm transformer block with a linear layer each for query, key, value and output.

    Tokens x become x + output(attention(query, key, value)) of the normalised x, and then
    x + ff_out(GELU(ff_in(normalised x))). Heads are consecutive rows of query, key and value.

    Parameters
    ----------
    width : int
        Entries per token; divisible by `heads`.
    heads : int
    feed_forward : int
        Hidden width of the feed-forward part.

    Raises
    ------
    ValueError
        If `width` is not divisible by `heads`.

    Examples
    --------
    >>> TransformerBlock(8, heads=2, feed_forward=16)(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: int, *, heads: int, feed_forward: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be divisible by heads, but {width} is not by {heads}.")
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.ff_in = nn.Linear(width, feed_forward)
        self.ff_out = nn.Linear(feed_forward, width)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the tokens after attention and feed-forward."""
        normed = self.norm1(tokens)
        query, key, value = (
            layer(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.output(mixed.transpose(1, 2).flatten(-2))
        return tokens + self.ff_out(functional.gelu(self.ff_in(self.norm2(tokens))))


class DigitsTransformer(nn.Module):
    """A small vision transformer: 16 patches of 2 × 2 pixels, width 96, 4 heads, 2 blocks.

    Each block has query, key, value and output (96×96), `ff_in` (192×96) and `ff_out` (96×192);
    the mean over the 16 tokens goes through a norm into 10 classes.

    Examples
    --------
    >>> DigitsTransformer()(torch.zeros(3, 64)).shape
    torch.Size([3, 10])
    """

    WIDTH = 96
    HEADS = 4
    FEED_FORWARD = 192
    BLOCKS = 2
    PATCH = 2

    def __init__(self) -> None:
        super().__init__()
        tokens = (IMAGE_SIDE // self.PATCH) ** 2
        self.embed = nn.Linear(self.PATCH**2, self.WIDTH)
        self.position = nn.Parameter(torch.randn(tokens, self.WIDTH) * 0.02)
        self.blocks = nn.ModuleList(
            TransformerBlock(self.WIDTH, heads=self.HEADS, feed_forward=self.FEED_FORWARD)
            for _ in range(self.BLOCKS)
        )
        self.norm = nn.LayerNorm(self.WIDTH)
        self.head = nn.Linear(self.WIDTH, CLASSES)

    def forward(self, images: Float[Tensor, "batch 64"]) -> Float[Tensor, "batch 10"]:
        """Return one logit per class for flattened images."""
        across = IMAGE_SIDE // self.PATCH
        pixels = images.reshape(-1, across, self.PATCH, across, self.PATCH)
        patches = pixels.transpose(2, 3).reshape(-1, across * across, self.PATCH**2)
        tokens = self.embed(patches) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens.mean(dim=1)))
