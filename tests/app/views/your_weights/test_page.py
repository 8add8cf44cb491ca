"""The page Your weights through AppTest, and what it computes against the library."""

from __future__ import annotations

import io
import re
import zipfile
from inspect import unwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load, save
from streamlit.testing.v1 import AppTest
from torch import nn

from app.shared.memory_file import MemoryFile, in_memory
from app.views.your_weights import (
    compute as compute_weights,
)
from app.views.your_weights import (
    figures as figures_weights,
)
from app.views.your_weights import (
    pairs as checkpoint_pairs,
)
from app.views.your_weights import (
    sentences as prose_weights,
)
from app.views.your_weights.adapter_words import file_size
from app.views.your_weights.archive import archive, folder_name
from app.views.your_weights.plan import AdapterPlan
from lolora_core import FAMILIES, approximate, budget_for_rank
from lolora_core.adapters import load_adapters
from lolora_core.checkpoints import (
    bundled_pair,
    extract_adapters,
    pooled_errors,
    read_adapters,
    survey,
)
from lolora_core.checkpoints.remote import Access
from lolora_core.targets.weights import asset_path
from lolora_core.training.tasks.models import DigitsMLP, DigitsTransformer
from tests.app.drawn import checked
from tests.app.test_pages import MAIN, opened, text

Weights = dict[str, torch.Tensor]


def start(**settings: Any) -> AppTest:
    at = opened("your_weights")
    for key, value in settings.items():
        at.session_state[key] = value
    return at.run()


def weights(stem: str) -> Weights:
    return load(asset_path(f"{stem}.safetensors").read_bytes())


def hold(tensors: Weights, name: str = "model.safetensors") -> MemoryFile:
    return in_memory(name, save(tensors))


def plan(family: str = "global", **changes: Any) -> AdapterPlan:
    settings: dict[str, Any] = {
        "family": family,
        "blocks": (2, 2),
        "spend": "each matrix",
        "rank": 8,
        "energy": 0.9,
        "dtype": "float32",
    }
    return AdapterPlan(**settings | changes)


def test_the_page_says_what_the_library_says() -> None:
    at = start(rank=8)
    assert [title.value for title in at.title] == ["Your weights"]
    assert not at.exception
    before, after = weights("digits-transformer-base"), weights("digits-transformer-rotated")
    frame = survey(before, after, rank=8, grids=[8]).frame()
    energy = frame["update_norm"] ** 2
    error = float(np.sqrt((frame["error_global"] ** 2 * energy).sum() / energy.sum()))
    said = text(at)
    assert f"error {error:#.3g} over all matrices" in said
    assert "**global (plain LoRA)** holds the change best at r = 8" in said
    assert "of 15 matrices" in said
    for widget in (*at.selectbox, *at.segmented_control, *at.slider, *at.number_input):
        assert widget.proto.help, widget.label
    assert len(at.get("plotly_chart")) == 3
    skipped = next(table.value for table in at.dataframe if "reason" in table.value)
    assert len(skipped) == len(before) - 15


def test_the_matrix_that_is_picked_opens_on_the_other_pages() -> None:
    at = start()
    at.selectbox(key="matrix").set_value("blocks.1.key.weight").run()
    assert "96 × 96, stored as F32" in text(at)
    at.button(key="open_what_if").click().run()
    assert [title.value for title in at.title] == ["What if"]
    assert not at.exception
    at.switch_page("views/your_weights/page.py").run()
    at.button(key="open_compare").click().run()
    assert [title.value for title in at.title] == ["Compare"]
    assert "ΔW of blocks.1.key" in text(at)
    assert at.selectbox(key="target").value == "upload"


@pytest.mark.parametrize("spend", ["each matrix", "shared", "energy"])
def test_the_page_extracts_what_the_library_extracts(spend: str) -> None:
    at = start(pair="digits MLP", keep="adaptive", spend=spend, rank=6)
    goals: dict[str, dict[str, Any]] = {
        "each matrix": {"rank": 6},
        "shared": {"rank": 6, "shared": True},
        "energy": {"energy": 0.9},
    }
    before, after = weights("digits-mlp-base"), weights("digits-mlp-rotated")
    updates = {name: after[name] - w for name, w in before.items()}
    found = extract_adapters(before, after, family="adaptive", **goals[spend])
    count = len(found.rows)
    if spend == "shared":
        assert "pays more elsewhere" in found.skipped["fc3.weight"]
    # Biases, and a layer that gets nothing, are part of the error of the whole.
    errors = {f"{row['name']}.weight": row["relative_error"] for row in found.rows}
    total = sum(float(w.norm() ** 2) for w in updates.values())
    left = sum((errors.get(n, 1.0) * float(w.norm())) ** 2 for n, w in updates.items())
    rest = f" on these and {(left / total) ** 0.5:#.3g} over the whole tuned model"
    assert not at.exception
    assert (
        f"As **adaptive** on {count} of 3 changed matrices: error {found.relative_error:#.3g}"
        f"{rest}, {found.adapters.num_parameters:,} parameters" in text(at)
    )


