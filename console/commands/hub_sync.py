"""`novix hub serve|sync|status`: the process that keeps the catalogue, one sync now, and how each source is."""

import asyncio
import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded

ANSWER_LOOK_S = 0.1


@command
def serve() -> Exit:
    """Keep the catalogue as its sources are, until SIGTERM."""
    from hub.app import run

    return Exit(run(settings().settings))


@command
def sync(
    full: Annotated[bool, typer.Option("--full", help="Over all rows, not only those that changed.")] = False,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only `model`, `dataset` or `space`; again for another.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Rows of each kind at most; nothing is taken away then.", min=1)
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a process that is at it.", min=1)] = 3_600,
    as_json: AsJson = False,
) -> Exit:
    """Read the Hub, the router, own endpoints and the local tier once, and write what changed to the catalogue."""
    loaded, screen = settings(), Screen(as_json=as_json)
    from hub.sync.walk import KINDS

    strange = [one for one in kind or () if one not in KINDS]
    if strange:
        raise CommandError(f"--kind {strange[0]!r}: it is one of {', '.join(KINDS)}", Exit.USAGE)
    wish = {"id": secrets.token_hex(8), "full": full, "kinds": list(kind or ()), "limit": limit}
    told = asyncio.run(_sync(loaded, wish, timeout))
    screen.answer(told, _lines(told))
    return Exit.FAILED if any(state["state"] == "failed" for state in told["sources"]) else Exit.OK


@command
def status(as_json: AsJson = False) -> Exit:
    """Tell how each source of the catalogue was when it was last read."""
    loaded, screen = settings(), Screen(as_json=as_json)
    states = asyncio.run(_states(loaded))
    if not states:
        screen.answer({"sources": []}, ["nothing was read yet; read it with: novix hub sync"])
        return Exit.NOT_MET
    told = {"sources": states}
    screen.answer(told, _lines(told))
    return Exit.FAILED if any(state["state"] == "failed" for state in states) else Exit.OK


async def _sync(loaded: "Loaded", wish: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Here, or by the process that holds the lock: a file asks it, and another answers."""
    from console.kafka import connected
    from hub.app import Taken, described, only_one, syncing, wish_of
    from hub.sync.opening import TopicsMissing, folder_of
    from runtime import logs
    from runtime.bus import Bus
    from runtime.clock import SystemClock

    folder = folder_of(loaded.settings.home)
    logs.configure("warning", loaded.settings.log_format)  # on stderr: stdout is the answer
    try:
        with only_one(folder):
            async with connected(loaded):
                pass  # says in words what is wrong where Kafka does not answer
            async with Bus(loaded.settings) as bus, syncing(loaded.settings, bus, SystemClock()) as here:
                return described(await here.round(wish_of(wish)))
    except TopicsMissing as error:
        raise CommandError(str(error)) from None
    except Taken:
        return await _asked(folder, wish, timeout_s)


async def _asked(folder: Any, wish: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    from hub.app import WISH

    answer = folder / f"answer-{wish['id']}.json"
    (folder / WISH).write_text(json.dumps(wish))
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if answer.exists():
            told: dict[str, Any] = json.loads(answer.read_bytes())
            answer.unlink()
            return told
        await asyncio.sleep(ANSWER_LOOK_S)
    raise CommandError(f"the process that keeps the catalogue has not answered within {timeout_s:g} s", Exit.NOT_MET)


async def _states(loaded: "Loaded") -> list[dict[str, Any]]:
    from console.kafka import all_records, connected, ends
    from schemas.catalog import SourceState
    from schemas.topics import SOURCES

    found: dict[bytes, dict[str, Any]] = {}
    async with connected(loaded) as log:
        until = await ends(log, SOURCES.name)
        async for record in all_records(log, SOURCES.name, until):
            try:
                found[record.key or b""] = SourceState.model_validate_json(record.value or b"").model_dump(mode="json")
            except ValueError:
                continue
    return [found[key] for key in sorted(found)]


def _lines(told: dict[str, Any]) -> list[str]:
    from console.words import shown

    lines = []
    for state in told["sources"]:
        name = state["source"] if state["source"] != "hub" else f"hub, {state['kind']}s"
        line = f"{name}: {state['state']}, {state['rows']} rows, {state['changed']} changed"
        if state["gone"]:
            line += f", {state['gone']} gone"
        if state["refused"]:
            line += "; refused: " + ", ".join(f"{count} {reason}" for reason, count in state["refused"].items())
        if state["dropped"]:
            line += "; left out: " + ", ".join(f"{count} {name}" for name, count in state["dropped"].items())
        if "took_s" not in told:
            line += f"; complete {_ago(state['complete_at'])} ago" if state["complete_at"] else "; never complete"
            line += f", all rows {_ago(state['full_at'])} ago" if state["full_at"] else ""
        if state["error"]:
            line += f"; {state['error']}"
        lines.append(shown(line))
    if "took_s" in told:
        lines.append(f"{told['written']} entries written in {told['took_s']:.1f} s, {told['calls']} calls")
    return lines


def _ago(at: str) -> str:
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
