"""The experiment in words: the paragraph of the README, and the document with every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["document", "paragraph"]

_FILE = "does-it-train-better.json"
_OUTCOMES = ("better", "worse", "even", "unclear")


def paragraph(found: Mapping[str, Any]) -> str:
    """Return what the experiment found, in a few sentences of Markdown.

    Parameters
    ----------
    found : mapping
        Of `reproduce`.
    """
    seeds = len(found["seeds"])
    sentences = [
        f"At equal budgets and equal numbers of gradients, with {seeds} seeds and learning rates "
        "chosen on other data:"
    ]
    sentences += [
        _sentence(verdict, found) for verdict in found["verdicts"] if _is_of_paper(verdict)
    ]
    dropped = _dropped(found)
    if dropped:
        sentences.append(
            f"Dropped, because there full fine-tuning does not beat the frozen base: {dropped}."
        )
    return " ".join(sentences)


def _is_of_paper(verdict: Mapping[str, Any]) -> bool:
    return "2506.00236" in verdict["stated"]


def _sentence(verdict: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    own = [row for row in found["comparisons"] if row["question"] == verdict["question"]]
    clear = [
        f"clearly {outcome} {_listed([row for row in own if row['outcome'] == outcome])}"
        for outcome in ("better", "worse")
        if verdict[outcome]
    ]
    rest = f"even in {verdict['even']} cells and unclear in {verdict['unclear']}"
    claim = verdict["claim"]
    return (
        f"“{claim[0].upper()}{claim[1:]}”: **{verdict['verdict']}**: {'; '.join([*clear, rest])}; "
        f"mean difference over all {verdict['cells']} cells {_interval(verdict)}."
    )


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return tasks with their budgets, as "on image (r = 4, 8)"."""
    ranks: dict[str, list[str]] = {}
    for row in rows:
        ranks.setdefault(row["task"], []).append(str(row["rank"]))
    return "on " + ", ".join(f"{task} (r = {', '.join(r)})" for task, r in ranks.items())


def _dropped(found: Mapping[str, Any]) -> str:
    return ", ".join(name for name, task in found["tasks"].items() if not task["learnable"])


def _interval(row: Mapping[str, Any]) -> str:
    """Return a mean with its interval: losses in % of the frozen base's, accuracies in points."""
    loss = row.get("value", "test_losses") == "test_losses" and row.get("lower_is_better", True)
    unit = "% of the frozen base's loss" if loss else "points of accuracy"
    mean, low, high = (f"{100 * row[key]:+.3g}" for key in ("mean", "low", "high"))
    return f"{mean} {unit} [{low}, {high}]"


