"""The lines of Python that make the numbers of a race again."""

from __future__ import annotations

from app.views.fine_tune.lanes import RacePlan
from lolora_core.training import METHODS

__all__ = [
    "base",
    "curves",
    "experiment_rates",
    "experiment_table",
    "search",
    "spectra",
    "table",
    "target",
    "update",
]


def _method(name: str, plan: RacePlan) -> str:
    if not METHODS[name].has_budget:
        return f'Method("{name}")'
    return f'Method("{name}", rank={plan.rank}, grid={plan.grid})'


def _options(plan: RacePlan) -> str:
    """Return the arguments that differ from the library's own, each after a comma."""
    steps = f", steps={plan.steps}" if plan.steps is not None else ""
    device = f', device="{plan.device}"' if plan.device != "auto" else ""
    return steps + device


def _start(plan: RacePlan, *imports: str) -> str:
    rates = {
        name: rate for name, rate in zip(plan.methods, plan.rates, strict=True) if rate is not None
    }
    lines = [
        "import torch",
        *imports,
        "",
        "torch.set_num_threads(1)  # as the page does: the same bits",
        "methods = [",
        *(f"    {_method(name, plan)}," for name in plan.methods),
        "]",
    ]
    if rates:
        lines.append(f"rates = {rates}")
    return "\n".join(lines)


def _rate(plan: RacePlan) -> str:
    return ", lr=rates.get(method.name)" if any(rate is not None for rate in plan.rates) else ""


def _runs(plan: RacePlan) -> str:
    """Return lines that make `runs`: one a method and seed, none of them trained yet."""
    run = f'fine_tune("{plan.task}", method{_options(plan)}{_rate(plan)}, seed=seed)'
    return f"""{_start(plan, "from lolora_core.training import Method, fine_tune")}
runs = {{
    (method.name, seed): {run}
    for seed in {list(plan.seeds)}
    for method in methods
}}"""


def table(plan: RacePlan) -> str:
    """Return lines that make `found`: test loss and metric by method and seed, stopped and last.

    Examples
    --------
    >>> plan = RacePlan("image", ("global", "full"), (None, 0.1), 8, 4, (0, 1), steps=9)
    >>> print(table(plan))
    import torch
    from lolora_core.training import Method, compare_methods
    <BLANKLINE>
    torch.set_num_threads(1)  # as the page does: the same bits
    methods = [
        Method("global", rank=8, grid=4),
        Method("full"),
    ]
    rates = {'full': 0.1}
    compared = compare_methods("image", methods, [0, 1], steps=9, device="cpu", lr=rates)
    found = compared.runs
    print(compared.sentence())
    """
    if len(plan.seeds) > 1 and len(plan.methods) > 1:
        start = _start(plan, "from lolora_core.training import Method, compare_methods")
        rates = ", lr=rates" if _rate(plan) else ""
        return f"""{start}
compared = compare_methods("{plan.task}", methods, {list(plan.seeds)}{_options(plan)}{rates})
found = compared.runs
print(compared.sentence())"""
    return f"""{_runs(plan)}
found = {{}}
for key, run in runs.items():
    list(run)  # trains it
    found[key] = {{
        "stopped at": run.best.step,  # the least validation loss
        "stopped": run.evaluate("test", run.best),
        "last step": run.evaluate("test"),
    }}
print(found)"""


def curves(plan: RacePlan, field: str) -> str:
    """Return lines that make `curves`: steps and values of one field of the records."""
    return f"""{_runs(plan)}
curves = {{
    key: [(r.step, r.{field}) for r in run if r.{field} is not None] for key, run in runs.items()
}}"""


def update(plan: RacePlan, module: str, step: int) -> str:
    """Return lines that make `deltas`: ΔW of one module by method, of the first seed, at a step."""
    run = f'fine_tune("{plan.task}", method{_options(plan)}{_rate(plan)}, seed={plan.seeds[0]})'
    return f"""{_start(plan, "from lolora_core.training import Method, fine_tune")}
deltas = {{}}
for method in methods:
    run = {run}
    while run.step < {step}:
        next(run)
    deltas[method.name] = run.deltas()["{module}"]"""


def spectra(plan: RacePlan, module: str, step: int) -> str:
    """Return lines that make `spectra`: the singular values of every ΔW at a step."""
    return f"""{update(plan, module, step)}
spectra = {{name: torch.linalg.svdvals(delta) for name, delta in deltas.items()}}"""


def target(plan: RacePlan, method: str, module: str, step: int, title: str) -> str:
    """Return lines that make the learned ΔW again, as `target`."""
    at = plan.methods.index(method)
    alone = RacePlan(
        plan.task, (method,), (plan.rates[at],), plan.rank, plan.grid, plan.seeds[:1], plan.steps,
        plan.device,
    )  # fmt: skip
    return f"""from lolora_core.targets import Target
{update(alone, module, step)}
target = Target(
    id="delta-{method}",
    title="{title}",
    kind="update",
    description="",
    source="",
    licence="",
    array=deltas["{method}"].numpy(),
)"""


def base(task: str, seed: int, *, known: bool) -> str:
    """Return lines that make `new`, and `old` where there is any: loss and metric of the base.

    Examples
    --------
    >>> print(base("image", 0, known=False))
    from lolora_core.training import TASKS
    <BLANKLINE>
    task = TASKS["image"]
    problem = task.build(0)
    new = problem.score(problem.splits["test"])
    """
    old = f"\nold = problem.score(task.known({seed}))" if known else ""
    return f"""from lolora_core.training import TASKS

task = TASKS["{task}"]
problem = task.build({seed})
new = problem.score(problem.splits["test"]){old}"""


def experiment_table(task: str, rank: int) -> str:
    """Return lines that make `table`: what the committed experiment found for a cell.

    Examples
    --------
    >>> print(experiment_table("image", 8))
    from lolora_core.training.experiment.findings import methods_table, read_experiment
    <BLANKLINE>
    table = methods_table(read_experiment(), "image", 8)
    """
    return f"""from lolora_core.training.experiment.findings import methods_table, read_experiment

table = methods_table(read_experiment(), "{task}", {rank})"""


def experiment_rates(task: str, rank: int) -> str:
    """Return lines that make `curves`: the searches for learning rates of the experiment."""
    return f"""from lolora_core.training.experiment.findings import read_experiment, sensitivity

curves = sensitivity(read_experiment(), "{task}", {rank})"""


def search(plan: RacePlan) -> str:
    """Return lines that make `losses`: least validation loss by method and learning rate.

    Examples
    --------
    >>> print(search(RacePlan("image", ("global",), (None,), 8, 4, (0,), steps=9)))
    from lolora_core.training import Method, search_lr
    <BLANKLINE>
    methods = [
        Method("global", rank=8, grid=4),
    ]
    losses = {
        method.name: search_lr("image", method, seeds=[0], steps=9, device="cpu").losses
        for method in methods
    }
    """
    methods = "\n".join(f"    {_method(name, plan)}," for name in plan.methods)
    asked = f'"{plan.task}", method, seeds={list(plan.seeds)}{_options(plan)}'
    return f"""from lolora_core.training import Method, search_lr

methods = [
{methods}
]
losses = {{
    method.name: search_lr({asked}).losses
    for method in methods
}}"""
