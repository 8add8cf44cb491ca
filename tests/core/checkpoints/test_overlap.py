"""Two adapters at once: angles against SciPy, updates against PEFT, sums against dense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from scipy.linalg import subspace_angles
from torch import Tensor, nn

from lolora_core.adapters import AdapterConfig, add_adapters
from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.factor_pairs import whole_layout
from lolora_core.adapters.sets import AdapterSet, BlockTerm, make_term
from lolora_core.adapters.stored import Stored
from lolora_core.checkpoints import OVERLAP_HELP, directions, overlap
from lolora_core.files.tensors import MappingSource

SHAPES = {"0": (40, 24), "1": (32, 40), "2": (16, 32)}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def peft(folder: Path, rank: int, modules: str, seed: int) -> dict[str, np.ndarray]:
    """Save an adapter; return ΔW of each module as PEFT says."""
    torch.manual_seed(seed)
    model = nn.Sequential(*(nn.Linear(n, m) for m, n in SHAPES.values()))
    settings = LoraConfig(
        r=rank, lora_alpha=5, target_modules=list(modules), init_lora_weights=False
    )
    wrapped: Any = get_peft_model(model, settings)
    wrapped.save_pretrained(str(folder))
    layers = {name: wrapped.base_model.model.get_submodule(name) for name in modules}
    return {
        name: layer.get_delta_weight("default").detach().double().numpy()
        for name, layer in layers.items()
    }


def bases(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank], right[:rank].T


@pytest.mark.parametrize("ranks", [(4, 4), (2, 7), (16, 3)])
def test_two_peft_adapters_are_compared_as_their_dense_updates_say(
    tmp_path: Path, ranks: tuple[int, int]
) -> None:
    deltas = [
        peft(tmp_path / str(at), rank, modules, at)
        for at, (rank, modules) in enumerate(zip(ranks, ("01", "12"), strict=True))
    ]
    found = overlap(tmp_path / "0", tmp_path / "1", n_jobs=1)
    assert (found.only_first, found.only_second) == (("0.weight",), ("2.weight",))
    (row,) = found.rows
    a, b = deltas[0]["1"], deltas[1]["1"]
    assert (row["name"], row["rows"], row["cols"]) == ("1.weight", 32, 40)
    assert (row["first_rank"], row["second_rank"]) == ranks
    assert row["first_norm"] == pytest.approx(np.linalg.norm(a), rel=1e-5)
    assert row["sum_norm"] == pytest.approx(np.linalg.norm(a + b), rel=1e-5)
    cosine = (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert row["cosine"] == pytest.approx(cosine, abs=1e-6)
    for side, at, length in (("column", 0, 32), ("row", 1, 40)):
        spaces = bases(a, ranks[0])[at], bases(b, ranks[1])[at]
        cosines = np.cos(subspace_angles(*spaces))
        assert row[f"{side}_largest_cosine"] == pytest.approx(cosines.max(), abs=1e-5)
        assert row[f"{side}_mean_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)
        assert row[f"{side}_overlap"] == pytest.approx((cosines**2).mean(), abs=1e-5)
        assert row[f"{side}_random"] == max(ranks) / length
    whole = [np.sqrt(sum(np.linalg.norm(d) ** 2 for d in held.values())) for held in deltas]
    assert [found.total["first_norm"], found.total["second_norm"]] == pytest.approx(whole, rel=1e-5)
    inner = (a * b).sum()
    together = np.sqrt(whole[0] ** 2 + whole[1] ** 2 + 2 * inner)
    assert found.total["sum_norm"] == pytest.approx(together, rel=1e-5)
    assert found.total["cosine"] == pytest.approx(inner / whole[0] / whole[1], abs=1e-6)
    assert found.total["column_overlap"] == pytest.approx(row["column_overlap"])


def adapters(seed: int, **settings: Any) -> AdapterSource:
    torch.manual_seed(seed)
    model = add_adapters(nn.Sequential(nn.Linear(24, 32)), AdapterConfig(**settings))
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.normal_()
    return AdapterSource(AdapterSet.from_model(model), f"adapter {seed}", str(seed))


@pytest.mark.parametrize(
    "settings",
    [
        {"family": "global", "rank": 4},
        {"family": "localized", "grid": 2, "rank": 4},
        {"family": "diagonal", "grid": 4, "rank": 3},
        {"family": "localized", "grid": (1, 2), "rank": 2, "alpha": 7},
    ],
)
def test_thin_factors_and_dense_updates_give_one_answer(settings: dict[str, Any]) -> None:
    source = adapters(0, **settings)
    found = directions.read_directions(source, "0.weight")
    dense = source.read("0.weight").double()
    assert torch.allclose((found.left * found.values) @ found.right.T, dense, atol=1e-5)
    assert found.rank == torch.linalg.matrix_rank(dense, rtol=1e-3)
    other = directions.read_directions(adapters(1, **settings), "0.weight")
    exact = float((dense * adapters(1, **settings).read("0.weight").double()).sum())
    assert found.inner(other) == pytest.approx(exact, rel=1e-4, abs=1e-4)


def test_thin_factors_are_not_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source = adapters(0, family="global", rank=4)

    def refuse(self: AdapterSet, name: str) -> Tensor:
        raise AssertionError(name)

    monkeypatch.setattr(AdapterSet, "delta", refuse)
    assert directions.read_directions(source, "0.weight").rank == 4


def test_an_adapter_against_itself_is_one_space_and_twice_as_large() -> None:
    update = {"a.weight": draw(30, 5) @ draw(5, 20, seed=1)}
    (row,) = overlap(update, update, n_jobs=1).rows
    for key in ("cosine", "column_largest_cosine", "column_overlap", "row_mean_cosine"):
        assert row[key] == pytest.approx(1)
    assert row["sum_norm"] == pytest.approx(2 * float(update["a.weight"].norm()))
    negative = {"a.weight": -update["a.weight"]}
    opposite = overlap(update, negative, n_jobs=1)
    assert opposite.total["cosine"] == pytest.approx(-1)
    assert opposite.total["sum_norm"] == pytest.approx(0, abs=1e-5)
    assert opposite.total["column_overlap"] == pytest.approx(1)


def test_orthogonal_spaces_share_nothing() -> None:
    left, right = (torch.linalg.qr(draw(30, 12, seed=at)).Q for at in (0, 1))
    one, two = (left[:, p] @ right[:, p].T for p in (slice(0, 5), slice(5, 12)))
    (row,) = overlap({"a": one}, {"a": two}, n_jobs=1).rows
    assert (row["first_rank"], row["second_rank"]) == (5, 7)
    for key in ("cosine", "column_largest_cosine", "column_overlap", "row_overlap"):
        assert row[key] == pytest.approx(0, abs=1e-6)
    assert row["sum_norm"] == pytest.approx(np.sqrt(12), rel=1e-6)


def test_random_spaces_overlap_as_much_as_is_stated() -> None:
    def update(seed: int, rank: int) -> dict[str, Tensor]:
        return {
            f"{at}.weight": draw(60, rank, seed=seed + at) @ draw(rank, 50, seed=seed + at + 100)
            for at in range(20)
        }

    total = overlap(update(0, 4), update(1000, 8), n_jobs=1).total
    # The ranks of dense updates are those that hold 99 %, so at most 8.
    for side, length in (("column", 60), ("row", 50)):
        assert total[f"{side}_random"] == pytest.approx(8 / length, rel=0.15)
        assert total[f"{side}_overlap"] == pytest.approx(total[f"{side}_random"], rel=0.15)


def test_of_a_dense_update_the_directions_with_99_percent_are_looked_at() -> None:
    values = torch.tensor([10.0, 5.0, 1.0, 0.9, 0.1])
    (row,) = overlap({"a": torch.diag(values)}, {"a": torch.diag(values)}, n_jobs=1).rows
    energies = torch.cumsum(values**2, 0) / (values**2).sum()
    assert row["first_rank"] == int((energies < 0.99).sum()) + 1 == 3


def test_what_cannot_be_compared_is_listed() -> None:
    one = {"a": draw(4, 5), "b": draw(4, 5), "c": draw(4), "only": draw(3, 3)}
    two = {"a": draw(4, 5), "b": draw(5, 4), "c": draw(4), "conv": draw(4, 2, 3, 3)}
    found = overlap(one, two, n_jobs=1)
    assert [row["name"] for row in found.rows] == ["a"]
    assert (found.only_first, found.only_second) == (("only",), ("conv",))
    assert found.skipped == {
        "b": "it is (4, 5) in the first and (5, 4) in the second",
        "c": "it has 1 axis, and a matrix needs 2",
    }
    both = float(one["a"].norm()), float(one["only"].norm())
    assert found.total["first_norm"] == pytest.approx(np.hypot(*both))


def test_a_convolution_is_out_by_the_rest() -> None:
    kernel = draw(6, 2, 3, 3)
    (row,) = overlap({"c": kernel}, {"c": kernel.flatten(1)}, n_jobs=1).rows
    assert (row["rows"], row["cols"], row["cosine"]) == (6, 18, pytest.approx(1))


def test_updates_stored_with_inputs_as_rows_are_turned() -> None:
    held = adapters(0, family="global", rank=3)
    (term,) = held.adapters.terms["0"]
    ((b, a),) = term.factors().values()
    layout = whole_layout((24, 32), 3)
    turned = make_term(BlockTerm(layout, {(0, 0): (a.T, b.T)}), term.scaling, given=term.scaling)
    stored = AdapterSet(held.adapters.config, {"0": (turned,)}, {"0": Stored("conv1d")})
    other = AdapterSource(stored, "other", "other")
    assert torch.allclose(other.read("0.weight").T, held.read("0.weight"), atol=1e-6)
    for pair in ((held, other), (other, held), (other, other)):
        (row,) = overlap(*pair, n_jobs=1).rows
        assert (row["rows"], row["cols"]) == (32, 24)
        assert row["cosine"] == pytest.approx(1)
        assert (row["column_random"], row["row_random"]) == (3 / 32, 3 / 24)


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ({"a": torch.eye(4)}, {"b": torch.eye(4)}, "no module is changed by both"),
        ({"a": torch.eye(4)}, {"a": torch.zeros(4, 4)}, "one of them changes nothing"),
        ({"a": torch.eye(4)}, {"a": 2 * torch.eye(4)}, "They clash: over all modules they push"),
        ({"a": torch.eye(4)}, {"a": -torch.eye(4)}, "They clash: over all modules they pull"),
        (
            {"a": draw(50, 2) @ draw(2, 50), "b": 0.01 * torch.eye(50)},
            {"a": draw(50, 2, seed=3) @ draw(2, 50, seed=4), "b": 0.01 * torch.eye(50)},
            "They clash in 1 of 2 shared modules",
        ),
        (
            {"a": torch.diag(torch.tensor([1.0] * 4 + [0.0] * 36))},
            {"a": torch.diag(torch.tensor([1.0, -1.0, 1.0, -1.0] + [0.0] * 36))},
            "They may clash: they neither add up nor cancel (cosine 0.00)",
        ),
        (
            {"a": draw(90, 2) @ draw(2, 90, seed=1)},
            {"a": draw(90, 2, seed=3) @ draw(2, 90, seed=4)},
            "They do not clash: in every shared module",
        ),
    ],
)
def test_the_verdict_is_what_the_numbers_say(
    one: dict[str, Tensor], two: dict[str, Tensor], words: str
) -> None:
    found = overlap(one, two, n_jobs=1)
    assert found.verdict.startswith("They")
    assert words in found.verdict
    if found.rows and found.total["cosine"] is not None:
        assert f"‖A + B‖ is {found.total['sum_norm']:.3g};" in found.verdict
        assert "by chance) and" in found.verdict


def test_an_update_that_is_zero_has_no_angles() -> None:
    found = overlap({"a": torch.eye(3), "b": torch.zeros(3, 3)}, {"b": torch.eye(3)}, n_jobs=1)
    (row,) = found.rows
    assert (row["first_rank"], row["cosine"], row["row_overlap"]) == (0, None, None)
    assert found.total["cosine"] == 0
    assert found.total["row_overlap"] is None
    assert np.isnan(found.frame()["cosine"][0])
    assert "They do not clash" in found.verdict


def test_the_frame_has_the_columns_that_are_explained() -> None:
    found = overlap({"a": torch.eye(3)}, {"b": torch.eye(3)}, n_jobs=1).frame()
    assert list(found) == list(OVERLAP_HELP)
    assert all(text.endswith(".") for text in OVERLAP_HELP.values())
    full = overlap({"a": torch.eye(3)}, {"a": torch.eye(3)}, n_jobs=1)
    assert set(full.rows[0]) == set(OVERLAP_HELP)


def test_threads_give_the_same_and_a_stop_is_said() -> None:
    updates = {f"{at}.weight": draw(20, 20, seed=at) for at in range(12)}
    others = {f"{at}.weight": draw(20, 20, seed=50 + at) for at in range(12)}
    alone = overlap(updates, others, n_jobs=1)
    assert overlap(updates, others, n_jobs=2).rows == alone.rows
    assert [row["name"] for row in alone.rows][-1] == "11.weight"
    part = overlap(updates, others, n_jobs=1, progress=lambda done, total, name: done < 3)
    assert (len(part.rows), part.complete, alone.complete) == (3, False, True)


def lora_file(path: Path, names: dict[str, str], seed: int) -> Path:
    made = {}
    for at, (module, parts) in enumerate(names.items()):
        down, up = parts.split()
        made[f"{module}{down}"] = draw(4, 48, seed=seed + at)
        made[f"{module}{up}"] = draw(48, 4, seed=seed + at + 100)
    save_file(made, path)
    return path


@pytest.mark.parametrize("turned", [False, True])
def test_kohya_and_diffusers_names_of_one_module_meet(tmp_path: Path, turned: bool) -> None:
    kohya, dotted = ".lora_down.weight .lora_up.weight", ".lora_A.weight .lora_B.weight"
    where = "down_blocks{0}0{0}attentions{0}0{0}proj_in"
    files = [
        lora_file(tmp_path / "k.safetensors", {f"lora_unet_{where.format('_')}": kohya}, 0),
        lora_file(tmp_path / "d.safetensors", {f"unet.{where.format('.')}": dotted}, 0),
    ]
    found = overlap(*(files[::-1] if turned else files), n_jobs=1)
    (row,) = found.rows
    assert row["name"] == f"unet.{where.format('.')}.weight"
    assert row["cosine"] == pytest.approx(1)
    assert {note.split(":")[0] for note in found.notes} == {str(file) for file in files}


def test_names_that_never_meet_are_noted() -> None:
    found = overlap({"a.weight": torch.eye(3)}, {"b.weight": torch.eye(3)}, n_jobs=1)
    (note,) = found.notes
    assert "names a.weight" in note
    assert "names b.weight" in note
    assert "as their names tell" in found.verdict


def test_updates_that_are_no_product_are_compared_dense(tmp_path: Path) -> None:
    module = "lora_unet_mid_block_attentions_0_proj_in"
    parts = {
        f"hada_w{at}_{side}": (24, 3) if side == "a" else (3, 16) for at in "12" for side in "ab"
    }
    held = {
        f"{module}.{name}": draw(*shape, seed=at) for at, (name, shape) in enumerate(parts.items())
    }
    save_file(held | {f"{module}.alpha": torch.tensor(3.0)}, tmp_path / "loha.safetensors")
    (row,) = overlap(tmp_path / "loha.safetensors", tmp_path / "loha.safetensors", n_jobs=1).rows
    dense = (held[f"{module}.hada_w1_a"] @ held[f"{module}.hada_w1_b"]) * (
        held[f"{module}.hada_w2_a"] @ held[f"{module}.hada_w2_b"]
    )
    assert row["first_norm"] == pytest.approx(float(dense.norm()), rel=1e-5)
    assert row["row_overlap"] == pytest.approx(1)


def test_bad_input_says_which(tmp_path: Path) -> None:
    weights = MappingSource({"a": torch.eye(3)}, "model.safetensors")
    update = {"a": torch.eye(3)}
    with pytest.raises(ValueError, match=r"second must be an adapter.*model\.safetensors holds"):
        overlap(update, weights)
    with pytest.raises(ValueError, match="not adapters of one model: a: it is"):
        overlap(update, {"a": torch.eye(4)})
    with pytest.raises(ValueError, match="a of the tensors given must be finite"):
        overlap(update, {"a": torch.full((3, 3), float("nan"))}, n_jobs=1)
    with pytest.raises(ValueError, match="must be finite"):
        overlap(update, {"b": torch.full((3, 3), float("inf"))}, n_jobs=1)
    with pytest.raises(FileNotFoundError, match="is not there"):
        overlap(tmp_path / "missing", update)
