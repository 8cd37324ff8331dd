"""`novix demo`: the whole system at work here, with a fault, a refusal and a kill, and the books at the end."""

import asyncio
from typing import Annotated

import typer

from console.exits import Exit
from console.screen import Screen
from console.shell import command, settings


@command
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
) -> Exit:
    """Start a world, send a mixed file of text jobs through it, kill its worker once, and settle the accounts."""
    from console.demo import Demo

    return asyncio.run(Demo(settings(), Screen(), keep=keep).run())
