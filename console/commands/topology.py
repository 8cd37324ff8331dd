"""`novix topology`: who writes and reads which topic, as the cluster has it now."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded


@command
def topology(
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="As a Mermaid flowchart, to be pasted into a page.")
    ] = False,
    as_json: AsJson = False,
) -> Exit:
    """Show the running topics and consumer groups: partitions, members, who writes and who reads; what the contract
    expects and is missing."""
    return asyncio.run(_topology(settings(), Screen(as_json=as_json), mermaid=mermaid))


async def _topology(loaded: "Loaded", screen: Screen, *, mermaid: bool) -> Exit:
    from console.kafka import connected
    from console.topology.drawing import lines, running
    from console.topology.judging import as_json, judged
    from console.topology.plan import parts

    async with connected(loaded) as log:
        found = judged(parts(), await log.topics(), await log.groups())
    if mermaid and not screen.as_json:
        screen.piece(running(found))
        for name in found.missing:
            screen.note(f"novix: missing: {name}")
    else:
        screen.answer({**as_json(found), "mermaid": running(found)}, list(lines(found)))
    return Exit.OK
