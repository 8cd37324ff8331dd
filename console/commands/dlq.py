"""`novix dlq`: dead letters, what they are, and their jobs driven again."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.kafka import Log
    from console.letters import Letter, Place, Wanted
    from runtime.settings import Loaded

Reason = Annotated[str | None, typer.Option("--reason", metavar="KIND", help="Only this failure kind.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")]
TIME_HELP = "an instant like 2026-11-22T12:00:00Z, or 15m, 2h, 7d ago."
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Set aside at or after: {TIME_HELP}")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Set aside before: {TIME_HELP}")]
Places = Annotated[list[str] | None, typer.Argument(metavar="PARTITION/OFFSET", help="Which ones; none: all.")]


@command
def show_list(
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, typer.Option(help="End after so many.", min=1)] = None,
    as_json: AsJson = False,
) -> Exit:
    """List dead letters, one per line: place, when, reason, from where, whose job. Never their content."""
    wanted = _wanted(reason, tenant, since, until)
    return asyncio.run(_list(settings(), Screen(as_json=as_json), wanted, limit))


async def _list(loaded: "Loaded", screen: Screen, wanted: "Wanted", limit: int | None) -> Exit:
    from console.kafka import connected
    from console.letters import described, some

    seen = 0
    async with connected(loaded) as log:
        async for letter in some(log, wanted):
            if screen.as_json:
                screen.answer(described(letter))
            else:
                screen.line(_line(letter))
            seen += 1
            if seen == limit:
                break
    return Exit.OK


@command
def show_one(
    place: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="Which one, as `novix dlq list` names it.")],
    value: Annotated[bool, typer.Option("--value", help="The record's value as well; it holds a prompt.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Show one dead letter: its reason, where it came from, its headers and sizes."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), place, with_value=value))


async def _show(loaded: "Loaded", screen: Screen, place: str, *, with_value: bool) -> Exit:
    from console.kafka import connected
    from console.letters import described, one, place_of
    from console.words import instant, shown

    async with connected(loaded) as log:
        letter = await one(log, place_of(place))
    record = letter.record
    held = {name: (text or b"").decode("utf-8", "replace") for name, text in record.headers}
    document: dict[str, Any] = {**described(letter), "headers": held}
    if with_value:
        document["value"] = None if record.value is None else record.value.decode("utf-8", "replace")
    job = f"{document['tenant']}/{document['job_id']}" if document["tenant"] else "names none"
    lines = [
        f"dead letter {letter.place}, {instant(record.timestamp_ms)}",
        f"reason: {letter.reason}",
        f"from:   {document['from']}, set aside by {document['group']}",
        f"job:    {job}" + (", which has a result as well" if letter.has_result else ""),
        f"size:   key {document['key_bytes']} bytes, value {document['value_bytes']} bytes"
        + (f", cut: {letter.kept}" if letter.kept else ""),
        "headers:",
        *(f"  {name}: {text}" for name, text in held.items()),
        *(["value:", str(document["value"])] if with_value else []),
    ]
    screen.answer(document, [shown(line) for line in lines])
    return Exit.OK


@command
def redrive(
    places: Places = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    rate: Annotated[int, typer.Option(help="Jobs per second, at most.", min=1, max=100_000)] = 50,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether that many are meant.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Have the jobs of dead letters done again, each as its job's next submission.

    Their cause should be gone by now. A dead letter that was driven again before gives nothing new. Cut ones and those
    that name no job are told and left out (exit code 1). Exit code 3 if there are none. It is audited who did it.
    """
    from console.letters import place_of

    wanted = _wanted(reason, tenant, since, until)
    which = [place_of(place) for place in places or ()]
    loaded, screen = settings(), Screen(as_json=as_json)
    return asyncio.run(_redrive(loaded, screen, wanted, which, rate, dry_run=dry_run, yes=yes))


async def _redrive(
    loaded: "Loaded", screen: Screen, wanted: "Wanted", places: "list[Place]", rate: int, *, dry_run: bool, yes: bool
) -> Exit:
    from console import letters
    from console.kafka import connected, ends
    from console.redriving import Pace, Told
    from console.who import who
    from schemas.topics import DLQ, JOBS

    told = Told(screen)
    by = who("dlq redrive")
    async with connected(loaded) as log:
        until = await ends(log, DLQ.name)  # what fails again meanwhile is no part of it
        await ends(log, JOBS.name)
        if not (dry_run or yes or places):
            await _ask(screen, log, wanted, until)
        pace = Pace(rate)
        with screen.progress("driving again", None) as bar:
            async for letter in letters.some(log, wanted, places, until):
                found = letters.redrive(letter, by)
                if isinstance(found, str):
                    told.refused(letter, found)
                    continue
                told.driven(letter, found, dry_run=dry_run)
                if not dry_run and pace.full(found):
                    bar.advance(await pace.publish(log))
            if not dry_run:
                bar.advance(await pace.publish(log))
    return told.end(dry_run=dry_run)


async def _ask(screen: Screen, log: "Log", wanted: "Wanted", until: dict[int, int]) -> None:
    """Let a person look at the number first. Raises `CommandError` unless it is meant."""
    import sys

    from console.letters import some
    from console.words import count

    number = 0
    async for _ in some(log, wanted, (), until):
        number += 1
    if not number:
        return
    many = count(number, "dead letter")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(f"{many} would be driven again: say --yes if that is meant, or --dry-run", Exit.USAGE)
    if not await asyncio.to_thread(typer.confirm, f"drive {many} again?", err=True):
        raise CommandError("nothing was driven again", Exit.INTERRUPTED)


def _wanted(reason: str | None, tenant: str | None, since: str | None, until: str | None) -> "Wanted":
    from console.letters import Wanted
    from schemas.failure import FailureKind

    kinds = [str(kind) for kind in FailureKind]
    if reason is not None and reason not in kinds:
        raise CommandError(f"--reason {reason!r}: allowed are {', '.join(kinds)}", Exit.USAGE)
    return Wanted(reason, tenant, _moment("--since", since), _moment("--until", until))


def _moment(option: str, text: str | None) -> int | None:
    from console.words import moment_ms

    if text is None:
        return None
    found = moment_ms(text, datetime.now(UTC))
    if found is None:
        raise CommandError(f"{option} {text!r}: write {TIME_HELP}", Exit.USAGE)
    return found


def _line(letter: "Letter") -> str:
    from console.letters import identity_of
    from console.words import instant, shown

    identity = identity_of(letter)
    parts = [
        letter.place,
        instant(letter.record.timestamp_ms),
        letter.reason.replace("\t", " ").replace("\n", " "),
        letter.topic,
        "/".join(identity) if identity else "-",
        "has a result" if letter.has_result else "no result",
    ]
    return shown("\t".join(parts))
