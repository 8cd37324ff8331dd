"""`novix doctor`: what is missing on this machine, and what to type."""

import asyncio
from typing import TYPE_CHECKING

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.checkup import Finding
    from runtime.settings import Loaded


@command
def doctor(as_json: AsJson = False) -> Exit:
    """Look at everything that Novix needs here; downloads and starts nothing. Exit code 1 if something is missing."""
    from dataclasses import asdict

    loaded, screen = settings(), Screen(as_json=as_json)
    findings = asyncio.run(_examine(loaded))
    if screen.as_json:
        screen.answer([asdict(finding) for finding in findings])
    else:
        rows = [[finding.state, finding.what, finding.found, finding.type_this] for finding in findings]
        screen.table("Novix on this machine", ["", "what", "found", "what to type"], rows)
    return Exit.FAILED if any(finding.state == "missing" for finding in findings) else Exit.OK


async def _examine(loaded: "Loaded") -> "list[Finding]":
    from console import checkup

    return [*checkup.machine(loaded), await checkup.kafka(loaded)]
