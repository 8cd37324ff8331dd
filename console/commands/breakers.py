"""`novix breakers`: what the processes told each other of the providers' health."""

import asyncio
from typing import TYPE_CHECKING

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded


@command
def breakers(as_json: AsJson = False) -> Exit:
    """Show each (provider, model) whose breaker changed or that asked for a pause: state, times, who says so, why."""
    return asyncio.run(_breakers(settings(), Screen(as_json=as_json)))


async def _breakers(loaded: "Loaded", screen: Screen) -> Exit:
    from datetime import UTC, datetime

    from console.breaker_table import COLUMNS, as_document, as_row, newest
    from console.kafka import all_records, connected, ends
    from schemas.topics import BREAKERS

    async with connected(loaded) as log:
        records = [record async for record in all_records(log, BREAKERS.name, await ends(log, BREAKERS.name))]
    now, states = datetime.now(UTC), newest(records)
    if screen.as_json:
        screen.answer([as_document(state, now) for state in states])
    elif states:
        screen.table("Breakers", COLUMNS, [as_row(state, now) for state in states])
    else:
        screen.note("novix: no breaker has ever changed, and no provider asked for a pause")
    return Exit.OK
