"""`novix router`, `novix worker`, `novix console`, `novix relay`: one process each, until SIGTERM."""

from enum import StrEnum
from typing import Annotated

import typer

from console.exits import Exit
from console.shell import service, settings


class Modality(StrEnum):
    """Of a worker, as the command line names it: typer knows no list of literals."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    MULTIMODAL = "multimodal"


@service
def router() -> Exit:
    """Run the router: it reads jobs and gives each a model, a provider and a price ceiling."""
    from router.app import run

    return Exit(run(settings().settings))


@service
def worker(
    modalities: Annotated[
        list[Modality] | None, typer.Argument(help="Which jobs it does, in one process; none named: all.")
    ] = None,
) -> Exit:
    """Run a worker: it calls Hugging Face for assigned jobs and writes their results."""
    from workers.app import run

    return Exit(run(settings().settings, [one.value for one in modalities or ()]))


@service
def console(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond this machine the pages want a token: NOVIX_CONSOLE_TOKEN.")
    ] = "127.0.0.1",
) -> Exit:
    """Run the pages: the live list of jobs and each job's story, filled from the topics."""
    from console.serve import serve

    return serve(settings(), host)


@service
def relay() -> Exit:
    """Hand every span on to an OpenTelemetry back end: the address and the rest stand in OTEL_EXPORTER_OTLP_*."""
    from console.relay.serve import serve

    return serve(settings())