def test_what_a_family_cannot_reach_is_said() -> None:
    at = start(keep="diagonal", spend="energy")
    assert not at.exception
    assert "does not reach a relative error of 0.316" in at.error[0].value


def test_a_host_that_allows_no_hub_says_how() -> None:
    at = start(pair="from the Hub")
    assert "LOLORA_ALLOW_HUB=1" in at.info[0].value
    assert "Until then you see: Digits transformer" in text(at)


def test_the_hub_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def open_pair(*ids: str, max_tensors: int, access: Access, max_entries: int) -> Any:
        asked.extend(ids)
        return bundled_pair("digits MLP")

    monkeypatch.setenv("LOLORA_ALLOW_HUB", "1")
    monkeypatch.setattr(checkpoint_pairs, "open_pair", open_pair)
    at = start(pair="from the Hub", hub_base="me/base", hub_tuned="me/tuned@v2")
    assert not at.exception
    assert asked == ["me/base", "me/tuned@v2"]
    # A character without width keeps Markdown from reading an address of e-mail.
    assert "me/base → me/tuned@\u2060v2: 3 matrices" in text(at)
    monkeypatch.chdir(Path(MAIN).parents[1])
    for where in ("app/views", "/etc/passwd", "../x", "x"):
        with pytest.raises(ValueError, match="is not a model id"):
            checkpoint_pairs.hub_pair(where, "me/tuned")
    monkeypatch.delenv("LOLORA_ALLOW_HUB")
    with pytest.raises(ValueError, match="does not read models"):
        checkpoint_pairs.hub_pair("me/base", "me/other")


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("other model", "they are not checkpoints of one model"),
        ("pickle by name", "is a pickle by its name"),
        ("pickle", "begins like one"),
        ("cut", "is cut off"),
        ("text", "not a whole safetensors file"),
        ("empty", "not a whole safetensors file"),
    ],
)
def test_bad_files_are_told_and_the_last_view_stays(case: str, sentence: str) -> None:
    good = asset_path("digits-mlp-base.safetensors").read_bytes()
    name, data = {
        "other model": ("b.safetensors", save(weights("digits-transformer-base"))),
        "pickle by name": ("b.bin", good),
        "pickle": ("b.safetensors", b"\x80\x02" + good),
        "cut": ("b.safetensors", good[:-100]),
        "text": ("b.safetensors", b"hello, this is no checkpoint"),
        "empty": ("b.safetensors", b""),
    }[case]
    at = start(pair="digits MLP")
    files = (
        in_memory("a.safetensors", good),
        in_memory(name, data),
    )
    at.session_state["pair_files"] = files
    at.selectbox(key="pair").set_value("own upload").run()
    assert not at.exception
    assert sentence in at.error[0].value
    assert "Until then you see: Digits MLP" in text(at)
    assert len(at.get("plotly_chart")) == 3


def test_an_uploaded_pair() -> None:
    torch.manual_seed(0)
    before = {"a.weight": torch.randn(24, 16), "b.weight": torch.randn(16, 24)}
    after = {"a.weight": before["a.weight"] + 1, "b.weight": before["b.weight"].clone()}
    at = start()
    at.session_state["pair_files"] = hold(before, "x.safetensors"), hold(after, "y.safetensors")
    at.selectbox(key="pair").set_value("own upload").run()
    assert not at.exception
    assert "All of the change lies in `a`" in text(at)
    assert "x.safetensors → y.safetensors: 2 matrices" in text(at)
    # An odd name is shown as it is, and a file that changed nothing is told.
    same = {"a`<b>**.weight": torch.ones(4, 4)}
    at.session_state["pair_files"] = hold(same), hold(same)
    at.run()
    assert not at.exception
    assert "No matrix has changed" in at.warning[0].value
    assert not [box for box in at.selectbox if box.key in ("matrix", "target")]
    at.switch_page("views/compare/page.py").run()
    assert at.selectbox(key="target").value == "camera"


