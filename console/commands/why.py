"""`novix why`: the story of one job in words, read from the topics themselves."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded


@command
def why(
    job: Annotated[str, typer.Argument(help="The job's id.")],
    tenant: Annotated[str, typer.Option(help="Whose job it is.")] = "default",
    aloud: Annotated[bool, typer.Option("--aloud", help="In whole sentences, to be read aloud.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every line of every submission, and a search through all that topics keep.")
    ] = False,
    as_json: AsJson = False,
) -> Exit:
    """Tell one job's story on one screen: what was asked and decided and why, each wait, each attempt, what it cost,
    what went wrong, where it is proved, and what to do next.

    Works without the console's pages: it reads the topics backwards until it meets the job, then by the times and
    offsets that it finds. The exit code is 3 if the newest 100,000 records of its partitions do not know the job.
    """
    return asyncio.run(_why(settings(), Screen(as_json=as_json), tenant, job, aloud=aloud, everything=everything))


async def _why(loaded: "Loaded", screen: Screen, tenant: str, job_id: str, *, aloud: bool, everything: bool) -> Exit:
    from console.kafka import connected
    from console.telling.aloud import aloud as sentences
    from console.telling.evidence import as_json
    from console.telling.gather import EVERYTHING, find
    from console.telling.reach import LOOK_BACK
    from console.telling.screenful import named
    from console.telling.story import tell

    async with connected(loaded) as log:
        with screen.progress("reading the topics", None):
            found = await find(log, tenant, job_id, look_back=EVERYTHING if everything else LOOK_BACK)
    if found is None:
        further = "" if everything else "; further back than 100,000 records of a partition looks --all"
        raise CommandError(
            f"no topic knows a job {named(job_id)} of tenant {named(tenant)}; another tenant is named with --tenant"
            f"{further}",
            Exit.NOT_MET,
        )
    screen.answer(as_json(found), sentences(found) if aloud else tell(found, everything=everything))
    return Exit.OK
