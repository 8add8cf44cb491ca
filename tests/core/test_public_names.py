"""What `import lolora_core` loads, and that it hands on every public name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import assert_type

import numpy as np
import pytest
from torch import nn

import lolora_core
from lolora_core import AdapterConfig, add_adapters, approximate

HEAVY = ("joblib", "numpy", "pandas", "safetensors", "scipy", "skimage", "sklearn", "torch")

#: Every name of section 4 of the design.
PROMISED = (
    "AdapterConfig",
    "Grid",
    "adapter_parameters",
    "add_adapters",
    "approximate",
    "budget_for_rank",
    "decompose",
    "extract_adapters",
    "fine_tune",
    "from_peft",
    "load_adapters",
    "merge_adapters",
    "remove_adapters",
    "save_adapters",
    "survey",
    "sweep",
    "to_peft",
    "unmerge_adapters",
)


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(lolora_core.__file__).parents[1],
    )
    return done.stdout


def test_the_package_alone_loads_nothing_heavy() -> None:
    loaded = fresh("import sys, lolora_core; print(*sys.modules)").split()
    assert "lolora_core" in loaded
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []
    assert [name for name in loaded if name.startswith("lolora_core.")] == []


@pytest.mark.parametrize("name", sorted({*PROMISED, *dir(lolora_core)}))
def test_every_public_name_can_be_imported(name: str) -> None:
    found = getattr(lolora_core, name)
    assert name in dir(lolora_core)
    assert type(found).__name__ != "module"
    if callable(found):
        assert found.__doc__


def test_a_module_of_the_same_name_does_not_hide_the_function() -> None:
    printed = fresh(
        "import sys, lolora_core.approximate\n"
        "from lolora_core import approximate\n"
        "print(type(approximate).__name__, 'lolora_core.approximate' in sys.modules)"
    )
    assert printed.split() == ["function", "True"]


def test_an_unknown_name_is_an_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="approximat"):
        getattr(lolora_core, "approximat")  # noqa: B009


def test_the_type_checker_knows_the_names() -> None:
    # mypy reads this; a name that it does not know is Any, and then each line is an error to it.
    assert_type(AdapterConfig(rank=8).scaling, float)
    assert_type(add_adapters(nn.Sequential(nn.Linear(8, 8)), AdapterConfig(rank=4)), nn.Module)
    assert_type(approximate(np.eye(4), "global", budget=8).relative_error, float)
