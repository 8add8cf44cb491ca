"""Words from outside are shown as they are: no link, picture or formula is made of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from streamlit.testing.v1 import AppTest

from app.shared.memory_file import in_memory
from app.shared.words import as_text
from app.views.lessons.shelf import bundled
from tests.app.test_pages import opened

#: What Markdown, or Streamlit after it, would make something of.
EVIL = (
    "![x](http://host/x.png)",
    "[Your session expired](http://host/)",
    "$x$",
    ":red[x]",
    ":material/home:",
    "<img src=x>",
    "www.host.com",
    "a@host.com",
    "**x**",
)


def shown(at: AppTest) -> Iterator[str]:
    """Yield all that a page renders as Markdown."""
    kinds: tuple[Any, ...] = (at.markdown, at.caption, at.info, at.warning, at.error, at.header)
    for kind in kinds:
        for element in kind:
            yield element.value
            yield getattr(element.proto, "help", "")


def assert_plain(at: AppTest, words: str) -> None:
    assert not at.exception
    found = list(shown(at))
    assert any(as_text(words) in text for text in found), words
    assert not any(words in text for text in found), words


@pytest.mark.parametrize("words", EVIL)
def test_what_could_be_read_as_something_is_not(words: str) -> None:
    made = as_text(words)
    assert made != words
    assert made.replace("\\", "").replace("\u2060", "") == words


def test_a_link() -> None:
    words = "![x](http:--host)"
    at = opened("what_if")
    at.query_params["paint"] = words
    assert_plain(at.run(), words)


def test_ids_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_ALLOW_HUB", "1")
    at = opened("your_weights")
    at.query_params["pair"] = "from the Hub"
    at.query_params["hub_base"] = EVIL[0]
    at.query_params["hub_tuned"] = EVIL[1]
    assert_plain(at.run(), EVIL[0])


def test_a_settings_file() -> None:
    at = opened("lessons").run()
    text = json.dumps({EVIL[1]: 1, "rank": EVIL[0], EVIL[2]: "\ud800"})
    at.session_state["share"] = True
    at.run()
    at.file_uploader(key="settings_file").set_value(("s.json", text.encode(), "")).run()
    for words in EVIL[:3]:
        assert_plain(at, words)


def npy(fill: float) -> bytes:
    out = io.BytesIO()
    np.save(out, np.full((40, 30), fill))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("[x](http:host).npy", npy(1.0), "[x](http:host).npy"),
        ("$x$ :red[x].npy", b"nonsense", "$x$ :red[x].npy"),
        ("<img src=x>.pkl", b"x", "<img src=x>.pkl"),
    ],
    ids=["good", "refused", "pickle"],
)
def test_an_upload(name: str, data: bytes, words: str) -> None:
    at = opened("compare")
    at.query_params["target"] = "upload"
    at.run()
    at.file_uploader(key="file").set_value((name, data, "")).run()
    assert_plain(at, words)


def pair_of(at: AppTest, *names: str) -> AppTest:
    """Upload two files of fixed bytes under names of one's own."""
    before = {"![x](http:host).weight": torch.eye(16), "b.weight": torch.eye(16)}
    after = {name: 2 * tensor for name, tensor in before.items()}
    files = tuple(in_memory(n, save(t)) for n, t in zip(names, (before, after), strict=True))
    at.session_state["sight_adapter"] = {"seen": True}
    at.session_state["pair_files"] = files
    at.query_params["pair"] = "own upload"
    return at.run()


def test_names_of_checkpoints_and_of_tensors() -> None:
    at = pair_of(opened("your_weights"), "[x](http:host).safetensors", "$y$.safetensors")
    assert_plain(at, "[x](http:host).safetensors → $y$.safetensors")
    # Names of tensors stand in code, where nothing is read.
    assert any("`![x](http:host)`" in text for text in shown(at))
    figures = " ".join(str(chart.proto) for chart in at.get("plotly_chart"))
    assert "![x](http:host)" in figures


def test_names_belong_to_the_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Callable[[], bytes | str]] = []
    monkeypatch.setattr(
        "app.views.your_weights.export.st.download_button",
        lambda label, make, name, *rest, **options: files.append(make),
    )
    views = []
    for visitor in ("anna", "bert"):
        at = pair_of(opened("your_weights"), f"{visitor}-1.safetensors", f"{visitor}-2.safetensors")
        assert not at.exception
        views.append(" ".join([*shown(at), *(code.value for code in at.code)]))
    assert "anna" in views[0]
    assert "anna" not in views[1]
    assert "bert-1.safetensors → bert-2.safetensors" in views[1]
    made = [make() for make in files[-3:]]
    data = next(one for one in made if isinstance(one, bytes))
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        said = [*packed.namelist(), *(packed.read(n).decode() for n in packed.namelist()
                                      if n.endswith((".md", ".json")))]  # fmt: skip
    assert "bert-1" in " ".join(said)
    assert "anna" not in " ".join(said)


def test_names_of_targets_belong_to_the_visitor() -> None:
    views = []
    for visitor in ("anna", "bert"):
        at = opened("compare")
        at.query_params["target"] = "upload"
        at.run()
        at.file_uploader(key="file").set_value((f"{visitor}.npy", npy(3.0), "")).run()
        # What cannot be read leaves the last good target, with its name.
        at.file_uploader(key="file").set_value(("x.npy", b"nonsense", "")).run()
        views.append(" ".join(shown(at)))
    assert "Until then you see: anna.npy" in views[0]
    assert "Until then you see: bert.npy" in views[1]
    assert "anna" not in views[1]


def test_a_lesson_of_a_visitor_leads_nowhere() -> None:
    (first, *_) = bundled().values()
    evil = (
        "**b** $x^2$ [a](http://host) ![p](http://host/p.png) :material/home: <http://host> :red[x]"
    )
    text = first.model_dump_json().replace(json.dumps(first.steps[0].text), json.dumps(evil))
    text = text.replace(json.dumps(first.title), json.dumps("[t](http://host)"))
    at = opened("lessons").run()
    at.file_uploader(key="lesson_file").set_value(("own.json", text.encode(), "")).run()
    at.button(key="open_own").click().run()
    assert not at.exception
    found = "\n".join(shown(at))
    assert "**b** $x^2$ [a]\u2060(http:\u2060//host) ![p]\u2060(" in found
    for leads in ("](http", "://host", ":material", "<http", ":red"):
        assert leads not in found
