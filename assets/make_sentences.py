"""Gather the first sentences of docstrings from six installed libraries into docstrings.json.

Run ``python -m assets.make_sentences`` in the repository root. The libraries are read, not run.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from assets.make_weights import ASSETS, package_file

SEED = 0
PER_CLASS = 280
WORDS = range(5, 31)
#: Label, which is also the distribution's name, and the package that is imported.
LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-image": "skimage",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "torch": "torch",
}
MASK = "library"
NAMES = re.compile(
    r"\b(numpy|np|scipy|sp|scikit[- ]?image|skimage|ski|pandas|pd|scikit[- ]?learn|sklearn|"
    r"pytorch|torch)\b",
    re.IGNORECASE,
)
#: Tests, and files that come from elsewhere or are under another licence than their library.
LEFT_OUT = re.compile(
    r"test|vendor|extern|array_api|_lib/|third_party|_highspy|filters/thresholding|grayreconstruct"
)


def first_sentence(docstring: str) -> str | None:
    """Return the first sentence on one line, library names masked; None if it is not prose."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    found = re.match(r".+?\.(?=\s|$)", paragraph)
    if found is None:
        return None
    sentence = NAMES.sub(MASK, re.sub(r":\w+:`~?([^`]*)`", r"\1", found.group()).replace("`", ""))
    usable = sentence.isascii() and len(sentence.split()) in WORDS and sentence[0].isupper()
    broken = re.search(r"[{}<>|\\]|::|https?:|(e\.g|i\.e|etc|vs)\.$", sentence)
    return sentence if usable and not broken else None


def docstrings(folder: Path) -> Iterator[str]:
    """Yield the docstrings of public classes and functions below a package's folder."""
    for path in sorted(folder.rglob("*.py")):
        if LEFT_OUT.search(path.relative_to(folder).as_posix()):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                yield ast.get_docstring(node) or ""


def main() -> None:
    """Write the file, sentences that two libraries share left out, and print its SHA-256."""
    gathered = {
        label: {s for text in docstrings(package_file(package, "")) if (s := first_sentence(text))}
        for label, package in LIBRARIES.items()
    }
    rng = np.random.default_rng(SEED)
    chosen = {}
    for label, sentences in gathered.items():
        others = set().union(*(s for name, s in gathered.items() if name != label))
        own = sorted(sentences - others)
        print(f"{label} {version(label)}: {len(own)} sentences, {PER_CLASS} kept")
        chosen[label] = [own[i] for i in rng.permutation(len(own))[:PER_CLASS]]
    data = (json.dumps(chosen, indent=0) + "\n").encode()
    (ASSETS / "docstrings.json").write_bytes(data)
    print(f"docstrings.json: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
