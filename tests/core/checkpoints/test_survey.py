"""Sources and the survey: pairs, rows, what is skipped, resumption, bad files."""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import joblib
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lolora_core import approximate, budget_for_rank
from lolora_core.checkpoints import open_source, survey
from lolora_core.checkpoints import rows as rows_module
from lolora_core.common.metrics import effective_rank

Tensors = dict[str, Tensor]


def pair(layers: int = 2, side: int = 24) -> tuple[Tensors, Tensors]:
    """A small model and a fine-tune of it, with every kind of tensor that has no row."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    base: Tensors = {"embed.weight": draw(40, side), "step": torch.tensor([[3]])}
    for layer in range(layers):
        base[f"layers.{layer}.attn.weight"] = draw(side, side)
        base[f"layers.{layer}.mlp.weight"] = draw(2 * side, side)
        base[f"layers.{layer}.mlp.bias"] = draw(2 * side)
    tuned = {
        name: value + 0.1 * draw(*value.shape) if value.is_floating_point() else value
        for name, value in base.items()
    }
    return base, tuned


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    for tensors, path in zip(pair(), paths, strict=True):
        save_file(tensors, path)
    return paths


def write_shards(folder: Path, tensors: Tensors) -> dict[str, str]:
    folder.mkdir()
    names = list(tensors)
    shards = {n: f"model-{at % 2 + 1:05d}-of-00002.safetensors" for at, n in enumerate(names)}
    for shard in set(shards.values()):
        save_file({n: tensors[n] for n in names if shards[n] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    return shards


def test_a_row_states_what_the_matrix_says() -> None:
    base, tuned = pair()
    found = survey(base, tuned, rank=4, grids=[2, 4], n_jobs=1)
    assert [row["name"] for row in found.rows] == [
        "embed.weight",
        "layers.0.attn.weight",
        "layers.0.mlp.weight",
        "layers.1.attn.weight",
        "layers.1.mlp.weight",
    ]
    name = "layers.1.mlp.weight"
    row: dict[str, Any] = found.rows[-1]
    delta = tuned[name].double() - base[name].double()
    values = torch.linalg.svdvals(delta).numpy()
    assert (row["layer"], row["kind"], row["rows"], row["cols"]) == (1, "mlp", 48, 24)
    assert row["relative_update"] == pytest.approx(float(delta.norm() / base[name].double().norm()))
    assert row["effective_rank"] == pytest.approx(effective_rank(values))
    assert row["energy_8"] == pytest.approx((values[:8] ** 2).sum() / (values**2).sum())
    assert row["energy_64"] == 1
    budget = budget_for_rank((48, 24), 4)
    assert row["budget"] == budget
    for family, grid, column in (
        ("global", 1, "error_global"),
        ("diagonal", 2, "error_diagonal_2x2"),
        ("localized", 4, "error_localized_4x4"),
        ("adaptive", 4, "error_adaptive_4x4"),
    ):
        exact = approximate(delta, family, budget=budget, grid=grid).relative_error
        assert row[column] == pytest.approx(exact, abs=1e-5)
    lowest = min(error for column, error in row.items() if column.startswith("error_"))
    assert row["best_error"] == pytest.approx(lowest, abs=1e-5)
    assert row["gain"] == pytest.approx(1 - row["best_error"] / row["error_global"])
    assert set(found.frame().groupby(["layer", "kind"])["gain"].mean().index) == {
        (layer, kind) for layer in (0, 1) for kind in ("attn", "mlp")
    }


def test_what_has_no_row_is_listed_with_its_reason() -> None:
    base, tuned = pair(1)
    base["head.weight"] = base["embed.weight"].clone()
    tuned["head.weight"] = tuned["embed.weight"].clone()
    base["old.weight"] = torch.ones(3, 3)
    tuned["new.weight"] = torch.ones(3, 3)
    base["cut.weight"], tuned["cut.weight"] = torch.ones(3, 3), torch.ones(4, 3)
    base["experts.weight"] = tuned["experts.weight"] = torch.ones(2, 2, 3)
    base["nan.weight"] = tuned["nan.weight"] = torch.full((3, 3), float("nan"))
    found = survey(base, tuned, n_jobs=1)
    assert {name: reason.split(";")[0] for name, reason in found.skipped.items()} == {
        "head.weight": "tied to embed.weight: the same values in both checkpoints",
        "old.weight": "only in base",
        "new.weight": "only in tuned",
        "cut.weight": "its shape is (3, 3) in base and (4, 3) in tuned",
        "experts.weight": "it has 3 axes, and a matrix has 2: a stack of matrices of shape "
        "(2, 2, 3), not the weight of one layer",
        "nan.weight": "nan.weight of base must be finite",
        "layers.0.mlp.bias": "it has 1 axis, and a matrix needs 2",
        "step": "it holds integers (I64), and a matrix of floats is needed",
    }
    assert {*found.skipped, *(row["name"] for row in found.rows)} == {*base, *tuned}


def test_a_convolution_is_surveyed_as_the_matrix_of_its_outputs() -> None:
    random = torch.Generator().manual_seed(0)
    base = {"conv.weight": torch.randn(8, 4, 3, 3, generator=random)}
    update = torch.randn(8, 2, generator=random) @ torch.randn(2, 36, generator=random)
    tuned = {"conv.weight": base["conv.weight"] + update.reshape(8, 4, 3, 3)}
    (row,) = survey(base, tuned, rank=2, grids=[2], n_jobs=1).rows
    assert (row["rows"], row["cols"], row["parameters"]) == (8, 36, 288)
    assert row["error_global"] == pytest.approx(0, abs=1e-5)


def test_an_unchanged_matrix_has_no_best_structure() -> None:
    base, _ = pair(1)
    found = survey(base, base, n_jobs=1)
    assert found.frame()["best_family"].isna().all()
    assert (found.frame()["error_global"] == 0).all()
    assert "no matrix has changed" in found.notes[0]


def test_a_grid_larger_than_a_matrix_leaves_its_errors_open() -> None:
    small = {"a.weight": torch.ones(2, 9), "b.weight": torch.eye(9)}
    first, second = survey(None, small, rank=1, grids=[4], n_jobs=1).rows
    assert math.isnan(cast(float, first["error_localized_4x4"]))
    assert first["best_family"] == "global"
    assert 0 < cast(float, second["error_localized_4x4"]) <= 1
    assert math.isnan(cast(float, second["relative_update"]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_dtype_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    save_file({"a.weight": weight}, tmp_path / "a.safetensors")
    assert torch.equal(open_source(tmp_path / "a.safetensors").read("a.weight"), weight)


def test_a_sharded_folder_is_the_same_as_one_file(tmp_path: Path, files: tuple[Path, Path]) -> None:
    write_shards(tmp_path / "sharded", pair()[1])
    one, many = (survey(files[0], tuned, n_jobs=1) for tuned in (files[1], tmp_path / "sharded"))
    assert one.rows == many.rows


def test_threads_processes_and_any_order_give_the_same_bits(files: tuple[Path, Path]) -> None:
    alone = survey(*files, n_jobs=1).rows
    assert survey(*files, n_jobs=2).rows == alone
    with joblib.parallel_config(backend="loky"):
        assert survey(*files, n_jobs=2).rows == alone


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask_workers_give_the_same_bits(files: tuple[Path, Path]) -> None:
    import distributed  # slow to load

    alone = survey(*files, n_jobs=1).rows
    with (
        # Without an address it takes port 8787, which another run beside this may hold.
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert survey(*files).rows == alone


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_stopped_survey_goes_on_from_its_file(
    files: tuple[Path, Path], tmp_path: Path, suffix: str
) -> None:
    whole = survey(*files, n_jobs=1)
    output = tmp_path / f"survey{suffix}"
    part = survey(*files, n_jobs=1, output=output, progress=lambda done, total, name: done < 2)
    assert (len(part.rows), part.complete) == (2, False)
    kept = rows_module.rows_path(output)
    assert [path.name for path in tmp_path.glob("survey*")] == [kept.name]
    with kept.open("a") as file:
        file.write('{"cut off in the mid')
    seen: list[str] = []
    rest = survey(
        *files, n_jobs=1, output=output, progress=lambda done, total, name: seen.append(name)
    )
    assert len(seen) == len(whole.rows) - 2
    pd.testing.assert_frame_equal(rest.frame(), whole.frame(), check_exact=True)
    read = pd.read_json(output, lines=True) if suffix == ".jsonl" else pd.read_csv(output)
    assert sorted(read["name"]) == sorted(whole.frame()["name"])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_the_rows_so_far(
    files: tuple[Path, Path], tmp_path: Path, n_jobs: int
) -> None:
    def interrupt(done: int, total: int, name: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    output = tmp_path / "survey.jsonl"
    with pytest.raises(KeyboardInterrupt):
        survey(*files, n_jobs=n_jobs, output=output, progress=interrupt)
    assert len(pd.read_json(output, lines=True)) == 2
    assert survey(*files, n_jobs=1, output=output).rows


def test_a_full_disk_keeps_the_rows_before(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "survey.jsonl"
    original, calls = rows_module._write_all, [0]

    def full(file: io.FileIO, line: bytes) -> None:
        calls[0] += 1
        if calls[0] == 3:
            file.write(line[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(file, line)

    monkeypatch.setattr(rows_module, "_write_all", full)
    with pytest.raises(OSError, match="No space left"):
        survey(*files, n_jobs=1, output=output)
    text = output.read_text()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 2


def test_the_output_of_another_survey_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "survey.jsonl"
    survey(*files, n_jobs=1, output=output)
    before = output.read_bytes()
    for other in ((files[1], files[0]), (files[0], files[0])):
        with pytest.raises(ValueError, match="another pair, another order"):
            survey(*other, n_jobs=1, output=output)
    with pytest.raises(ValueError, match="other settings"):
        survey(*files, rank=3, n_jobs=1, output=output)
    assert output.read_bytes() == before
    (tmp_path / "notes.jsonl").write_text("my notes\n")
    with pytest.raises(ValueError, match="is not a survey"):
        survey(*files, n_jobs=1, output=tmp_path / "notes.jsonl")
    with pytest.raises(ValueError, match=r"must end in \.jsonl or \.csv"):
        survey(*files, n_jobs=1, output=tmp_path / "survey.txt")


def test_a_csv_is_the_frame_and_is_replaced_whole_or_not_at_all(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "survey.csv"
    # A tied matrix has a row of its own until the survey is complete.
    base, tuned = pair()
    base["head.weight"], tuned["head.weight"] = base["embed.weight"], tuned["embed.weight"]
    found = survey(base, tuned, n_jobs=1, output=output)
    read = pd.read_csv(output)
    pd.testing.assert_frame_equal(read, found.frame(), check_exact=True, check_dtype=False)
    before = output.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", full)
        with pytest.raises(OSError, match="No space left"):
            survey(base, tuned, n_jobs=1, output=output)
    assert output.read_bytes() == before
    rows_module.rows_path(output).unlink()
    with pytest.raises(ValueError, match=r"survey\.csv\.jsonl, the rows it would go on from"):
        survey(base, tuned, n_jobs=1, output=output)
    assert output.read_bytes() == before


def test_checkpoints_of_different_models_are_refused() -> None:
    base, _ = pair(1)
    with pytest.raises(ValueError, match="not checkpoints of one model"):
        survey(base, {"other.weight": torch.ones(2, 2)}, n_jobs=1)
    wider, _ = pair(1, side=32)
    with pytest.raises(ValueError, match="share no matrix of one name and shape"):
        survey(base, wider, n_jobs=1)


def test_tensors_without_values_are_refused() -> None:
    base, tuned = pair(1)
    meta = {name: value.to("meta") for name, value in tuned.items()}
    with pytest.raises(ValueError, match=r"embed\.weight is on the meta device"):
        survey(base, meta, n_jobs=1)


def test_a_tiny_update_counts_as_moved() -> None:
    tiny = {"a.weight": torch.eye(4) * 1e-30}
    (row,) = survey(None, tiny, rank=1, grids=[4], n_jobs=1).rows
    assert row["update_norm"] == pytest.approx(2e-30)
    assert row["best_family"] == "diagonal"


def test_an_unrelated_model_of_the_same_shape_is_noted() -> None:
    base, _ = pair(1)
    other = {n: torch.randn(v.shape) if v.is_floating_point() else v for n, v in base.items()}
    assert "probably not a fine-tune" in survey(base, other, n_jobs=1).notes[0]


def test_a_file_that_changes_while_it_is_read_is_refused(files: tuple[Path, Path]) -> None:
    source = open_source(files[1])
    os.utime(files[1], ns=(0, 0))
    with pytest.raises(ValueError, match="changed while it was read"):
        survey(files[0], source, n_jobs=1)
    source = open_source(files[1])
    with files[1].open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(ValueError, match="changed while it was read"):
        survey(files[0], source, n_jobs=2)
    source = open_source(files[0])
    files[0].unlink()
    with pytest.raises(ValueError, match="has gone"):
        source.read("embed.weight")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def _long_header(path: Path) -> None:
    path.write_bytes((10**6).to_bytes(8, "little") + path.read_bytes()[8:])


def _huge_header(path: Path) -> None:
    path.write_bytes((10**18).to_bytes(8, "little") + path.read_bytes()[8:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "has a damaged safetensors header or is cut off"),
        (_long_header, "states a header of 1,000,000"),
        (_huge_header, "not a whole safetensors file"),
        (lambda path: path.write_bytes(b""), "it has 0 bytes"),
        (lambda path: path.write_bytes(b"\x80\x02}q\x00." + bytes(99)), "pickle"),
        (lambda path: path.unlink(), "is not there"),
    ],
)
def test_a_damaged_file_is_refused(
    files: tuple[Path, Path], damage: Callable[[Path], Any], message: str
) -> None:
    damage(files[1])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        survey(*files, n_jobs=1)


def test_a_folder_must_be_complete(tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    shards = write_shards(folder, pair()[0])
    first = sorted(set(shards.values()))[0]
    (folder / first).rename(folder / "elsewhere.safetensors")
    with pytest.raises(ValueError, match=f"names the shard {first}, which is not in the folder"):
        open_source(folder)
    (folder / "elsewhere.safetensors").rename(folder / first)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards | {"more.weight": first}}))
    with pytest.raises(ValueError, match=r"names more\.weight, which its shards do not hold"):
        open_source(folder)
    for bad, message in (
        ("[1]", "must hold a JSON object"),
        ("{", "not readable JSON"),
        ("{}", "has no weight_map"),
        ('{"weight_map": {"a": "../../etc/passwd"}}', "a shard is NAME.safetensors"),
    ):
        index.write_text(bad)
        with pytest.raises(ValueError, match=message):
            open_source(folder)
    index.unlink()
    with pytest.raises(ValueError, match=r"must hold one \.safetensors file"):
        open_source(folder)


def test_pickles_are_refused_with_how_to_convert(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    for where in (tmp_path, tmp_path / "pytorch_model.bin", "owner/model.pt"):
        with pytest.raises(ValueError, match="save_file"):
            open_source(where)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 1, "budget": 1}, "rank or budget, not both"),
        ({"rank": -1}, "must be 0 or more"),
        ({"grids": []}, "at least one grid"),
        ({"grids": [0]}, "grid 0×0"),
        ({"families": ["lora"]}, "family must be one of"),
    ],
)
def test_settings_that_are_not_allowed_say_so(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        survey(*pair(1), n_jobs=1, **settings)
