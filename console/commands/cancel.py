"""`novix cancel`: an operator's wish that a job ends as cancelled."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.kafka import Log
    from console.telling.evidence import Evidence
    from runtime.settings import Loaded


@command
def cancel(
    job: Annotated[str, typer.Argument(help="The job's id.")],
    tenant: Annotated[str, typer.Option(help="Whose job it is.")] = "default",
    submission: Annotated[int | None, typer.Option(help="Which submission; default: the newest.", min=1)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the job's result.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits; then the exit code is 3.", min=0)] = 60,
    force: Annotated[bool, typer.Option("--force", help="Write the wish although the job has ended.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Cancel a job: only the lane that holds it ends it, as `cancelled`; a call that runs is aborted.

    The wish stands although the job is still to be routed, waits to be retried, or its worker is down. A job that has
    ended stays as it is (exit code 1). With --wait the exit code is 0 only if it ended as cancelled.
    """
    asked = Asked(tenant, job, submission, force, timeout if wait else None)
    return asyncio.run(_cancel(settings(), Screen(as_json=as_json), asked))


class Asked:
    """What the person wants."""

    def __init__(self, tenant: str, job_id: str, submission: int | None, force: bool, wait_s: float | None) -> None:
        self.tenant = tenant
        self.job_id = job_id
        self.submission = submission
        self.force = force
        self.wait_s = wait_s

    @property
    def job(self) -> str:
        """`tenant/id`."""
        return f"{self.tenant}/{self.job_id}"


async def _cancel(loaded: "Loaded", screen: Screen, asked: Asked) -> Exit:
    from console import answers
    from console.kafka import connected
    from console.telling.gather import ending
    from console.who import who
    from console.words import shown
    from runtime.ports import Outgoing
    from schemas.topics import CONTROL

    async with connected(loaded) as log:
        since = await answers.result_ends(log)
        with screen.progress("looking for the job", None):
            found = await ending(log, asked.tenant, asked.job_id)
        submission = asked.submission or newest(found)
        state, ended = standing(found, submission)
        if ended and not asked.force:
            raise CommandError(f"{shown(asked.job)}, submission {submission}, {state}: nothing to cancel", Exit.FAILED)
        value = _event(asked, submission, who("cancel"))
        if not await log.reader().partitions(CONTROL.name):
            raise CommandError(f"the topic {CONTROL.name} does not exist; create the topics with: novix topics create")
        await log.publish([Outgoing(CONTROL.name, asked.job.encode(), value)])
        document = {"tenant": asked.tenant, "job_id": asked.job_id, "submission": submission, "state": state}
        if asked.wait_s is None:
            line = f"asked to cancel {asked.job}, submission {submission}: {state}"
            screen.answer(document, [shown(line)])
            return Exit.OK
        result = await _result(log, asked, submission, since)
        if screen.as_json:
            screen.answer({**document, "result": result})
        else:
            screen.line(answers.line(result))
        return Exit.OK if result.get("status") == "cancelled" else Exit.FAILED


def _event(asked: Asked, submission: int, by: str) -> bytes:
    from pydantic import ValidationError

    from schemas.control import ControlEvent
    from schemas.job import describe

    try:
        event = ControlEvent(
            action="cancel",
            tenant=asked.tenant,
            job_id=asked.job_id,
            submission=submission,
            at=datetime.now(UTC),
            by=by,
        )
    except ValidationError as error:
        raise CommandError(f"no job can be called that: {describe(error)}", Exit.USAGE) from None
    return event.encode()


def newest(found: "Evidence") -> int:
    """The newest submission that the topics know; 1 where they know none."""
    from console.telling.evidence import submission_of

    return max((submission_of(told) for told in (*found.decisions, *found.results)), default=1)


def standing(found: "Evidence", submission: int) -> tuple[str, bool]:
    """In words where a submission stands, and whether it has ended."""
    from console.telling.evidence import submission_of

    for result in found.results:
        if submission_of(result) == submission:
            return f"has ended as {result.get('status')}", True
    if any(submission_of(decision) == submission for decision in found.decisions):
        return "it is on its way", False
    return "it has not been routed yet", False


async def _result(log: "Log", asked: Asked, submission: int, since: dict[int, int]) -> dict[str, Any]:
    from console import answers
    from console.telling.evidence import submission_of

    try:
        async with asyncio.timeout(asked.wait_s):
            async for record in answers.results_after(log, since, answers.of_job(asked.tenant, asked.job_id)):
                result = answers.document(record)
                if submission_of(result) == submission:
                    return result
    except TimeoutError:
        pass
    raise CommandError(
        f"no result of {asked.job} within {asked.wait_s:g} s; the wish stands; look with: novix why {asked.job_id}",
        Exit.NOT_MET,
    )
