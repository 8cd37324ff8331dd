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
    as_json: AsJson = False,
) -> Exit:
    """Tell one job's story: where it came from, what was decided and why, each attempt, waits, cost, trace.

    Works without the console's pages: it reads results, decisions and jobs by the job's own partitions and times.
    The exit code is 3 if no topic knows the job.
    """
    return asyncio.run(_why(settings(), Screen(as_json=as_json), tenant, job, aloud=aloud))


async def _why(loaded: "Loaded", screen: Screen, tenant: str, job_id: str, *, aloud: bool) -> Exit:
    from console import story
    from console.aloud import aloud as sentences
    from console.evidence import find
    from console.kafka import connected

    async with connected(loaded) as log:
        with screen.progress("reading the topics", None):
            material = await find(log, tenant, job_id)
    if material is None:
        raise CommandError(
            f"no topic knows a job {job_id} of tenant {tenant}; another tenant is named with --tenant", Exit.NOT_MET
        )
    screen.answer(story.as_json(material), sentences(material) if aloud else story.tell(material))
    return Exit.OK
