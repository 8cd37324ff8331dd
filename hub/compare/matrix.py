"""The table of a comparison: one row a fact, one cell a model, "unknown" where nobody knows. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hub.compare.choose import Known, dollars
from hub.compare.memory import memory
from hub.compare.subject import BETTER_LOW, Subject
from schemas.catalog import CatalogEntry
from schemas.comparison import UNKNOWN, Cell, Costs, Matrix, MatrixRow, Performance, Quality

Better = Literal["low", "high", ""]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rows are made from, of one model."""

    subject: Subject
    quality: Quality
    known: Known


def matrix(facts: Sequence[Facts]) -> Matrix:
    """The whole table, its rows in the order in which people ask: what is it, may I, how fast, how good, how dear."""
    rows = [
        _row("task", "What its card says that it does", facts, lambda one: _task(one.entry)),
        _row("parameters", "Numbers that it was trained to", facts, lambda one: _count(one.entry.parameters)),
        _row("memory", MEMORY, facts, lambda one: _memory(one.entry), unit="bytes", better="low"),
        _row("context", "Tokens of input and output together", facts, lambda one: _count(one.entry.context_tokens)),
        _row("license", "SPDX id", facts, lambda one: _license(one.entry)),
        _row("gated", "Its author wants to be asked first", facts, lambda one: _text(one.entry.gated)),
        _row("security", "The worst that scanners found in its files", facts, lambda one: _security(one.entry)),
        _row("custom_code", "It wants trust_remote_code", facts, lambda one: _custom_code(one.entry)),
        _row("allowed", "Whether the tenant may use it", facts, _allowed),
        _row("served_by", "Providers that serve it now", facts, lambda one: _served(one.entry)),
        _row("downloads", "Of 30 days, as the Hub counts", facts, lambda one: _count(one.entry.downloads)),
        _row("likes", "On the Hub", facts, lambda one: _count(one.entry.likes)),
        _row("p50", OBSERVED, facts, lambda one: _speed(one.performance, 50), unit="ms", better="low"),
        _row("p95", OBSERVED, facts, lambda one: _speed(one.performance, 95), unit="ms", better="low"),
        _row("throughput", THROUGHPUT, facts, lambda one: _throughput(one.performance), unit="1/s"),
        _row("cost", "Of one job of the mix", facts, lambda one: _cost(one.costs), unit="nanousd", better="low"),
        _row("paid", "Of one job, as paid here", facts, lambda one: _paid(one.costs), unit="nanousd"),
    ]
    return Matrix(models=tuple(one.subject.id for one in facts), rows=(*rows, _qualities(facts)))


MEMORY = "While it runs: its weights and a fifth; caches of long contexts come on top"
OBSERVED = "Calls of jobs that needed one call, on this installation"
THROUGHPUT = "Of the newest bench run, on the machine that it names"


def _row(
    name: str,
    what: str,
    facts: Sequence[Facts],
    cell: Callable[[Subject], Cell],
    *,
    unit: str = "",
    better: Better = "",
) -> MatrixRow:
    cells = tuple(cell(one.subject) for one in facts)
    return MatrixRow(name=name, what=what, unit=unit, cells=cells, better=better, best=best_of(cells, better))


def best_of(cells: Sequence[Cell], better: Better) -> tuple[int, ...]:
    """Places of the best values; none where fewer than two are known, or all are the same."""
    values = [(at, cell.value) for at, cell in enumerate(cells) if _is_number(cell.value)]
    numbers = [(at, float(value)) for at, value in values if isinstance(value, int | float)]
    if not better or len({value for _, value in numbers}) < 2:
        return ()
    best = (min if better == "low" else max)(value for _, value in numbers)
    return tuple(at for at, value in numbers if value == best)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _qualities(facts: Sequence[Facts]) -> MatrixRow:
    metric = next((one.quality.metric for one in facts if one.quality.metric), None)
    dataset = next((one.quality.dataset for one in facts if one.quality.dataset), None)
    better: Better = "low" if metric in BETTER_LOW else "high"
    cells = tuple(_quality(one.quality) for one in facts)
    what = f"{metric} on {dataset}" if metric else "No evaluation run on a set that they share"
    return MatrixRow(name="quality", what=what, cells=cells, better=better, best=best_of(cells, better))


