"""`novix router`, `novix worker`, `novix console`: one process each, in the foreground, until SIGTERM."""

from typing import Annotated, Literal

import typer

from console.exits import Exit
from console.shell import command, settings


@command
def router() -> Exit:
    """Run the router: it reads jobs and gives each a model, a provider and a price ceiling."""
    from router.app import run

    return Exit(run(settings().settings))


@command
def worker(modality: Annotated[Literal["text"], typer.Argument(help="Which jobs it does.")]) -> Exit:
    """Run a worker: it calls Hugging Face for assigned jobs and writes their results."""
    from workers.app import run

    return Exit(run(settings().settings, modality))


@command
def console(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anything but loopback shows prompts to a network.")
    ] = "127.0.0.1",
) -> Exit:
    """Run the pages: the live list of jobs and each job's story, filled from the topics."""
    from console.serve import serve

    return serve(settings(), host)
