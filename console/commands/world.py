"""`novix up`, `novix status`, `novix down`: a world on this machine."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.kafka import Log
    from console.world import World
    from runtime.settings import Loaded

LOOK_EVERY_S = 0.1
COUNTED_OFFSETS = 100
"""A lag up to this is counted record by record; beyond it, some marks more do not matter."""


@command
def up(
    hf: Annotated[
        Literal["auto", "local", "real"],
        typer.Option(
            help="Who answers: the sandbox's local models, Hugging Face itself (wants a token), or (auto) "
            "NOVIX_HF_ROUTER_URL if it is set, else the sandbox."
        ),
    ] = "auto",
    broker: Annotated[
        Literal["local", "container"], typer.Option(help="Which Kafka, unless NOVIX_KAFKA_BOOTSTRAP names one.")
    ] = "local",
    workers: Annotated[
        Literal["one", "each"], typer.Option(help="One worker process for all modalities, or one for each.")
    ] = "one",
    timeout: Annotated[float, typer.Option(help="Seconds to wait, downloads included.", min=1)] = 900,
    as_json: AsJson = False,
) -> Exit:
    """Start everything here, in the background: Kafka, a local Hugging Face, router, workers, pages."""
    from console.live.processes import described
    from console.world import living_world, plan, read_world

    loaded, screen = settings(), Screen(as_json=as_json)
    home = loaded.settings.home
    standing = living_world(home)
    if standing is not None and standing.ready:
        screen.answer(described(standing), ["it is up already", *_addresses(standing)])
        return Exit.OK
    plan(loaded, hf)  # refuses contradictions here, where a person sees it
    log = home / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    seen = log.stat().st_size if log.exists() else 0
    child = _supervise(home, log, hf, broker, workers) if standing is None else None
    until = time.monotonic() + timeout
    while True:
        seen = _retell(log, seen, screen)
        world = read_world(home)
        if world is not None and world.ready:
            break
        if (child is not None and child.poll() is not None) or (child is None and living_world(home) is None):
            _retell(log, seen, screen)
            raise CommandError(f"it did not come up; the whole story: {log}")
        if time.monotonic() > until:
            raise CommandError(
                f"it is not up after {timeout:g} s and goes on trying; look with: novix status; log: {log}",
                Exit.NOT_MET,
            )
        time.sleep(LOOK_EVERY_S)
    _retell(log, seen, screen)
    screen.answer(described(world), _addresses(world))
    return Exit.OK


@command
def status(as_json: AsJson = False) -> Exit:
    """Tell what runs where and how it is: processes, lag of each group, open breakers, how far back ids are known."""
    from console import report
    from console.live.processes import described as described_world
    from console.words import shown
    from console.world import living_world

    loaded, screen = settings(), Screen(as_json=as_json)
    world = living_world(loaded.settings.home)
    if world is None:
        screen.answer({"up": False, "processes": [], "lag": {}}, ["nothing runs; start it with: novix up"])
        return Exit.NOT_MET
    described = described_world(world)
    described["lag"], described["breakers"] = asyncio.run(_of_kafka(loaded))
    told = [process["healthz"] for process in described["processes"]]
    described["dedup"] = [entry for one in told for entry in report.remembered(one)]
    described["ill_lanes"] = [lane for one in told for lane in report.ill_lanes(one)]
    rows = []
    for process in described["processes"]:
        told = process["healthz"]
        state = process["phase"] if process["running"] else "dead"
        health = "-" if told is None else "ok" if told["ok"] else "ill"
        rows.append([process["name"], str(process["pid"]), state, health, str(process["restarts"]), process["address"]])
    if not screen.as_json:
        columns = ["process", "pid", "state", "healthz", "restarts", "address"]
        screen.table(f"up since {world.started_at}", columns, rows)
    lag_lines = [
        f"lag of {group} on {entry['topic']}: " + ("unknown" if entry["total"] is None else str(entry["total"]))
        for group, entry in described["lag"].items()
    ]
    more = report.lines(described["ill_lanes"], described["dedup"], described["breakers"])
    screen.answer(described, [shown(line) for line in (*lag_lines, *more)])
    well = all(process["running"] and process["phase"] == "healthy" for process in described["processes"])
    return Exit.OK if well and not described["ill_lanes"] else Exit.FAILED


@command
def down(
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait; workers first finish what is in flight.", min=1)
    ] = 180,
    as_json: AsJson = False,
) -> Exit:
    """Stop everything that `novix up` started here, in reverse order; workers drain. Nothing else is touched."""
    from console.world import read_world, remove_world
    from sandbox.kafka.process import is_ours, send, wait_until_gone

    loaded, screen = settings(), Screen(as_json=as_json)
    home = loaded.settings.home
    world = read_world(home)
    if world is None:
        screen.answer({"stopped": []}, ["nothing runs"])
        return Exit.OK
    log = home / "logs" / "supervisor.log"
    seen = log.stat().st_size if log.exists() else 0
    until = time.monotonic() + timeout
    if is_ours(world.supervisor, world.mark):
        send(world.supervisor, signal.SIGTERM)
        while is_ours(world.supervisor, world.mark):
            seen = _retell(log, seen, screen)
            if time.monotonic() > until:
                raise CommandError(f"it is not down after {timeout:g} s; log: {log}", Exit.NOT_MET)
            time.sleep(LOOK_EVERY_S)
        _retell(log, seen, screen)
    else:
        # Its supervisor was killed: what it left behind is ended here, the broker last.
        for process in reversed(world.processes):
            if process.pid and process.mark and is_ours(process.pid, process.mark):
                if not screen.as_json:
                    screen.note(f"{process.name}: stopping")
                send(process.pid, signal.SIGTERM)
                if not wait_until_gone(process.pid, process.mark, timeout_s=max(1.0, until - time.monotonic())):
                    send(process.pid, signal.SIGKILL)
        remove_world(home)
    screen.answer({"stopped": [process.name for process in world.processes]}, ["down"])
    return Exit.OK


def _supervise(home: Path, log: Path, *choices: str) -> "subprocess.Popen[bytes]":
    from console.world import mark_of, remove_world

    remove_world(home)
    arguments = [sys.executable, "-X", mark_of(home, "supervisor"), "-m", "console.supervisor", *choices]
    with log.open("ab") as sink:
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, env=dict(os.environ)
        )


def _retell(log: Path, seen: int, screen: Screen) -> int:
    """Say on stderr what the supervisor has said since byte `seen`; the new place."""
    try:
        with log.open("rb") as source:
            source.seek(seen)
            text = source.read()
    except OSError:
        return seen
    whole = text[: text.rfind(b"\n") + 1]
    if not screen.as_json:
        for line in whole.decode(errors="replace").splitlines():
            screen.note(line.partition(" ")[2] if line[:2] == "20" else line)
    return seen + len(whole)


def _addresses(world: "World") -> list[str]:
    lines = [f"{process.name:17} {process.address}" for process in world.processes]
    page = world.process("console")
    return [*lines, f"{'watch it:':17} {page.address}"] if page is not None else lines


async def _of_kafka(loaded: "Loaded") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Records that each lane group has still to commit (`total` is None where Kafka does not answer), and the breakers
    that processes have told of as open."""
    from console.kafka import connected
    from schemas.topics import JOBS, MODALITY_TOPICS, RETRY_TIERS, ROUTER_GROUP, retry_group, worker_group

    groups = {
        ROUTER_GROUP: JOBS.name,
        **{worker_group(name): topic.name for name, topic in MODALITY_TOPICS.items()},
        **{retry_group(tier): tier.name for _, tier in RETRY_TIERS},
    }
    named = loaded.settings.named
    unknown: dict[str, Any] = {"total": None, "partitions": {}}
    lag: dict[str, dict[str, Any]] = {named(group): {"topic": topic, **unknown} for group, topic in groups.items()}
    breakers: list[dict[str, Any]] = []
    with contextlib.suppress(CommandError, TimeoutError):
        async with asyncio.timeout(20), connected(loaded) as log:
            for group, topic in groups.items():
                lag[named(group)] = await _lag(log, group, topic)
            breakers = await _breakers(log)
    return lag, breakers


async def _lag(log: "Log", group: str, topic: str) -> dict[str, Any]:
    offsets = await log.lag(group, topic)
    counts = await asyncio.gather(*(_records(log, topic, *pair) for pair in offsets.items()))
    partitions = {str(partition): count for partition, count in zip(offsets, counts, strict=True)}
    return {"topic": topic, "total": sum(counts), "partitions": partitions}


async def _breakers(log: "Log") -> list[dict[str, Any]]:
    """Open breakers; raises `CommandError` where the topic is not there."""
    from datetime import UTC, datetime

    from console.kafka import all_records, ends
    from console.report import open_breakers
    from schemas.topics import BREAKERS

    until = await ends(log, BREAKERS.name)
    values = [record.value async for record in all_records(log, BREAKERS.name, until)]
    return open_breakers(values, datetime.now(UTC))


async def _records(log: "Log", topic: str, partition: int, offsets: int) -> int:
    """How many records the last `offsets` of a partition are: each transaction leaves a mark that nobody reads."""
    if not 0 < offsets <= COUNTED_OFFSETS:
        return offsets
    _, end = await log.reader().bounds(topic, partition)
    return len([record async for record in log.reader().read(topic, partition, end - offsets, end)])
