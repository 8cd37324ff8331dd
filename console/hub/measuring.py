"""A measurement from its inputs to the runs that are kept: asked through Kafka, scored, and written to
`novix.evals.v1`. What was measured is written also where the run is broken off."""

import asyncio
import os
import platform
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from console.hub.asking import catalogued
from console.hub.configs import labels_of
from console.hub.runs import Found, Runner, Terms, interleaved
from console.kafka import Log
from console.payload_files import bytes_of, references_in
from console.quotes.known import known as known_now
from hub.evals.kept import key_of
from hub.evals.labelled import LabelledSet
from hub.evals.made import About, Outcome, benched, evaluated, predictions
from hub.evals.names import Names, wants_config
from router.catalogue import load
from runtime.blobs import BlobError
from runtime.blobs.stores import open_store
from runtime.ports import Outgoing
from runtime.settings import Loaded, Settings
from schemas import codec
from schemas.evals import EvalRun
from schemas.media import is_ref
from schemas.topics import EVALS

MOST_OUTPUT_BYTES = 33_554_432
"""Of an output that travels by reference."""
UNREADABLE = "output_unreadable"
"""Of a job whose output lies in a blob store that does not give it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is measured."""

    kind: str
    models: Sequence[str]
    task: str
    tenant: str
    inputs: Sequence[Mapping[str, Any]]
    limit_nanousd: int
    timeout_s: float
    at_once: int
    dataset: str
    digest: str = ""
    provider: str = "auto"
    labelled: LabelledSet | None = None
    """Of an evaluation."""
    names: Mapping[str, str] = field(default_factory=dict)
    """From labels of the models to labels of the set, as both are compared."""


@dataclass(frozen=True, slots=True)
class Done:
    """What it came to."""

    runs: Sequence[EvalRun]
    found: Found
    notes: Sequence[str]


def new_id(kind: str, now: datetime) -> str:
    """A run's id: its kind, the instant, and four random digits."""
    return f"{kind}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def machine() -> str:
    """The machine that jobs are published from, as figures name it."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass  # not Linux
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"[:256]


async def measure(
    loaded: Loaded, log: Log, order: Order, advance: Callable[[], None], tell: Callable[[Done], None]
) -> Done:
    """Publish, wait, score, keep. Cancelled, it keeps what was measured until then, tells it, and raises."""
    started = datetime.now(UTC)
    run_id = new_id(order.kind, started)
    knowing = await known_now(loaded, log, started)
    entries = await catalogued(log, order.models, load(loaded.settings))
    revisions = {model: entry.revision for model in order.models if (entry := entries.get(f"model/{model}"))}
    terms = Terms(run_id, order.kind, order.task, order.tenant, order.timeout_s, order.at_once, provider=order.provider)
    # Of intervals nothing is told here: a ceiling is what counts.
    notes = [note for note in knowing.notes if not note.startswith("no history")]
    runner = Runner(log, knowing, terms, order.limit_nanousd, advance)
    try:
        await runner.run(interleaved(order.models, order.inputs))
    except asyncio.CancelledError:
        keeping = asyncio.create_task(
            _keep(loaded.settings, log, order, run_id, started, runner.found, revisions, True)
        )
        await asyncio.shield(keeping)
        tell(Done(keeping.result(), runner.found, notes))
        raise
    runs = await _keep(loaded.settings, log, order, run_id, started, runner.found, revisions, False)
    done = Done(runs, runner.found, notes)
    tell(done)
    return done


async def _keep(
    settings: Settings,
    log: Log,
    order: Order,
    run_id: str,
    started: datetime,
    found: Found,
    revisions: Mapping[str, str | None],
    broken_off: bool,
) -> list[EvalRun]:
    """Score what there is and write it. Models are scored on the examples of which every one has an outcome, so that
    they stay comparable; their money and their speed are those of all their jobs."""
    ended, common = datetime.now(UTC), found.common()
    notes: dict[str, Any] = {
        "at_once": order.at_once,
        "beside": [],
        "wanted": len(order.inputs),
        "without_result_nanousd": found.open_nanousd,
    }
    if found.stopped:
        notes["stopped"] = found.stopped
    if broken_off:
        notes["broken_off"] = True
    runs = list[EvalRun]()
    for model, rows in found.outcomes.items():
        if not rows:
            continue
        about = About(
            run_id, model, order.task, order.tenant, started, ended, machine(), order.limit_nanousd,
            None if order.provider == "auto" else order.provider, revisions.get(model),
            {**notes, "beside": [other for other in order.models if other != model]},
        )  # fmt: skip
        if order.labelled is None:
            runs.append(benched(about, order.dataset, order.digest, [rows[place] for place in sorted(rows)]))
        elif common:
            runs.append(await _scored(settings, about, order, order.labelled, rows, common))
    await log.publish([Outgoing(EVALS.name, key_of(run), run.encode(), partition=0) for run in runs])
    return runs


async def _scored(
    settings: Settings,
    about: About,
    order: Order,
    labelled: LabelledSet,
    rows: Mapping[int, Outcome],
    common: Sequence[int],
) -> EvalRun:
    some = replace(labelled, examples=tuple(labelled.examples[place] for place in common))
    outcomes = [await whole(settings, labelled.task, rows[place]) for place in common]
    names = Names(order.names)
    if wants_config(some, predictions(some, outcomes), names):
        config, fault = await labels_of(settings, about.model, about.revision)
        names = Names(order.names, config)
        about = replace(about, notes={**(about.notes or {}), "labels_config": fault}) if fault else about
    run = await asyncio.to_thread(evaluated, about, some, outcomes, names)
    more = sum(rows[place].cost_nanousd for place in rows if place not in set(common))
    return run.model_copy(update={"cost_nanousd": run.cost_nanousd + more}) if more else run


async def whole(settings: Settings, task: str, outcome: Outcome) -> Outcome:
    """The outcome with its output fetched, where that travels by reference."""
    if not is_ref(outcome.output):
        return outcome
    try:
        [ref] = references_in(task, outcome.output)
        async with open_store(settings) as store:
            data = await bytes_of(store, ref, min(ref.bytes, MOST_OUTPUT_BYTES))
        return replace(outcome, output=codec.parse(data))
    except (BlobError, codec.Undecodable, ValueError):
        return replace(outcome, kind=UNREADABLE, output=None)
