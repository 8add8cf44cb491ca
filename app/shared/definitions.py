"""What the words of the pages mean, one or two sentences each; families define themselves."""

from __future__ import annotations

from typing import NamedTuple

from lolora_core.families import FAMILIES

__all__ = ["WORDS", "Definition", "define"]


class Definition(NamedTuple):
    """What a word means.

    Attributes
    ----------
    text : str
        One or two sentences.
    formula : str
        As LaTeX; empty where there is none.
    source : str
        Where it comes from, with the arXiv number if there is one; empty for common words.
    """

    text: str
    formula: str = ""
    source: str = ""


WORDS: dict[str, Definition] = {
    "matrix": Definition(
        "A table of numbers with m rows and n columns. A grey photograph is one: each number says "
        "how bright a point is. A layer of a network is one: each number weights an input.",
        r"W \in \mathbb{R}^{m \times n}",
    ),
    "rank": Definition(
        "How many strips a matrix is a sum of: a column times a row is a matrix of rank 1, and r "
        "of them added have rank r at most. Small rank means few numbers.",
        r"B A = \sum_{k=1}^{r} b_k\, a_k^{\top}",
    ),
    "singular value": Definition(
        "Any matrix is a sum of strips of rank 1, the most important first. A singular value says "
        "how much one of them weighs.",
        r"W = \sum_k \sigma_k\, u_k v_k^{\top}, \quad \sigma_1 \ge \sigma_2 \ge \dots \ge 0",
    ),
    "SVD": Definition(
        "Singular value decomposition: it finds the strips and their weights. Keeping the first r "
        "is the best approximation of rank r that there is (Eckart and Young, 1936).",
        r"W = U \Sigma V^{\top}",
    ),
    "Frobenius norm": Definition(
        "The size of a matrix: the root of the sum of all squared entries, as the length of an "
        "arrow.",
        r"\lVert W \rVert_F = \sqrt{\textstyle\sum_{ij} w_{ij}^2}"
        r" = \sqrt{\textstyle\sum_k \sigma_k^2}",
    ),
    "relative error": Definition(
        "How far the approximation Ŵ is from W, as a share of the size of W. 0 is exact; 1 is no "
        "better than a table of zeros.",
        r"\lVert W - \hat W \rVert_F \,/\, \lVert W \rVert_F",
    ),
    "energy": Definition(
        "The share of the squared size of W that an approximation holds. An error of 0.1 leaves "
        "out 1 % of it.",
        r"1 - \text{error}^2",
    ),
    "parameter": Definition(
        "A number that may be chosen, or learned in training. A strip B with m rows and r columns "
        "has m·r of them."
    ),
    "budget": Definition(
        "How many parameters may be spent. Every structure gets the same budget, so that the "
        "comparison is fair.",
        r"P = r\,(m + n)",
    ),
    "equivalent rank": Definition(
        "The budget said as a rank: the one that global LoRA would have with as many parameters.",
        r"r = P / (m + n)",
    ),
    "block": Definition("A rectangle cut out of the matrix: some neighbouring rows and columns."),
    "grid": Definition(
        "How the matrix is cut into blocks: 8×8 is eight block rows and eight block columns."
    ),
    "LoRA": Definition(
        "Low-rank adaptation: the weights of a network stay as they are, and only a product B·A of "
        "small rank is learned and added to them.",
        r"W + B A, \quad B \in \mathbb{R}^{m \times r},\ A \in \mathbb{R}^{r \times n}",
        "LoRA, arXiv 2106.09685",
    ),
    "adapter": Definition(
        "The small part that is trained and added to a layer that stays as it is. It can be kept "
        "as a file of its own, and taken off again."
    ),
    "ΔW": Definition(
        "What training changes: the weights afterwards minus the weights before. An adapter is a "
        "ΔW of few parameters.",
        r"\Delta W = W_{\text{after}} - W_{\text{before}}",
    ),
    "effective rank": Definition(
        "How many singular values share the energy: 1 if one holds it all, and as many as there "
        "are if they are equal.",
        r"\exp\Big(-\sum_k p_k \ln p_k\Big), \quad p_k = \sigma_k^2 \Big/ \sum_j \sigma_j^2",
        "Roy and Vetterli 2007, there of σ in place of σ²",
    ),
    "PSNR": Definition(
        "Peak signal-to-noise ratio, in decibels: the mean squared error against the span of the "
        "values. Higher is better; 10 more is a tenth of the squared error.",
        r"10 \log_{10}\left(\text{span}^2 / \text{MSE}\right)",
    ),
    "SSIM": Definition(
        "Structural similarity: compares brightness, contrast and pattern in small windows, as an "
        "eye would. 1 is the same picture.",
        source="Wang, Bovik, Sheikh and Simoncelli 2004",
    ),
    "knee": Definition(
        "The point of a falling curve that lies farthest below the straight line between its ends. "
        "Up to there every parameter helps much; after it, little."
    ),
    "seed": Definition(
        "The number that starts the random choices: other seeds give other starting values and "
        "another order of examples."
    ),
    "spread": Definition(
        "How much a result differs from seed to seed. A difference smaller than that may be chance."
    ),
    "early stopping": Definition(
        "Keep the weights of the step where the loss on validation data, which is not trained on, "
        "was lowest: what is learnt after it holds for the training examples alone."
    ),
    "learning rate": Definition(
        "How far each step of training moves the parameters. Too small learns slowly, too large "
        "never settles; each method needs its own.",
        r"\theta \leftarrow \theta - \eta\, \nabla L(\theta)",
    ),
}


def define(word: str) -> Definition:
    """Return what a word means; a family says it itself.

    Examples
    --------
    >>> define("global").text
    'One low-rank product for the whole matrix.'
    >>> define("LoRA").source
    'LoRA, arXiv 2106.09685'
    """
    if word in FAMILIES:
        family = FAMILIES[word]
        text = f"{family.summary[0].upper()}{family.summary[1:]}."
        return Definition(text, family.formula, family.source)
    return WORDS[word]
