"""`novix regret`, `savings`, `roi` and `value`: what was paid too much, what would save, and what it was worth."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.replay import Since, Tenant, Until, span_of
from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.decisions_read import Span
    from runtime.settings import Loaded


@command
def regret(since: Since = "7d", until: Until = None, tenant: Tenant = None, as_json: AsJson = False) -> Exit:
    """What was paid against the cheapest candidate that was feasible at that moment, by tenant and by model."""
    return asyncio.run(_regret(settings(), Screen(as_json=as_json), span_of(since, until, tenant)))


async def _regret(loaded: "Loaded", screen: Screen, span: "Span") -> Exit:
    from console import past_words
    from console.decisions_read import histories, pasts, results
    from console.kafka import connected
    from router.whatif.regret import RegretStudy

    async with connected(loaded) as log:
        with screen.progress("looking back", None) as bar:
            found = await results(log, span)
            study = RegretStudy(await histories(log))
            async for past in pasts(log, span, loaded.settings.topic_prefix, found, study.skipped):
                study.note(past)
                bar.advance()
                await asyncio.sleep(0)
    screen.answer(*past_words.regret(study))
    return Exit.OK


@command
def savings(since: Since = "7d", until: Until = None, tenant: Tenant = None, as_json: AsJson = False) -> Exit:
    """Advice on what to change, each line with the saving that its replay over the log gave."""
    return asyncio.run(_savings(settings(), Screen(as_json=as_json), span_of(since, until, tenant)))


async def _savings(loaded: "Loaded", screen: Screen, span: "Span") -> Exit:
    from console import past_words
    from console.decisions_read import histories, pasts, results
    from console.kafka import connected
    from router.whatif.past import Observed
    from router.whatif.savings import SavingsStudy

    async with connected(loaded) as log:
        with screen.progress("deciding again", None) as bar:
            found = await results(log, span)
            study = SavingsStudy(await histories(log), Observed(found.values()))
            async for past in pasts(log, span, loaded.settings.topic_prefix, found, study.skipped):
                study.note(past)
                bar.advance()
                await asyncio.sleep(0)
    screen.answer(*past_words.savings(study.jobs, study.advice(), study.skipped))
    return Exit.OK


@command
def roi(since: Since = "30d", until: Until = None, tenant: Tenant = None, as_json: AsJson = False) -> Exit:
    """Return on investment: what work was worth, as `novix value` told it, against what it cost.

    (value - cost) / cost over the jobs whose worth was told. Without such events there is no number.
    """
    return asyncio.run(_roi(settings(), Screen(as_json=as_json), span_of(since, until, tenant)))


async def _roi(loaded: "Loaded", screen: Screen, span: "Span") -> Exit:
    from console import past_words
    from console.decisions_read import pasts, results
    from console.kafka import connected
    from console.money.histories import rules
    from router.whatif.roi import Cost, returns
    from schemas.job import ReadableJob

    async with connected(loaded) as log:
        told = (await rules(log, loaded.settings)).values()
        values = [one for one in told if span.tenant in (None, one.tenant)]
        costs, lost = [], Counter[str]()
        if values:
            found = await results(log, span)
            async for past in pasts(log, span, loaded.settings.topic_prefix, found, lost):
                job = past.arrival.reading
                if past.ended is not None and isinstance(job, ReadableJob):
                    costs.append(Cost(job.tenant, job.id, past.ended.cost_nanousd, job.job.metadata))
    screen.answer(*past_words.roi(returns(values, costs), lost))
    return Exit.OK


@command
def value(
    job: Annotated[str, typer.Argument(metavar="JOB|*", help="The job's id; * with --tag, or for all of a tenant.")],
    worth: Annotated[str, typer.Argument(metavar="DOLLARS", help="What it was worth to whoever had it done.")],
    tenant: Annotated[str, typer.Option(help="Whose job it is.")] = "default",
    tag: Annotated[str | None, typer.Option(metavar="NAME=VALUE", help="All jobs with this label together.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Tell what some work was worth, for `novix roi`. The last word about a job or a label counts."""
    from console.money.events import amount

    if job != "*" and tag is not None:
        raise CommandError("name a job or a --tag, not both (with --tag the job is *)", Exit.USAGE)
    name, sign, of = (tag or "").partition("=")
    if tag is not None and not (name and sign):
        raise CommandError(f"--tag {tag!r}: write NAME=VALUE", Exit.USAGE)
    label = (name, of) if tag is not None else None
    loaded, screen = settings(), Screen(as_json=as_json)
    job_id = None if job == "*" else job
    return asyncio.run(_value(loaded, screen, tenant, job_id, label, amount("DOLLARS", worth)))


async def _value(
    loaded: "Loaded", screen: Screen, tenant: str, job_id: str | None, tag: tuple[str, str] | None, nanousd: int
) -> Exit:
    from console.kafka import connected
    from console.money import events
    from console.who import who
    from console.words import money, shown
    from schemas.policies import ValueEvent

    event = events.made(ValueEvent, tenant=tenant, job_id=job_id, tag=tag, value_nanousd=nanousd, by=who("value"))
    of = job_id or ("=".join(tag) if tag else "*")
    async with connected(loaded) as log:
        version = await events.rule(log, f"value/{tenant}/{of}", event)
    document = {"tenant": tenant, "job_id": job_id, "tag": tag, "value_nanousd": nanousd, "version": version}
    screen.answer(document, [shown(f"{tenant}, {of}: worth {money(nanousd)}")])
    return Exit.OK
