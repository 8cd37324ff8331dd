"""`novix demo`: the whole system at work here, with a fault, a refusal and a kill, and the books at the end."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from console.exits import Exit
from console.screen import Screen
from console.shell import command, settings


@command
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
    output: Annotated[
        Path, typer.Option(help="Folder for the picture, the sound and the texts; each run makes one of its own in it.")
    ] = Path("demo-output"),
) -> Exit:
    """Start a world, send text, images and sound through it, kill its worker once, and settle the accounts."""
    from console.demo import Demo

    return asyncio.run(Demo(settings(), Screen(), keep=keep, output=output).run())
