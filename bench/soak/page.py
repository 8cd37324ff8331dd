"""The page of a soak, its picture, and the file that both are made from. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from bench.proof import Origin
from bench.soak.growth import BLOCKS, ERRORS, LIMITS, slope
from bench.soak.picture import COLOURS, Line, Panel, picture
from bench.soak.sampling import Look, Samples

QUANTITIES = {
    "rss_mb": "memory, MB",
    "fds": "file descriptors",
    "threads": "threads",
    "works": "records begun and not settled",
}
ALONG_LANES = ("fds",)
"""Quantities of which each lane that a process has takes its part."""
BROKER = "broker"

TEXT = """\
# The soak

**{passed}**: {jobs} jobs in {minutes} minutes under {faults} random faults; {lost} lost, {doubled} doubled, {repeated}
calls for nothing ({ambiguous} attempts are listed as interrupted). Of {series} series {grow} grow, {flat} do not,
and of {unknown} it cannot be told from a run of this length.

![memory, descriptors, threads, records at work and lag over the run](soak.svg)

Written by `make soak MINUTES=60`; samples in `soak.json`.

{origin}
- seed of load and faults: {seed}

## What ran

Two routers, four text workers, one Apache Kafka node and one stub provider; {rate} jobs a second: chat plain and
streamed, embeddings, jobs in order, jobs published twice; thirteen tenants, of which one has a purse that runs out and
one a budget an hour. They ended so: {statuses}.

Faults begun: {kinds}. `{spared}` are never hit: their memory tells what grows. A process that is killed and started
again begins anew; the picture shows its restarts.

## Does it grow?