def test_pooled_errors_are_those_of_the_approximations() -> None:
    pair = checkpoint_pairs.bundled_pair("digits transformer")
    frame = compute_weights.changed(compute_weights.surveyed(pair, 4, (12, 12)).frame())
    pooled = pooled_errors(frame)
    before, after = weights("digits-transformer-base"), weights("digits-transformer-rotated")
    left = total = 0.0
    for name in pair.names:
        update = after[name] - before[name]
        m, n = update.shape
        # 12 blocks a side do not fit the head (10×96) nor the embedding (96×4).
        family = "adaptive" if min(m, n) >= 12 else "global"
        found = approximate(update, family, budget=budget_for_rank((m, n), 4), grid=12 if
                            family == "adaptive" else 1)  # fmt: skip
        total += float(update.norm() ** 2)
        left += found.relative_error**2 * float(update.norm() ** 2)
    assert pooled["adaptive"] == pytest.approx((left / total) ** 0.5, abs=1e-5)
    assert next(iter(pooled)) == "global"


def test_a_stopped_survey_keeps_its_rows_and_goes_on() -> None:
    torch.manual_seed(1)
    before = {f"h.{i}.q.weight": torch.randn(16, 16) for i in range(6)}
    after = {name: w + torch.randn(16, 16) for name, w in before.items()}
    pair = checkpoint_pairs.uploaded_pair(hold(before), hold(after))

    class StopHereError(BaseException):
        pass

    heard: list[str] = []

    def stop(share: float, words: str) -> None:
        heard.append(words)
        assert 0 < share <= 1
        if len(heard) == 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        compute_weights.surveyed(pair, 2, (2, 2), stop)
    held = compute_weights.partial(pair, 2, (2, 2))
    assert held is not None
    assert not held.complete
    assert 2 <= len(held.rows) < 6
    after_stop: list[str] = []
    found = compute_weights.surveyed(pair, 2, (2, 2), lambda _, words: after_stop.append(words))
    assert found.complete
    assert len(after_stop) == 6 - len(held.rows)
    whole = survey(before, after, rank=2, grids=[2])
    pd.testing.assert_frame_equal(found.frame(), whole.frame())
    assert not list(compute_weights._folder().glob("*.jsonl"))