def _command(verdict: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if len(verdict["tasks"]) > 4:
        return "`lolora reproduce`"
    return f"`lolora reproduce {' '.join('--task ' + task for task in verdict['tasks'])}`"


def document(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown: verdicts, tasks, comparisons, and every figure.

    Parameters
    ----------
    found : mapping
        Of `reproduce`.
    """
    lines = [
        "# Does it train better?",
        "",
        f"Written by `lolora reproduce`, after [the protocol](protocol.md); the same figures with "
        f"the loss of every seed lie in [{_FILE}]({_FILE}). {_made(found)}",
        "",
        paragraph(found),
        "",
        *_verdicts(found),
        *_tasks(found),
        *_pictures(found),
        *_comparisons(found),
        *_methods(found),
    ]
    return "\n".join(lines)


def _made(found: Mapping[str, Any]) -> str:
    made = found["machine"]
    hours, minutes = divmod(round(found["core_seconds"] / 60), 60)
    return (
        f"{found['runs']:,} runs, {hours} h {minutes} min of one core, on {made['cores']} cores of "
        f"{made['processor']} ({made['system']}) with Python {made['python']}, torch "
        f"{made['torch']} and NumPy {made['numpy']}."
    )


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Verdicts",
        "",
        "A claim is that the first method does better than the second at the same budget. Cells "
        "are pairs of a task and a budget; better, worse, even and unclear are those of the "
        "protocol. The difference is the mean over the cells, with its 95 % interval over the "
        "seeds: negative is better for a loss, positive for accuracy that was kept. A command that "
        "runs a part corrects its comparisons with all the others that are committed.",
        "",
        "| claim | where stated | verdict | better / worse / even / unclear | difference | run |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for verdict in found["verdicts"]:
        counts = " / ".join(str(verdict[name]) for name in _OUTCOMES)
        lines.append(
            f"| {verdict['claim']} | {verdict['stated']} | **{verdict['verdict']}** | {counts} | "
            f"{_interval(verdict)} | {_command(verdict, found)} |"
        )
    return [*lines, ""]


def _tasks(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Tasks",
        "",
        "The base before any step, and full fine-tuning less the frozen base with its head "
        "trained: the mean difference of the test loss and its 95 % interval. Where that is not "
        "clearly below 0 the task is dropped.",
        "",
        "| task | metric | base, new data | base, old data | full − frozen | counts |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for name, task in found["tasks"].items():
        lead, old = task["full_minus_frozen"], task["base"]["retained"]
        lines.append(
            f"| {name} | {task['metric']} | {task['base']['metric']:.3g} | "
            f"{'' if old is None else f'{old:.3g}'} | {lead['mean']:+.3g} "
            f"[{lead['low']:+.3g}, {lead['high']:+.3g}] | "
            f"{'yes' if task['learnable'] else '**dropped**'} |"
        )
    return [*lines, ""]


def _pictures(found: Mapping[str, Any]) -> list[str]:
    tasks = [name for name, task in found["tasks"].items() if task["learnable"]]
    return [
        "## How much the learning rate matters",
        "",
        "Validation loss over the peak learning rate, mean over the seeds of the search, at every "
        "budget; the best rate of each lies inside.",
        "",
        *(f"![{name}: validation loss over learning rate](rates-{name}.png)" for name in tasks),
        "",
        "## What is forgotten",
        "",
        "Accuracy on what the base was made for over accuracy on the new data, a dot an "
        "evaluation, the large one the last step; mean over the seeds.",
        "",
        *(
            f"![{name}: accuracy on old data over accuracy on new data](kept-{name}.png)"
            for name in tasks
            if found["tasks"][name]["forgets"]
        ),
        "",
    ]


def _comparisons(found: Mapping[str, Any]) -> list[str]:
    lines = ["## Comparisons", ""]
    for verdict in found["verdicts"]:
        lines += [
            f"### {verdict['claim'][0].upper()}{verdict['claim'][1:]}",
            "",
            "| task | r | first | second | difference, 95 % interval | effect d | p, corrected | "
            "outcome |",
            "| --- | ---: | --- | --- | --- | ---: | ---: | --- |",
        ]
        for row in found["comparisons"]:
            if row["question"] == verdict["question"]:
                effect = "∞" if row["effect"] is None else f"{row['effect']:+.3g}"
                lines.append(
                    f"| {row['task']} | {row['rank']} | {row['first']} | {row['second']} | "
                    f"{_interval(row)} | {effect} | {row['p_holm']:.2g} | {row['outcome']} |"
                )
        lines.append("")
    return lines


def _methods(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Every method",
        "",
        "Test loss and metric as mean ± standard deviation over seeds, where early stopping "
        "stopped; the loss after the last step; what is left of the accuracy on the source "
        "domain; and the relative error of the best ΔW by SVD, where it is known and the family "
        "has a best one.",
        "",
        "| task | r | method | parameters | learning rate | test loss | metric | stopped at | last "
        "step's loss | kept | optimum |",
        "| --- | ---: | --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, task in found["tasks"].items():
        for method, row in task["methods"].items():
            lines.append(_method(name, "", method, row))
        for cell in found["results"]:
            if cell["task"] != name:
                continue
            for method, row in cell["methods"].items():
                lines.append(_method(name, cell["rank"], method, row))
            lines += [
                f"| {name} | {cell['rank']} | {method} | left out: {why} | | | | | | | |"
                for method, why in cell["left_out"].items()
            ]
    return [*lines, ""]


def _method(task: str, rank: int | str, name: str, row: Mapping[str, Any]) -> str:
    def figure(key: str, digits: int = 3) -> str:
        return "" if row[key] is None else f"{row[key]:.{digits}g}"

    star = "*" if row["lr_at_the_edge"] else ""
    return (
        f"| {task} | {rank} | {name} | {row['num_parameters']:,} | {figure('lr')}{star} | "
        f"{figure('loss_mean')} ± {figure('loss_sd', 2)} | {figure('metric_mean')} ± "
        f"{figure('metric_sd', 2)} | {figure('stopped_at')} | {figure('final_loss_mean')} | "
        f"{figure('retained_mean')} | {figure('optimum')} |"
    )