The slope over the second half of the run, by least squares through {blocks} block means, with the half-width of its
95 % interval (Student's t, {errors}). It *grows* if all of the interval lies above the limit, *does not grow* if all of
it lies below; otherwise the run was too short (a second half under ten minutes) or too uneven to tell. Each lane has
connections and files of its own, and lanes move: descriptors are fitted to time and to a process's lanes together.
A broker that dies takes connections with it, which come back one by one as they are used: look at the picture before
you believe a slope of theirs.

What a router's lane remembers of identities and of reservations that ended is bounded here to 1,000
(`NOVIX_DEDUP_MAX`), where an installation has 1,000,000 and 50,000: so these are full before the second half, and
whatever grows in it grows without a bound. The page cache of an SQLite file grows with it, to 2 MB.

| series | quantity | slope an hour | limit an hour | verdict |
|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Told:
    """All that a run has found out."""

    origin: Origin
    seed: int
    length_s: float
    rate: float
    """Jobs a second that were published between faults."""
    samples: Samples
    spared: Sequence[str]
    """Processes that no fault hits."""
    faults: Sequence[tuple[float, str]]
    """When each began, and what it was."""
    verdict: dict[str, Any]
    """As the offline checker handed it in."""
    statuses: dict[str, int]
    """Results by how they ended."""
    strays: Sequence[str]
    """Processes that ended although nobody wanted them to."""

    @property
    def passed(self) -> bool:
        """The checker has nothing to complain of, nobody ended by himself, and nothing grows that was seen to."""
        return not self.verdict["complaints"] and not self.strays and "grows" not in self.outcomes

    @property
    def outcomes(self) -> Counter[str]:
        """How many series grow, do not grow, cannot be told."""
        return Counter(outcome for _, _, _, outcome in growth(self))


def read(stored: dict[str, Any]) -> Told:
    """What `document` stored."""
    looks = {name: [Look(*row) for row in rows] for name, rows in stored["looks"].items()}
    lag = [(at, dict(lags)) for at, lags in stored["lag"]]
    faults = [(at, what) for at, what in stored["faults"]]
    return Told(
        Origin(**stored["origin"]), stored["seed"], stored["length_s"], stored["rate"],
        Samples(looks, lag, stored["blind"]), stored["spared"], faults, stored["verdict"], stored["statuses"],
        stored["strays"],
    )  # fmt: skip


def document(told: Told) -> dict[str, Any]:
    """The raw samples, for `soak.json`."""
    looks = {
        name: [
            [round(look.at_s, 1), look.pid, round(look.rss_mb, 1), look.fds, look.threads, look.works, look.lanes]
            for look in seen
        ]
        for name, seen in told.samples.looks.items()
    }
    return {
        "origin": told.origin.document(), "seed": told.seed, "length_s": told.length_s, "rate": told.rate,
        "spared": list(told.spared), "verdict": told.verdict, "statuses": told.statuses, "strays": list(told.strays),
        "faults": [[round(at, 1), what] for at, what in told.faults],
        "columns": ["at_s", "pid", "rss_mb", "fds", "threads", "works", "lanes"], "looks": looks,
        "lag": [[round(at, 1), lags] for at, lags in told.samples.lag], "blind": told.samples.blind,
        "growth": [
            {"series": series, "what": what} | (asdict(found) if found else {}) | {"verdict": verdict}
            for series, what, found, verdict in growth(told)
        ],
    }  # fmt: skip


def growth(told: Told) -> list[tuple[str, str, Any, str]]:
    """Series, quantity, slope (None: too few samples) and verdict, of what is never killed, and of the lag."""
    rows: list[tuple[str, str, Any, str]] = []
    for name in told.spared:
        for quantity, words in QUANTITIES.items():
            looks = told.samples.looks[name]
            # Looks in which the process said nothing of its lanes cannot be laid beside them.
            beside = [look for look in looks if look.lanes is not None] if quantity in ALONG_LANES else []
            lanes_of = [float(look.lanes or 0) for look in beside]
            found = slope(_series(beside or looks, quantity), LIMITS[quantity], lanes_of)
            rows.append((name, words, found, found.verdict if found else "cannot be told"))
    for lanes in _lanes(told.samples):
        series = [(at, float(lags[lanes])) for at, lags in told.samples.lag]
        found = slope(series, LIMITS["lag"])
        rows.append((f"{lanes} lanes", "lag, records", found, found.verdict if found else "cannot be told"))
    return rows


def drawing(told: Told) -> str:
    """`soak.svg`."""
    colours = dict(zip(told.samples.looks, COLOURS, strict=False))

    def panel(words: str, quantity: str, *, broker: bool) -> Panel:
        lines = [
            Line(name, colours[name], pieces, restarts=True, spared=name in told.spared)
            for name, looks in told.samples.looks.items()
            if (name == BROKER) == broker and (pieces := _pieces(looks, quantity))
        ]
        return Panel(words, lines)

    panels = [panel(words, quantity, broker=False) for quantity, words in QUANTITIES.items()]
    lag = [
        Line(lanes, COLOURS[number], _unbroken([(at, float(lags[lanes])) for at, lags in told.samples.lag]))
        for number, lanes in enumerate(_lanes(told.samples))
    ]
    panels += [Panel("lag of the lanes, records", lag), panel("memory of the broker, MB", "rss_mb", broker=True)]
    ends = [looks[-1].at_s for looks in told.samples.looks.values() if looks]
    length_s = max(told.length_s, *ends, *(at for at, _ in told.samples.lag))
    title = (
        f"{told.length_s / 60:.0f} minutes of mixed load under {len(told.faults)} faults (upright lines); "
        "thick: never killed; triangles: restarts"
    )
    return picture(panels, [at for at, _ in told.faults], length_s, title)


def page(told: Told) -> str:
    """`soak.md`."""
    verdict = told.verdict
    kinds = Counter(what.split(" ")[2] for _, what in told.faults)
    lines = TEXT.format(
        passed="Passed" if told.passed else "NOT passed",
        jobs=f"{verdict['jobs']:,}", minutes=f"{told.length_s / 60:.3g}", faults=len(told.faults),
        lost=verdict["lost"], doubled=verdict["doubled"], repeated=verdict["repeated"], ambiguous=verdict["ambiguous"],
        origin="\n".join(told.origin.lines()), seed=told.seed, rate=f"{told.rate:g}",
        statuses=", ".join(f"{count:,} {status}" for status, count in sorted(told.statuses.items())),
        kinds=", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        spared="` and `".join(told.spared), blocks=BLOCKS, errors=ERRORS, series=told.outcomes.total(),
        grow=told.outcomes["grows"], flat=told.outcomes["does not grow"], unknown=told.outcomes["cannot be told"],
    ).splitlines()  # fmt: skip
    for series, words, found, outcome in growth(told):
        measured = f"{found.per_hour:+.1f} ± {found.error:.1f} | {found.limit:g}" if found else "too few samples | "
        lines.append(f"| {series} | {words} | {measured} | {outcome} |")
    lines += [
        "",
        "| process | starts | memory, MB: first, last, highest | descriptors | threads |",
        "|---|---|---|---|---|",
    ]
    for name, looks in told.samples.looks.items():
        if looks:
            memory = [look.rss_mb for look in looks]
            lines.append(
                f"| {name} | {len(_pieces(looks, 'rss_mb'))} | {memory[0]:.0f}, {memory[-1]:.0f}, {max(memory):.0f} | "
                f"at most {max(look.fds for look in looks)} | at most {max(look.threads for look in looks)} |"
            )
    lines += [
        "",
        "The broker's heap is Java's: it is shown and not judged. "
        f"{told.samples.blind} times it did not answer for the lag.",
        "",
        "## The offline checker",
        "",
        *([f"- {complaint}" for complaint in [*verdict["complaints"], *told.strays]] or ["Nothing to complain of."]),
        "",
    ]
    return "\n".join(lines)


def _lanes(samples: Samples) -> list[str]:
    return list(samples.lag[0][1]) if samples.lag else []


def _unbroken(series: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Cut where nothing was seen for a while: three times the usual time and more."""
    apart = sorted(late[0] - early[0] for early, late in pairwise(series))
    usual = apart[len(apart) // 2] if apart else 0.0
    pieces: list[list[tuple[float, float]]] = [list(series[:1])]
    for early, late in pairwise(series):
        if late[0] - early[0] > 3 * usual:
            pieces.append([])
        pieces[-1].append(late)
    return pieces


def _series(looks: Sequence[Look], quantity: str) -> list[tuple[float, float]]:
    value: Callable[[Look], Any] = lambda look: getattr(look, quantity)  # noqa: E731 - said once, used twice
    return [(look.at_s, float(value(look))) for look in looks if value(look) is not None]


def _pieces(looks: Sequence[Look], quantity: str) -> list[list[tuple[float, float]]]:
    """The series, cut where the process is another one."""
    pieces: list[list[tuple[float, float]]] = []
    last = None
    for look in looks:
        value = getattr(look, quantity)
        if look.pid != last:
            pieces.append([])
            last = look.pid
        if value is not None:
            pieces[-1].append((look.at_s, float(value)))
    return [piece for piece in pieces if piece]
