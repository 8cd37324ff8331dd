"""Runs as people read them. Pure."""

from collections.abc import Sequence
from typing import Any

from console.telling.evidence import mapping
from console.words import money, span
from schemas.evals import EvalRun, Score

UNKNOWN = "unknown"
COLUMNS = ("run", "model", "task", "set", "asked", "answered", "score", "p50", "p95", "a second", "cost")


def row(run: EvalRun) -> list[str]:
    """A line of a table."""
    rate = UNKNOWN if run.jobs_per_s is None else f"{run.jobs_per_s:.2f}"
    return [
        run.run_id,
        run.model,
        run.task,
        run.dataset,
        str(run.asked),
        str(run.answered),
        score(run.scores[0]) if run.scores else "-",
        UNKNOWN if run.latency_p50_ms is None else span(run.latency_p50_ms),
        UNKNOWN if run.latency_p95_ms is None else span(run.latency_p95_ms),
        rate,
        cost(run),
    ]


def cost(run: EvalRun) -> str:
    """What it cost; `at least` where a result is missing."""
    return money(run.cost_nanousd) if run.cost_is_known else f"at least {money(run.cost_nanousd)}"


def score(one: Score) -> str:
    """`accuracy 0.910 (0.871 to 0.939)`."""
    average = f" {one.average}" if one.average else ""
    return f"{one.metric}{average} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def whole(run: EvalRun) -> list[str]:
    """Everything that is told of one run."""
    lines = [
        f"{run.run_id}  {run.kind} of {run.model}"
        + (f" at {run.provider}" if run.provider else "")
        + (f", commit {run.revision[:12]}" if run.revision else ""),
        f"  {run.task} on {run.dataset}" + (f" ({run.split})" if run.split else "") + f", {run.dataset_digest[:19]}",
        f"  from {run.started_at:%Y-%m-%d %H:%M:%S} to {run.ended_at:%H:%M:%S} UTC, as {run.tenant}, on {run.machine}",
        f"  asked {run.asked}, answered {run.answered}"
        + "".join(f", {kind} {number}" for kind, number in run.failed.items()),
    ]
    lines += [f"  {score(one)}, {one.method}, n={one.n}" for one in run.scores]
    lines += _labels(run)
    lines.append(
        f"  calls p50 {_time(run.latency_p50_ms)}, p95 {_time(run.latency_p95_ms)}; "
        f"{UNKNOWN if run.jobs_per_s is None else f'{run.jobs_per_s:.2f}'} jobs a second, "
        f"{run.notes.get('at_once', '?')} at once; cost {cost(run)}"
        + (f" of {money(run.budget_nanousd)}" if run.budget_nanousd is not None else "")
    )
    if run.notes.get("stopped"):
        lines.append(f"  stopped: {run.notes['stopped']}")
    if run.notes.get("broken_off"):
        lines.append("  broken off: only what was measured until then")
    return lines


def _labels(run: EvalRun) -> list[str]:
    """What became of labels that are not the set's."""
    told, lines = mapping(run.notes.get("labels")), list[str]()
    mapped, unmapped = mapping(told.get("mapped")), mapping(told.get("unmapped"))
    if mapped:
        pairs = ", ".join(f"{name} is {to}" for name, to in mapped.items())
        lines.append(f"  labels ({' and '.join(map(str, told.get('from') or ()))}): {pairs}")
    if unmapped:
        pairs = ", ".join(f"{name} {count}" for name, count in unmapped.items())
        lines.append(f"  labels that are none of the set's: {pairs}; say what they mean: --map LABEL=LABEL")
    if run.notes.get("labels_config"):
        lines.append(f"  {run.notes['labels_config']}")
    if run.kind == "eval" and run.asked and not run.scores:
        lines.append("  no score: no answer has a label of the set")
    return lines


def document(runs: Sequence[EvalRun]) -> list[dict[str, Any]]:
    """As JSON."""
    return [run.model_dump(mode="json") for run in runs]


def _time(milliseconds: float | None) -> str:
    return UNKNOWN if milliseconds is None else span(milliseconds)