def size(number: int) -> str:
    """`2.1 GB`, decimal."""
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1_000 or unit == "TB":
            break
        value /= 1_000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def _memory(entry: CatalogEntry) -> Cell:
    found = memory(entry)
    return Cell() if found is None else Cell(text=size(found.bytes), value=found.bytes, note=found.says)


def _task(entry: CatalogEntry) -> Cell:
    if entry.task is not None or not entry.tasks:
        return _text(entry.task)
    return _text(", ".join(entry.tasks))


def _text(value: str | None) -> Cell:
    return Cell() if value is None else Cell(text=value, value=value)


def _count(value: int | None) -> Cell:
    return Cell() if value is None else Cell(text=f"{value:,}", value=value)


def _license(entry: CatalogEntry) -> Cell:
    if entry.license is not None:
        return Cell(text=entry.license, value=entry.license)
    note = f"its card says {entry.license_raw}" if entry.license_raw else ""
    return Cell(note=note)


def _security(entry: CatalogEntry) -> Cell:
    security = entry.security
    if security is None or security.level == "unscanned":
        return Cell(note="not scanned" if security is not None else "")
    note = "" if security.scans_done else "scans are not done"
    return Cell(text=security.level, value=security.level, source=security.source, note=note)


def _custom_code(entry: CatalogEntry) -> Cell:
    told = None if entry.security is None else entry.security.custom_code
    return Cell() if told is None else Cell(text="yes" if told else "no", value=told)


def _allowed(subject: Subject) -> Cell:
    if subject.allowed is None:
        return Cell(note=subject.allowed_why)
    return Cell(text="yes" if subject.allowed else "no", value=subject.allowed, note=subject.allowed_why)


def _served(entry: CatalogEntry) -> Cell:
    live = sorted({offer.provider for offer in entry.served if offer.status == "live"})
    if not live:
        return Cell()
    return Cell(text=", ".join(live[:5]) + (f" and {len(live) - 5} more" if len(live) > 5 else ""), value=len(live))


def _speed(performance: Performance, per_cent: int) -> Cell:
    value = performance.p50_ms if per_cent == 50 else performance.p95_ms
    if value is None:
        return Cell()
    return Cell(text=f"{value:,.0f} ms", value=value, n=performance.n, window_s=performance.window_s, source="observed")


def _throughput(performance: Performance) -> Cell:
    if performance.jobs_per_s is None:
        return Cell()
    return Cell(
        text=f"{performance.jobs_per_s:,.2f} jobs a second",
        value=performance.jobs_per_s,
        source=performance.bench_run,
        note=performance.machine,
    )


def _cost(costs: Costs) -> Cell:
    told = costs.nanousd
    if told is None:
        return Cell(note=costs.why_not)
    note = f"at {costs.provider}" if costs.provider else ""
    if costs.off is not None:
        note += f"; {costs.off:+.1%} off what {costs.off_n} of these jobs paid with it"
    return Cell(
        text=dollars(told.value),
        value=told.value,
        low=told.low,
        high=told.high,
        n=told.n,
        source=told.source,
        note=note,
    )


def _paid(costs: Costs) -> Cell:
    told = costs.paid
    if told is None:
        return Cell()
    return Cell(
        text=dollars(told.value), value=told.value, low=told.low, high=told.high, n=told.n, window_s=told.window_s,
        source="observed",
    )  # fmt: skip


def _quality(quality: Quality) -> Cell:
    if quality.value is None:
        return Cell(text=UNKNOWN, note=f"{len(quality.others)} runs on other sets" if quality.others else "")
    return Cell(
        text=f"{quality.value:.3f}", value=quality.value, low=quality.low, high=quality.high, n=quality.n,
        source=quality.run_id or "",
    )  # fmt: skip
