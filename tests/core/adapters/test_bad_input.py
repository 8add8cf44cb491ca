"""Bad input to adapters: a sentence, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lolora_core import Grid
from lolora_core.adapters import (
    AdapterConfig,
    adapter_delta,
    adapter_layers,
    adapter_parameters,
    add_adapters,
    full_gradients,
    gradient_rank_maps,
    load_adapters,
    merge_adapters,
    remove_adapters,
    save_adapters,
    unmerge_adapters,
)


def net(width: int = 24) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "query": nn.Linear(width, 24),
            "key": nn.Linear(width, 24),
            "norm": nn.LayerNorm(24),
            "head": nn.Linear(24, 3),
        }
    )


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"family": "lora"}, r"family must be one of global, .*; it is 'lora'"),
    ({"rank": 0}, "rank must be 1 or more; it is 0"),
    ({"rank": 2.5}, "rank must be an integer; it is 2.5"),
    ({"rank": "8"}, "rank must be an integer"),
    ({"grid": 0}, "grid must be 1 or more; it is 0"),
    ({"grid": (2, 3, 4)}, r"grid must be K, \(K_r, K_c\) or"),
    ({"grid": "8"}, "grid must be an integer"),
    ({"grid": ((0, 3, 3), (0, 4))}, "row_edges must start at 0 and rise strictly"),
    ({"alpha": 0}, "alpha must be finite and above 0"),
    ({"alpha": float("nan")}, "alpha must be finite"),
    ({"alpha": True}, "alpha must be a number; it is True"),
    ({"dropout": 1.0}, r"dropout must lie in \[0, 1\); it is 1.0"),
    ({"dropout": -0.1}, "dropout must lie in"),
    ({"target_modules": []}, "target_modules must name at least one module"),
    ({"target_modules": 3}, "target_modules must be a string or a list of names; it is 3"),
    ({"init": "pissa"}, "init must be one of zero, svd, gradient; it is 'pissa'"),
    ({"family": "adaptive"}, "adaptive needs spectra to choose its ranks: set init='svd'"),
    (
        {"init": "gradient"},
        "init 'gradient' chooses ranks; the family is localized",
    ),
    (
        {"family": "adaptive", "init": "gradient", "rank_map": [[1]]},
        "the family is adaptive with a rank_map",
    ),
    ({"rank_map": [[1]]}, "localized sets its ranks itself; a rank_map needs family 'adaptive'"),
    ({"family": "adaptive", "rank_map": [[0, 0]]}, "at least one above 0"),
    ({"family": "adaptive", "rank_map": [[1, -1]]}, "ranks of 0 or more"),
    ({"family": "adaptive", "rank_map": [[1.5]]}, "one integer for each block"),
    ({"family": "adaptive", "rank_map": {"query": [1]}}, r"rank_map\['query'\] must hold one"),
    ({"family": "hybrid"}, "hybrid needs spectra to choose its ranks: set init='svd'"),
    ({"family": "hybrid", "rank_map": [[1]]}, "hybrid with a rank_map needs a global_rank"),
    (
        {"family": "hybrid", "global_rank": 0, "rank_map": [[1]]},
        "global_rank must be 1 or more; it is 0",
    ),
    ({"family": "hybrid", "global_rank": 2, "init": "svd"}, "global_rank goes with a rank_map"),
    ({"global_rank": 2}, "localized has none beside its blocks"),
]


@pytest.mark.parametrize(("settings", "message"), CONFIGS, ids=str)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        AdapterConfig(**settings)


MODELS: list[tuple[dict[str, Any], str]] = [
    ({"target_modules": ["quary"]}, "'quary' matches no nn.Linear; near names: query"),
    ({"target_modules": ["norm"]}, "'norm' matches no nn.Linear; "),
    ({"target_modules": r"layer\.\d"}, "the pattern .* matches no nn.Linear; "),
    ({"target_modules": "quer"}, "the pattern 'quer' matches no nn.Linear; near names: query"),
    ({"target_modules": "("}, r"target_modules '\(' is not a valid regular expression"),
    ({"rank": 25, "family": "global"}, r"rank 25 is above the full rank of module 'query'"),
    ({"rank": 8, "target_modules": "all-linear"}, r"above the full rank of module 'head' \(3×24\)"),
    ({"rank": 4, "grid": 8}, r"rank 4 leaves no rank .* 8×8 grid .*; the smallest rank .* is 8"),
    ({"family": "diagonal", "rank": 7}, "the largest rank that works is 6"),
    ({"family": "diagonal", "rank": 2, "grid": (2, 3)}, "diagonal needs as many block rows"),
    ({"rank": 24, "grid": ((0, 1, 24), (0, 12, 24))}, "the largest rank that works is 3"),
    ({"grid": 25}, r"module 'query' \(24×24\): grid 25×25 does not fit a 24×24 matrix"),
    ({"grid": Grid.regular((8, 8), 2)}, r"module 'query' .*: grid is for a 8×8 matrix"),
    ({"family": "adaptive", "rank_map": [[1, 2]]}, r"rank_map for module 'query' .* 1×2 entries"),
    (
        {"family": "adaptive", "grid": 2, "rank_map": [[1, 2], [13, 0]]},
        r"gives block \(1, 0\) rank 13; its full rank is 12",
    ),
    (
        {"family": "adaptive", "rank_map": {"key": [[1]]}, "grid": 1},
        "no entry for the target 'query'",
    ),
    (
        {"family": "hybrid", "global_rank": 30, "rank_map": [[1] * 4] * 4},
        "global_rank 30 is above the full rank",
    ),
    (
        {"family": "hybrid", "global_rank": 3, "rank_map": [[1, 2]]},
        r"rank_map for module 'query' .* 1×2 entries",
    ),
    ({"family": "hybrid", "init": "gradient"}, "needs gradients; full_gradients computes them"),
    ({"family": "adaptive", "init": "gradient"}, "needs gradients; full_gradients computes them"),
]


@pytest.mark.parametrize(("settings", "message"), MODELS, ids=str)
def test_what_does_not_fit_the_model_changes_nothing(
    settings: dict[str, Any], message: str
) -> None:
    model = net()
    before = {name: id(part) for name, part in model.named_modules()}
    with pytest.raises(ValueError, match=message):
        add_adapters(model, AdapterConfig(**{"target_modules": ["query"], **settings}))
    assert {name: id(part) for name, part in model.named_modules()} == before
    assert all(p.requires_grad for p in model.parameters())


def test_the_smallest_and_largest_ranks_named_do_work() -> None:
    for settings in (
        {"rank": 8, "grid": 8},
        {"rank": 6, "family": "diagonal"},
        {"rank": 3, "grid": ((0, 1, 24), (0, 12, 24))},
    ):
        add_adapters(net(), AdapterConfig(**{"target_modules": ["query"], **settings}))  # type: ignore[arg-type]


def test_a_weight_that_is_not_finite_or_zero_is_named() -> None:
    model = net()
    query = model["query"]
    assert isinstance(query, nn.Linear)
    config = AdapterConfig(family="adaptive", rank=4, init="svd", target_modules=["key", "query"])
    with torch.no_grad():
        query.weight.zero_()
    with pytest.raises(ValueError, match=r"the weight of module 'query' .* is zero"):
        add_adapters(model, config)
    with torch.no_grad():
        query.weight[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"module 'query' .* must be finite; 1 entry .* \(1, 2\)"):
        add_adapters(model, config)
    assert isinstance(model["key"], nn.Linear)


def test_models_without_a_linear_layer() -> None:
    config = AdapterConfig(rank=4)
    with pytest.raises(ValueError, match=r"ReLU holds no nn.Linear"):
        add_adapters(nn.ReLU(), config)
    with pytest.raises(ValueError, match="wrap it"):
        add_adapters(nn.Linear(8, 8), config)


def small(width: int = 24) -> nn.Module:
    return add_adapters(net(width), AdapterConfig(rank=4, grid=2, target_modules=["query", "key"]))


def test_wrong_order_of_calls() -> None:
    model = small()
    with pytest.raises(ValueError, match="has adapters already; remove_adapters"):
        add_adapters(model, AdapterConfig(rank=3, grid=1))
    with pytest.raises(ValueError, match="not merged; merge_adapters merges them"):
        unmerge_adapters(model)
    merge_adapters(model)
    with pytest.raises(ValueError, match="merged already; unmerge_adapters"):
        merge_adapters(model)
    remove_adapters(model)
    calls: list[Callable[[nn.Module], object]] = [
        merge_adapters,
        unmerge_adapters,
        remove_adapters,
        adapter_delta,
        adapter_layers,
        lambda bare: list(adapter_parameters(bare)),
        lambda bare: save_adapters(bare, "nowhere"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="has no adapters; add_adapters gives it some"):
            call(model)


def test_a_shared_weight_is_not_written_to() -> None:
    model = net()
    query, key = model["query"], model["key"]
    assert isinstance(query, nn.Linear)
    assert isinstance(key, nn.Linear)
    key.weight = query.weight
    only = ["query"]
    with pytest.raises(ValueError, match="the weight of 'query' is shared by query, key"):
        add_adapters(model, AdapterConfig(rank=4, init="svd", target_modules=only))
    add_adapters(model, AdapterConfig(rank=4, target_modules=only))
    with pytest.raises(ValueError, match="shared by"):
        merge_adapters(model)


def test_gradients_that_do_not_fit() -> None:
    config = AdapterConfig(
        family="adaptive", rank=4, grid=2, init="gradient", target_modules=["query"]
    )

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        assert isinstance(model, nn.ModuleDict)
        return model["key"](batch).sum()

    batch = torch.ones(2, 24)
    with pytest.raises(ValueError, match="the loss does not depend on the weight of 'query'"):
        full_gradients(net(), loss, [batch], config)
    with pytest.raises(ValueError, match="at least one batch"):
        full_gradients(net(), loss, [], config)
    with pytest.raises(ValueError, match="remove_adapters first"):
        full_gradients(small(), loss, [batch], config)
    with pytest.raises(ValueError, match="init must be 'gradient'"):
        gradient_rank_maps(net(), loss, [batch], AdapterConfig())
    with pytest.raises(ValueError, match="needs the gradient of module 'query'"):
        add_adapters(net(), config, gradients={"key": torch.ones(24, 24)})
    with pytest.raises(ValueError, match=r"the gradient of module 'query' .* has shape \(3, 24\)"):
        add_adapters(net(), config, gradients={"query": torch.ones(3, 24)})
    with pytest.raises(ValueError, match="gradients are for init 'gradient'; it is 'zero'"):
        add_adapters(net(), AdapterConfig(rank=4), gradients={})


def damage_json(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "adapters.json"
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))


def _rename(settings: dict[str, Any]) -> None:
    settings["modules"]["quest"] = settings["modules"].pop("query")


def _ranks(settings: dict[str, Any]) -> None:
    settings["modules"]["query"]["terms"][0]["rank_map"] = [[1, 1], [1, 1]]


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / "adapters.json").unlink(), "holds no adapters.json; save_adapters"),
    (lambda f: (f / "adapters.safetensors").unlink(), "holds no adapters.safetensors"),
    (lambda f: (f / "adapters.json").write_text("{"), "not readable JSON"),
    (lambda f: (f / "adapters.json").write_text("[]"), "must hold a JSON object"),
    (lambda f: (f / "adapters.json").write_text("{}"), "not a saved adapter of format"),
    (
        lambda f: (f / "adapters.safetensors").write_bytes(b"x" * 40),
        "is damaged or does not belong",
    ),
    (lambda f: damage_json(f, lambda s: s["config"].update(rank=0)), "rank must be 1 or more"),
    (lambda f: damage_json(f, lambda s: s["config"].update(depth=3)), "unknown settings depth"),
    (lambda f: damage_json(f, lambda s: s.pop("config")), "is not a saved adapter"),
    (lambda f: damage_json(f, _rename), "for 'quest', which is no nn.Linear .*near names: query"),
    (lambda f: damage_json(f, lambda s: s["modules"].pop("key")), "does not hold what .* lists"),
    (lambda f: damage_json(f, _ranks), r"query.0.A.0 must be floating point of shape \(4, 12\)"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
def test_a_damaged_folder_changes_nothing(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    save_adapters(small(), tmp_path)
    model = net()
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_adapters(model, tmp_path)
    assert isinstance(model["query"], nn.Linear)
    assert all(p.requires_grad for p in model.parameters())


def test_a_folder_of_another_model(tmp_path: Path) -> None:
    save_adapters(small(), tmp_path)
    with pytest.raises(ValueError, match="'query' is for a 24×24 weight; this model's is 24×30"):
        load_adapters(net(30), tmp_path)
    with pytest.raises(ValueError, match=r"no nn.Linear of this model"):
        load_adapters(nn.Sequential(nn.Linear(24, 24)), tmp_path)
    with pytest.raises(ValueError, match="has adapters already"):
        load_adapters(small(), tmp_path)


def test_saving_again_replaces_both_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_adapters(small(), tmp_path)
    before = (tmp_path / "adapters.safetensors").read_bytes()
    save_adapters(small(), tmp_path)
    assert (tmp_path / "adapters.safetensors").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapters.json",
        "adapters.safetensors",
    ]
    load_adapters(net(), tmp_path)
    with pytest.raises(ValueError, match="meta device"):
        save_adapters(small().to("meta"), tmp_path)


def test_a_hybrid_of_version_0_1_left_its_ranks_to_the_layouts(tmp_path: Path) -> None:
    ranks = [[1, 1], [1, 1]]
    settings = {"family": "hybrid", "rank": 4, "grid": 2, "global_rank": 2, "rank_map": ranks}
    config = AdapterConfig(**settings, target_modules=["query"])  # type: ignore[arg-type]
    model = add_adapters(net(), config)
    with torch.no_grad():
        for piece in adapter_parameters(model):
            piece.add_(0.1)
    save_adapters(model, tmp_path)
    damage_json(tmp_path, lambda s: s["config"].update(rank_map=None))
    loaded = load_adapters(net(), tmp_path)
    torch.testing.assert_close(adapter_delta(loaded), adapter_delta(model))