def unpacked(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(folder)
    (inner,) = folder.iterdir()
    return inner


def based(kind: type[nn.Module], stem: str) -> nn.Module:
    model = kind()
    model.load_state_dict(weights(stem))
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["PEFT", "PEFT, truncated", "lolora_core"])
def test_every_archive_loads_by_the_lines_of_its_readme(
    family: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = checkpoint_pairs.bundled_pair("digits transformer")
    chosen = plan(family, spend="shared" if family == "adaptive" else "each matrix")
    inner = unpacked(archive(pair, chosen, form).data, tmp_path)
    lines = (inner / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(lines.splitlines()) == 3
    base = based(DigitsTransformer, "digits-transformer-base")
    x = torch.rand(5, 64)
    before = base(x).detach()
    found: dict[str, Any] = {"BASE": based(DigitsTransformer, "digits-transformer-base")}
    monkeypatch.chdir(tmp_path)
    exec(lines, found)
    theirs = found["model"].eval()(x).detach()
    kept = compute_weights.extracted(pair, chosen)
    ours = kept.extraction.adapters.install(base).eval()(x).detach()
    assert (ours - before).abs().max() > 0.1
    if form == "PEFT, truncated" and not kept.truncated.exact:
        assert (theirs - ours).abs().max() > 1e-3
        return
    torch.testing.assert_close(theirs, ours, atol=2e-4, rtol=1e-3)


def test_gralora_where_the_structure_allows_it(tmp_path: Path) -> None:
    torch.manual_seed(2)
    base, tuned = DigitsMLP(), DigitsMLP()
    first = {k: v for k, v in base.state_dict().items() if not k.startswith("fc3")}
    pair = checkpoint_pairs.uploaded_pair(hold(first), hold(tuned.state_dict()))
    chosen = plan("localized", blocks=(4, 4))
    assert compute_weights.extracted(pair, chosen).exact.kind == "gralora"
    inner = unpacked(archive(pair, chosen, "PEFT").data, tmp_path)
    assert "GraLoRA of r 8, K 4, exact" in (inner / "README.md").read_text()
    x = torch.rand(5, 64)
    theirs = PeftModel.from_pretrained(base, str(inner)).eval()(x)
    own = unpacked(archive(pair, chosen, "lolora_core").data, tmp_path / "own")
    torch.manual_seed(2)
    ours = load_adapters(DigitsMLP(), own)(x)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)


def test_archives_of_one_plan_are_the_same_bytes() -> None:
    pair = checkpoint_pairs.bundled_pair("digits MLP")
    data = archive(pair, plan(), "PEFT").data
    again = unwrap(archive)(pair, plan(), "PEFT").data
    assert data == again
    half = archive(pair, plan(dtype="float16"), "PEFT").data
    assert len(half) < 0.7 * len(data)


@pytest.mark.parametrize("form", ["PEFT", "PEFT, truncated", "lolora_core"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_sentence_is_about_the_file_that_is_downloaded(
    form: str, dtype: str, tmp_path: Path
) -> None:
    at = start(keep="adaptive", format=form, stored=dtype, rank=16, rows=4, cols=4)
    assert not at.exception
    pair = checkpoint_pairs.bundled_pair("digits transformer")
    chosen = plan("adaptive", blocks=(4, 4), rank=16, dtype=dtype)
    file = archive(pair, chosen, form)
    held = read_adapters(unpacked(file.data, tmp_path))
    before, after = weights("digits-transformer-base"), weights("digits-transformer-rotated")
    left = total = 0.0
    for name in held.terms:
        update = after[f"{name}.weight"] - before[f"{name}.weight"]
        left += float((update - held.delta(name)).norm() ** 2)
        total += float(update.norm() ** 2)
    size = file_size(len(file.data))
    assert f"changed matrices: error {(left / total) ** 0.5:#.3g} on these" in text(at)
    assert f"parameters; for “{form}” a zip of {size}" in text(at)
    stored = sum(
        p.numel() for t in held.terms.values() for part in t for p in part.packed().values()
    )
    assert file.num_parameters == stored


def test_names_of_files_tell_plans_and_formats_apart() -> None:
    pair = checkpoint_pairs.bundled_pair("digits MLP")
    plans = [
        plan("adaptive"),
        plan("adaptive", blocks=(4, 4)),
        plan("adaptive", dtype="float16"),
        plan("adaptive", spend="shared"),
        plan("adaptive", spend="energy"),
        plan("adaptive", rank=9),
        plan("localized"),
    ]
    names = {
        folder_name(pair, chosen, form)
        for chosen in plans
        for form in ("PEFT", "PEFT, truncated", "lolora_core")
    }
    assert len(names) == 3 * len(plans)
    by_energy = (plan("adaptive", spend="energy", rank=rank) for rank in (8, 9))
    assert len({folder_name(pair, p, "PEFT, truncated") for p in by_energy}) == 2
    assert all(re.fullmatch(r"[\w-]+", name) for name in names)


def test_a_large_update_is_shown_through_a_window() -> None:
    before = {"w.weight": torch.zeros(2100, 4)}
    pair = checkpoint_pairs.uploaded_pair(hold(before), hold({"w.weight": torch.ones(2100, 4)}))
    target = checkpoint_pairs.update_target(pair, "w.weight")
    assert target.shape == (2048, 4)
    assert "the upper left 2,048 × 4 of 2,100 × 4" in target.notes


def test_the_map_says_who_leads_and_by_how_much() -> None:
    frame = pd.DataFrame(
        {
            "name": ["enc.0.q.weight", "dec.0.q.weight", "head.weight", "fc.weight"],
            "layer": pd.array([0, 0, None, None], dtype="Int64"),
            "kind": ["q", "q", "head", "fc"],
            "update_norm": [1.0, 1.0, 1.0, 0.0],
            "error_global": [0.5, 0.2, 0.0, 0.0],
            "error_localized_2x2": [0.4, 0.4, 0.0, 0.0],
            "error_adaptive_2x2": [0.25, 0.3, np.nan, 0.0],
        }
    )
    marks = figures_weights.marked(frame)
    assert marks["mark"].tolist() == ["adaptive", "global", "tie", "unchanged"]
    assert marks["ratio"].tolist()[:2] == pytest.approx([0.5, 1.5])
    assert marks["kind"].tolist()[:2] == ["enc.*.q", "dec.*.q"]
    figure = checked(figures_weights.structure_figure(marks, "dec.0.q.weight"))
    letters = [t for trace in figure.data if trace.type == "heatmap" for t in trace.text.ravel()]
    assert sorted(filter(None, letters)) == sorted("AG=·")
    clickable = figure.data[-1]
    assert [row[0] for row in clickable.customdata] == frame["name"].tolist()
    assert len(figure.layout.shapes) == 1
    ratio = checked(figures_weights.ratio_figure(marks, ""))
    assert sorted(t for trace in ratio.data[1:3] for t in trace.text) == ["0.5", "1.5", "=", "·"]
    # The darkest cells of the scale carry light words.
    ends = marks.assign(ratio=[0.25, 1.0, 4.0, np.nan])
    inks = list(checked(figures_weights.ratio_figure(ends, "")).data[1].textfont.color)
    assert inks == ["#ffffff", "#111111", "#ffffff"]
    assert "×0.500 (`enc.0.q`) to ×1.50 (`dec.0.q`)" in prose_weights.ratios(marks)
