"""The commands that there are, from the application itself: a test over all of them cannot forget a new one."""

from collections.abc import Iterator
from typing import Any

import typer

from console.cli import app


def commands() -> list[str]:
    """Every command, those of groups as `dlq list`."""

    def within(group: Any, before: str) -> Iterator[str]:
        for name, one in group.commands.items():
            yield from within(one, f"{before}{name} ") if hasattr(one, "commands") else [f"{before}{name}"]

    return list(within(typer.main.get_command(app), ""))
