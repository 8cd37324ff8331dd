"""`novix hub recommend`: which models do what a sentence asks, and why those."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded
    from schemas.discovery import Interval
    from schemas.recommendation import Alternative, Constraints, ModelRecommendation

SHOWN = 8
"""Models left out that are told by name; `--json` has all."""
_NANO = 10**9


@command
def recommend(
    sentence: Annotated[str, typer.Argument(help='What it shall do: "classify German mails, MIT, under 1 GB".')],
    tenant: Annotated[str, typer.Option(help="Whose rules hold, and whose own jobs prices are told for.")] = "default",
    top: Annotated[int, typer.Option(help="How many models.", min=1, max=20)] = 3,
    task: Annotated[str | None, typer.Option(help="The task, for whoever knows its name.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="US dollars a request, at most.", min=0)] = None,
    max_mtok: Annotated[float | None, typer.Option(help="US dollars a million tokens, at most.", min=0)] = None,
    max_latency_ms: Annotated[int | None, typer.Option(help="Milliseconds, at most.", min=1)] = None,
    max_parameters: Annotated[int | None, typer.Option(help="Parameters, at most.", min=0)] = None,
    license_: Annotated[list[str] | None, typer.Option("--license", help="SPDX id; several: any of them.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Where it works; several: any of them.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Who serves it; several: any of them.")] = None,
    commercial: Annotated[bool, typer.Option("--commercial", help="Commercial use must be allowed.")] = False,
    approved: Annotated[bool, typer.Option("--approved", help="Only what the registry lets the tenant use.")] = False,
    served: Annotated[bool, typer.Option("--served", help="Only what somebody serves now.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Recommend models for a task told in a sentence, with the reasons, and who was left out and why.

    Conditions may stand in the sentence or as options; both hold. What of the sentence was not understood is told, and
    not applied. Exit code 3: no model keeps every condition. docs/recommend.md has the rules.
    """
    given: dict[str, Any] = {
        "max_nanousd_per_request": None if max_cost is None else round(max_cost * _NANO),
        "max_nanousd_per_mtok": None if max_mtok is None else round(max_mtok * _NANO),
        "max_latency_ms": max_latency_ms,
        "max_parameters": max_parameters,
        "licenses": tuple(license_ or ()),
        "regions": tuple(region or ()),
        "providers": tuple(provider or ()),
        "commercial": commercial,
        "approved": approved,
        "served": True if served else None,
    }
    constraints = _checked(given, sentence, tenant, task)
    return asyncio.run(_recommend(settings(), Screen(as_json=as_json), sentence, tenant, top, task, constraints))


def _checked(given: dict[str, Any], sentence: str, tenant: str, task: str | None) -> "Constraints":
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from schemas.job import describe
    from schemas.recommendation import Constraints, RecommendationContext, TaskDescription
    from schemas.tasks import MODALITIES

    if task is not None and task not in MODALITIES:
        raise CommandError(f"--task {task[:60]!r} is none of the tasks; one is {sorted(MODALITIES)[0]}", Exit.USAGE)
    try:
        TaskDescription(sentence=sentence, task=task)
        RecommendationContext(tenant=tenant, at=datetime.now(UTC))
        return Constraints.model_validate(given)
    except ValidationError as error:
        raise CommandError(describe(error), Exit.USAGE) from None


async def _recommend(
    loaded: "Loaded",
    screen: Screen,
    sentence: str,
    tenant: str,
    top: int,
    task: str | None,
    constraints: "Constraints",
) -> Exit:
    from datetime import UTC, datetime

    from console.hub.asking import asking
    from console.hub.reader import opened
    from console.kafka import connected
    from console.recommending import recommended
    from hub.index.file import NoIndex

    try:
        async with connected(loaded) as log, asking(loaded, log) as (world, notes):
            with screen.progress("reading the catalogue", None):
                async with opened(loaded.settings, log.reader()) as index:
                    found = await asyncio.to_thread(
                        recommended,
                        index,
                        world.of(tenant),
                        sentence,
                        tenant,
                        top,
                        datetime.now(UTC),
                        constraints=constraints,
                        task=task,
                    )
    except NoIndex as error:
        raise CommandError(str(error), Exit.NOT_MET) from None
    if screen.as_json:
        screen.raw(found.encode())
    else:
        for line in told(found):
            screen.line(line)
    for note in notes:
        screen.note(f"novix: {note}")
    return Exit.OK if found.recommendations else Exit.NOT_MET


def told(found: "ModelRecommendation") -> list[str]:
    """A recommendation for people."""
    reasoning, alternatives = found.reasoning, found.alternatives
    lines = ["understood:"]
    for one in reasoning.task_analysis.understood:
        words = f'  ("{one.words}")' if one.words else ""
        lines.append(f"  {one.name}: {one.value}{words}")
    lines += [] if reasoning.task_analysis.understood else ["  nothing"]
    for number in found.recommendations:
        size = f"{number.parameters:,} parameters" if number.parameters is not None else "size unknown"
        quality = f", quality {number.quality:.3f}" if number.quality is not None else ""
        lines += [
            "",
            f"{number.rank}. {number.model}  {number.score:.3f}",
            f"   {number.license or 'licence unknown'}, {size}, {_cost(number.cost)}, {_time(number.latency)}{quality}",
            *(f"   {part.value:.2f} x {part.weight:.3f}  {part.name}: {part.says}" for part in number.parts),
        ]
    if not found.recommendations:
        lines += ["", "no model is recommended"]
    for title, others in (
        ("better", alternatives.higher_quality),
        ("cheaper", alternatives.lower_cost),
        ("faster", alternatives.faster_inference),
        ("specialised", alternatives.specialized),
    ):
        lines += [_alternative(title, one) for one in others[:1]]
    if reasoning.constraints:
        lines += ["", f"conditions, and how many of {reasoning.considered} candidates each leaves out:"]
        lines += [f"  {one.name}: {one.value}  {one.removed}" for one in reasoning.constraints]
    if reasoning.excluded:
        lines += ["", f"left out: {len(reasoning.excluded)}"]
        for out in reasoning.excluded[:SHOWN]:
            lines.append(f"  {out.model}: {'; '.join(f'{why.name} ({why.value})' for why in out.reasons)}")
        more = len(reasoning.excluded) - SHOWN
        lines += [f"  and {more} more: --json tells all"] if more > 0 else []
    return [*lines, *([""] if found.notes else []), *found.notes]


def _alternative(title: str, one: "Alternative") -> str:
    return f"{title}: {one.model}  {one.says}; {_cost(one.cost)}, {_time(one.latency)}"


def _cost(cost: "Interval | None") -> str:
    from console.words import money

    return "price unknown" if cost is None else f"{money(round(cost.value))} a request ({cost.source})"


def _time(latency: "Interval | None") -> str:
    from console.words import span

    return "latency unknown" if latency is None else f"{span(latency.value)} ({latency.source})"
