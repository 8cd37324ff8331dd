"""The processes of this installation that can be asked how they are: those of `novix up`, and those that are named."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console import health
from console.report import ill_lanes
from console.world import World, living_world
from runtime.settings import Settings, is_plain_address
from sandbox.kafka.process import is_ours

MOST = 64
"""Processes that are asked."""


@dataclass(frozen=True, slots=True)
class ProcessNow:
    """One process now."""

    name: str
    pid: int | None
    phase: str
    """As its supervisor says; `named` for one that the settings name."""
    running: bool
    well: bool | None
    """What its `/healthz` says; None: it has none, or gave no answer."""
    address: str
    restarts: int
    started_at: str
    why_not: tuple[str, ...]
    """What it says is wrong, by name."""
    told: Mapping[str, Any]
    """Its `/healthz`, whole."""


def described(world: World) -> dict[str, Any]:
    """What `novix up` started, each process with its `/healthz`. Blocks as long as the slowest takes to answer."""
    processes = []
    for process in world.processes:
        running = not process.mark or is_ours(process.pid, process.mark)
        told = health.ask(process.health) if process.health and running else None
        processes.append({**process.model_dump(), "running": running, "healthz": told})
    return {
        "up": True,
        "ready": world.ready,
        "started_at": world.started_at,
        "supervisor": world.supervisor,
        "environment": world.environment,
        "processes": processes,
    }


def named(text: str) -> list[tuple[str, str]]:
    """`name=http://host:port/healthz, ...` as pairs; a part without a name is named by its address. What is no address
    is left out."""
    found = []
    for part in text.split(","):
        name, _, address = part.strip().rpartition("=")
        if is_plain_address(address):
            found.append((name or address.split("//", 1)[1], address))
    return found[:MOST]


async def now(settings: Settings, own: Mapping[str, Any]) -> list[ProcessNow]:
    """All of them, asked at once. `own` is what this process would answer: it does not ask itself."""
    world = await asyncio.to_thread(living_world, settings.home)
    asked = [_of_world(world, index, own) for index in range(len(world.processes))] if world is not None else []
    asked += [_of_address(name, address) for name, address in named(settings.console_processes)]
    return list(await asyncio.gather(*asked))


async def _of_world(world: World, index: int, own: Mapping[str, Any]) -> ProcessNow:
    one = world.processes[index]
    running = not one.mark or await asyncio.to_thread(is_ours, one.pid, one.mark)
    told: Mapping[str, Any] | None = None
    if own.get("pid") == one.pid:
        told = {**own, "ok": bool(own.get("healthy"))}
    elif one.health and running:
        told = await asyncio.to_thread(health.ask, one.health)
    return ProcessNow(
        one.name, one.pid, one.phase if running else "dead", running, None if told is None else bool(told["ok"]),
        one.address, one.restarts, one.started_at, _why_not(told, one.health is not None and running), told or {},
    )  # fmt: skip


async def _of_address(name: str, address: str) -> ProcessNow:
    told = await asyncio.to_thread(health.ask, address)
    pid = told.get("pid") if told is not None else None
    return ProcessNow(
        name, pid if isinstance(pid, int) else None, "named", told is not None,
        None if told is None else bool(told["ok"]), address, 0, "", _why_not(told, asked=True), told or {},
    )  # fmt: skip


def _why_not(told: Mapping[str, Any] | None, asked: bool) -> tuple[str, ...]:
    if told is None:
        return ("it does not answer /healthz",) if asked else ()
    said = [f"lane {lane['lane']} is {lane['state']}: {lane['reason']}" for lane in ill_lanes(told)]
    fault = told.get("fault")
    if isinstance(fault, str) and fault:
        said.append(fault)
    if not told.get("ok") and not said:
        said.append("it says that it is not well; see its /healthz")
    return tuple(said)
