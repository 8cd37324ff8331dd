"""`novix bench models`: real jobs to several models, interleaved, within a total; how fast and how dear they are."""

import asyncio
import hashlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.evals import measured
from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.hub.measuring import Order

MOST_FILE_BYTES = 16_777_216


@command
def models(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="One to twenty models.")],
    task: Annotated[str, typer.Option(help="The task that they are asked to do.")],
    max_cost: Annotated[str, typer.Option(metavar="DOLLARS", help="All jobs together cost at most this.")],
    jobs: Annotated[int, typer.Option(help="Jobs for each model.", min=1, max=10_000)] = 50,
    file: Annotated[
        str | None,
        typer.Option(metavar="INPUTS.jsonl", help="Inputs of your own: one input object of the task a line."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the inputs, where no file does.")] = 1,
    tenant: Annotated[str, typer.Option(help="Who asks and pays.")] = "default",
    provider: Annotated[str, typer.Option(help="This provider alone.")] = "auto",
    at_once: Annotated[int, typer.Option(help="Jobs of each model without a result.", min=1, max=1_000)] = 4,
    timeout: Annotated[float, typer.Option(help="Seconds for each job.", min=1, max=86_400)] = 120,
    as_json: AsJson = False,
) -> Exit:
    """Measure latency, throughput, cost and failures of models, each asked the same in turn.

    Ctrl-C keeps what was measured. Each model's run is kept on novix.evals.v1, with the machine that published it:
    novix eval list --kind bench; novix compare shows the newest.
    """
    from console.money.amounts import BadAmount, nanousd
    from schemas.comparison import MOST_MODELS

    names = list(dict.fromkeys(models))
    if len(names) > MOST_MODELS:
        raise CommandError(f"{len(names)} models; {MOST_MODELS} are measured at a time at most", Exit.USAGE)
    try:
        limit = nanousd(max_cost, least=1)
    except BadAmount as error:
        raise CommandError(f"--max-cost {error}", Exit.USAGE) from None
    order = _order(names, task, tenant, jobs, file, seed, limit, timeout, at_once, provider)
    return asyncio.run(measured(settings(), Screen(as_json=as_json), order))


def _order(
    names: list[str], task: str, tenant: str, jobs: int, file: str | None, seed: int, limit: int, timeout_s: float,
    at_once: int, provider: str,
) -> "Order":  # fmt: skip
    from console.hub import samples
    from console.hub.measuring import Order
    from schemas import codec
    from schemas.tasks import MODALITIES

    if task not in MODALITIES:
        raise CommandError(f"--task {task[:64]!r}: no such task; these are: {', '.join(MODALITIES)}", Exit.USAGE)
    if file is not None:
        inputs, dataset = _inputs(file, jobs), file.rpartition("/")[2][:256]
    elif task in samples.TASKS:
        inputs, dataset = samples.inputs(task, jobs, seed), f"novix-samples/{task}/{seed}"
    else:
        raise CommandError(f"--task {task}: no inputs are made up for it; give some with --file", Exit.USAGE)
    digest = "sha256:" + hashlib.sha256(codec.canonical({"task": task, "inputs": inputs})).hexdigest()
    return Order("bench", names, task, tenant, inputs, limit, timeout_s, at_once, dataset, digest, provider)


def _inputs(file: str, jobs: int) -> list[dict[str, Any]]:
    """The file's inputs, again from its beginning where there are fewer than jobs."""
    from pathlib import Path

    from hub.evals.labelled import BadSet, rows_of

    try:
        with Path(file).open("rb") as source:
            data = source.read(MOST_FILE_BYTES + 1)
        if len(data) > MOST_FILE_BYTES:
            raise CommandError(f"{file} has more than {MOST_FILE_BYTES} bytes", Exit.USAGE)
        rows = list(rows_of(file, data))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    except BadSet as error:
        raise CommandError(str(error), Exit.USAGE) from None
    if not rows:
        raise CommandError(f"{file} has no input", Exit.USAGE)
    return [rows[at % len(rows)] for at in range(jobs)]
