"""The works that statements are taken from."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ECKART_YOUNG",
    "GRALORA",
    "LOCALIZED",
    "LORA",
    "MARCHENKO_PASTUR",
    "MELORA",
    "MIRSKY",
    "OWN_IDEA",
    "Work",
]


class Work(NamedTuple):
    """A work that a statement is taken from.

    Attributes
    ----------
    title : str
    arxiv : str
        Its number there; empty where it has none.
    """

    title: str
    arxiv: str = ""

    @property
    def address(self) -> str:
        """Where it can be read; empty where it is not at arXiv.

        Examples
        --------
        >>> Work("LoRA", "2106.09685").address
        'https://arxiv.org/abs/2106.09685'
        """
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""


ECKART_YOUNG = Work("Eckart & Young 1936, Psychometrika 1, 211–218")
MIRSKY = Work("Mirsky 1960, Quarterly Journal of Mathematics 11, 50–59")
MARCHENKO_PASTUR = Work("Marchenko & Pastur 1967, Mathematics of the USSR-Sbornik 1, 457–483")
LORA = Work("LoRA", "2106.09685")
MELORA = Work("MELoRA", "2402.17263")
LOCALIZED = Work("Localized LoRA", "2506.00236")
GRALORA = Work("GraLoRA", "2505.20355")
OWN_IDEA = Work("adaptive is an idea of this project")
