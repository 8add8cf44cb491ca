"""The end of a race: verdict, table, ΔW as a target, downloads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app.shared import answers
from app.shared.uploads import look_at
from app.shared.words import format_error, three_digits
from app.views.fine_tune import compute, race_files, snippets, verdict_words
from app.views.fine_tune import sentences as words
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.lanes import Lane
from app.views.fine_tune.verdict_words import Verdict
from lolora_core.targets import Target
from lolora_core.training import METHODS, TASKS
from lolora_core.training.compare import Lead, MethodComparison
from lolora_core.training.experiment.protocol import SPENDS

__all__ = ["downloads", "facts", "interval", "open_in_compare", "table", "verdict"]


def _whole(race: Race) -> list[Lane]:
    """Return the lanes of methods that came through with every seed that is done."""
    done = {lane.seed for lane in race.lanes if lane.outcome is not None}
    return [
        lane
        for lane in race.lanes
        if lane.outcome is not None
        and all(other.outcome for other in race.lanes_of(lane.method) if other.seed in done)
    ]


def _runs(lanes: list[Lane]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": lane.method,
            "seed": lane.seed,
            "num_parameters": lane.num_parameters,
            "lr": lane.lr,
            "test_loss": lane.outcome.loss,
            "test_metric": lane.outcome.metric,
            "stopped_step": lane.outcome.stopped_step,
            "stopped_loss": lane.outcome.stopped_loss,
            "stopped_metric": lane.outcome.stopped_metric,
            "delta_norm": lane.records[-1].delta_norm,
            "seconds": lane.records[-1].seconds,
        }
        for lane in lanes
        if lane.outcome
    )


def verdict(race: Race, *, ended: bool) -> Verdict:
    """Say who is ahead where early stopping stops each, and whether that is more than luck."""
    lanes = _whole(race)
    if not lanes:
        return verdict_words.open_race(race.plan.methods, ended=ended)
    stopped, last = (_means(lanes, column) for column in ("stopped_loss", "test_loss"))
    lead = _lead(race, lanes)
    if lead is not None:
        return verdict_words.of_seeds(lead, len({lane.seed for lane in lanes}), last)
    if len(race.plan.methods) == 1:
        return verdict_words.of_one(race.plan.methods[0], *stopped.values())
    return verdict_words.of_one_seed(stopped, len(race.plan.seeds), last)


def _means(lanes: list[Lane], column: str) -> dict[str, float]:
    """Return the mean over the seeds by method."""
    means = _runs(lanes).groupby("method", sort=False)[column].mean()
    return {str(method): float(mean) for method, mean in means.items()}


def interval(race: Race) -> str | None:
    """Return the exact statement behind the verdict, where there are seeds to compare."""
    lead = _lead(race, _whole(race))
    return None if lead is None else verdict_words.interval(lead)


def _lead(race: Race, lanes: list[Lane]) -> Lead | None:
    if min(len({lane.seed for lane in lanes}), len({lane.method for lane in lanes})) < 2:
        return None
    return MethodComparison(TASKS[race.plan.task], _runs(lanes)).lead()


def facts(race: Race) -> None:
    """Say how near every method came, where the best ΔW is known."""
    plan, seed = race.plan, race.plan.seeds[0]
    rank = compute.target_rank(plan.task, seed)
    if rank is None:
        return
    rows = {}
    for lane in _whole(race):
        least = compute.nearest(plan.task, lane.method, plan.rank, plan.grid, seed)
        if lane.seed == seed and lane.outcome and least is not None:
            rows[lane.method] = (max(lane.outcome.ranks), lane.outcome.metric, least)
    if rows:
        st.markdown(verdict_words.reached(rank, rows))


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    text = format_error(float(np.mean(values)))
    return f"{text} ± {format_error(float(np.std(values, ddof=1)))}" if values[1:] else text


def _row(race: Race, method: str) -> dict[str, object]:
    lanes = race.lanes_of(method)
    done = [lane.outcome for lane in lanes if lane.outcome is not None]
    last = [lane.evaluated[-1] for lane in lanes if lane.evaluated and not lane.problem]
    ends = [lane.records[-1] for lane in lanes if lane.records]
    distances = [outcome.distance for outcome in done if outcome.distance is not None]
    ranks = [rank for outcome in done for rank in outcome.ranks]
    metric = TASKS[race.plan.task].metric_name
    return {
        "method": method,
        "test loss": _spread([outcome.stopped_loss for outcome in done]),
        f"test {metric}": _spread([outcome.stopped_metric for outcome in done]),
        "stopped at": words.span([outcome.stopped_step for outcome in done]) if done else "–",
        "loss, last step": _spread([outcome.loss for outcome in done]),
        f"{metric}, last step": _spread([outcome.metric for outcome in done]),
        "parameters": lanes[0].num_parameters if lanes and lanes[0].lr > 0 else None,
        "what it trains": METHODS[method].summary,
        "size": lanes[0].size if lanes else "",
        "validation loss": _spread([record.eval_loss or 0.0 for record in last]),
        "learning rate": f"{lanes[0].lr:g}" if lanes and lanes[0].lr > 0 else "–",
        "time": f"{three_digits(float(np.mean([e.seconds for e in ends])))} s"
        if ends and ends[-1].seconds
        else "–",
        "samples/s": round(ends[-1].samples_per_second) if ends else None,
        "rank of ΔW": words.span(ranks) if ranks else "–",
        "distance to full": _spread(distances),
    }


def table(race: Race) -> None:
    """Show what every method costs and reaches."""
    st.header("All figures", anchor=False)
    metric = TASKS[race.plan.task].metric_name
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    answers.table(
        pd.DataFrame([_row(race, method) for method in race.plan.methods]),
        key="ft_table",
        columns={
            "method": text(help="How the base is adapted.", pinned=True),
            "what it trains": text(help="What of the base may change, and in which form."),
            "size": text(
                help="Of blast and the methods of PEFT: the largest that fits the budget. Of the "
                "others the settings say it.",
                width=150,
            ),
            "parameters": number(
                help="Trainable parameters, those of the head included.", format="localized"
            ),
            "learning rate": text(help="Peak rate of AdamW; of lora-plus that of A."),
            "validation loss": text(help="At the last evaluation; the curves show it.", width=130),
            "test loss": text(
                help="On examples that nothing was chosen on, with the weights of the step where "
                "the validation loss was lowest. The verdict compares these.",
                width=130,
            ),
            f"test {metric}": text(
                help=f"{metric} on the same examples, at the same step.", width=140
            ),
            "stopped at": text(
                help="The step where the validation loss was lowest, of all that were evaluated: "
                "early stopping keeps its weights. Over several seeds, the first and the last."
            ),
            "loss, last step": text(
                help="Test loss after the last step. Higher than where it was stopped: the method "
                "went on to learn what holds for the training examples alone.",
                width=130,
            ),
            f"{metric}, last step": text(
                help=f"{metric} on test examples after the last step.", width=140
            ),
            "time": text(help="Spent in the method's own steps, evaluations left out."),
            "samples/s": number(
                help="Training examples a second of the method's own time.", format="localized"
            ),
            "rank of ΔW": text(
                help="Numerical rank after the last step, lowest to highest over the matrices."
            ),
            "distance to full": text(
                help="‖ΔW − ΔW_full‖/‖ΔW_full‖ over all adapted matrices after the last step, no "
                "unit; 1 is as far as no update at all. Needs full among the methods."
            ),
        },
    )
    if small := {lane.method: lane for lane in race.lanes if lane.share < SPENDS}:
        st.caption(words.far_below({m: (lane.size, lane.share) for m, lane in small.items()}))
    several = "Mean ± standard deviation over the seeds. " if len(race.plan.seeds) > 1 else ""
    st.caption(f"{several}Test values and ranks appear when a seed is done; – is not known.")
    answers.python(snippets.table(race.plan), key="ft_table_python")


def _target(race: Race, lane: Lane, module: str) -> Target:
    task, title = TASKS[race.plan.task], f"ΔW of {module}, learned by {lane.method}"
    return Target(
        id=f"delta-{lane.method}",
        title=title,
        kind="update",
        description=f"ΔW of {module} that {lane.method} learned in {lane.step} steps "
        f"of “{task.title}”, seed {lane.seed}, this session",
        source=task.source,
        licence="learned by this program from the data named above",
        array=lane.deltas[module],
        code=snippets.target(race.plan, lane.method, module, lane.step, title),
    )


def open_in_compare(race: Race) -> None:
    """Offer every learned ΔW as a target."""
    st.header("As a target in Compare", anchor=False)
    usable = {
        lane.method: lane
        for lane in race.lanes
        if any(delta.any() and np.isfinite(delta).all() for delta in lane.deltas.values())
    }
    if not usable:
        st.caption(words.NOTHING_LEARNED)
        return
    names = list(usable)
    name = st.selectbox(
        "Method", names, index=names.index("full") if "full" in names else 0, key="ft_open_method",
        help="Whose ΔW Compare is to look at, as it is after the last step; that of full is the "
        "full update.",
    )  # fmt: skip
    lane = usable[name]
    module = st.selectbox(
        "Adapted matrix", list(lane.deltas), key="ft_open_module", help="Whose update ΔW it is."
    )
    target = _target(race, lane, module)
    opened = st.button(
        "Open in Compare", on_click=look_at, args=(target, "views/compare/page.py"), key="ft_open",
        width="stretch",
    )  # fmt: skip
    if opened:
        # The click ran the race's part of the page alone; the whole goes to the other page.
        st.rerun()
    st.caption(
        "Compare asks how well each family can copy a ΔW that is known already. There the order is "
        "often the other way round: what trains best need not copy best."
    )


def downloads(race: Race) -> None:
    """Offer records, plan and adapters."""
    st.header("Download", anchor=False)
    stem = f"{race.plan.task}-r{race.plan.rank}-k{race.plan.grid}-seed{race.plan.seeds[0]}"
    offered = [
        ("Records, CSV", f"{stem}.csv", "text/csv",
         lambda: race_files.records_csv(race)),
        ("Records and plan, JSON", f"{stem}.json", "application/json",
         lambda: race_files.records_json(race)),
    ]  # fmt: skip
    for label, file_name, mime, make in offered:
        st.download_button(
            label, make, file_name, mime, on_click="ignore", width="stretch", key=file_name
        )
    kept = {lane.method: lane.adapter for lane in race.lanes if lane.adapter}
    if kept:
        name = st.selectbox(
            "Method", list(kept), key="ft_adapter_method",
            help="Whose adapter the file holds, as it is after the last step.",
        )  # fmt: skip
        st.download_button(
            "Adapter, ZIP of safetensors", lambda: kept[name], f"{stem}-{name}.zip",
            "application/zip", on_click="ignore", width="stretch", key="ft_adapter",
        )  # fmt: skip
    st.caption(
        "The adapter of a family, whatever its scaling and rates, opens with load_adapters; of the "
        "other methods the ZIP holds ΔW. A trained head lies beside it. The settings are under "
        "Share, as a link and as a file."
    )
