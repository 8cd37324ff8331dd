"""`novix compare`: models beside each other, with what this installation has measured of them."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded
    from schemas.comparison import Best, ComparisonCriteria, MatrixRow, ModelComparison

TASK_HELP = "Costs and quality for this task; default: the tasks that all of them do."


@command
def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Two to twenty models.")],
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose own jobs costs are told for, and whose rules hold.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Quality on this labelled set.")] = None,
    weight: Annotated[
        list[str] | None, typer.Option(metavar="speed|quality|cost=N", help="What counts for the best overall.")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Compare models: facts, speed and cost as observed here, quality as evaluated, and who is best for what.

    What nobody knows is `unknown`, and wins nothing. docs/compare.md has the formulas.
    """
    criteria = _criteria(models, task, tenant, dataset, weight or [])
    return asyncio.run(_compare(settings(), Screen(as_json=as_json), criteria))


def _criteria(
    models: Sequence[str], task: str | None, tenant: str | None, dataset: str | None, weights: Sequence[str]
) -> "ComparisonCriteria":
    from pydantic import ValidationError

    from schemas.comparison import MOST_MODELS, ComparisonCriteria
    from schemas.job import describe

    if len(models) > MOST_MODELS:
        raise CommandError(f"{len(models)} models; {MOST_MODELS} are compared at most", Exit.USAGE)
    told = {}
    for text in weights:
        name, sign, number = text.partition("=")
        try:
            told[name] = float(number)
        except ValueError:
            raise CommandError(f"--weight {text[:60]!r}: write speed=2, quality=1 or cost=0.5", Exit.USAGE) from None
        if not sign or name not in ("speed", "quality", "cost"):
            raise CommandError(f"--weight {text[:60]!r}: write speed=2, quality=1 or cost=0.5", Exit.USAGE)
    try:
        return ComparisonCriteria.model_validate(
            {"models": tuple(models), "task": task, "tenant": tenant, "dataset": dataset, "weights": told}
        )
    except ValidationError as error:
        raise CommandError(describe(error), Exit.USAGE) from None


async def _compare(loaded: "Loaded", screen: Screen, criteria: "ComparisonCriteria") -> Exit:
    from datetime import UTC, datetime

    from console.hub.asking import asking, catalogued
    from console.hub.compared import compared
    from console.kafka import connected
    from hub.compare.compare import TooMany, UnknownModel
    from router.catalogue import load

    async with connected(loaded) as log, asking(loaded, log) as (world, notes):
        entries = await catalogued(log, criteria.models, load(loaded.settings))
        for note in notes:
            screen.note(f"novix: {note}")
        try:
            found = await asyncio.to_thread(compared, world, entries, criteria, datetime.now(UTC), names=entries.names)
        except (UnknownModel, TooMany) as error:
            raise CommandError(str(error), Exit.NOT_MET) from None
    if screen.as_json:
        screen.raw(found.encode())
    else:
        _tell(screen, found)
    return Exit.OK


def _tell(screen: Screen, found: "ModelComparison") -> None:
    table = found.comparison
    screen.table("", ["", *table.models], [[row.name, *_cells(row)] for row in table.rows])
    support, analysis = found.decision_support, found.analysis
    screen.line("")
    for name, best in (
        ("best for speed", support.best_for_speed),
        ("best for quality", support.best_for_quality),
        ("best for cost", support.best_for_cost),
        ("best overall", support.best_overall),
    ):
        screen.line(f"{name}: {_best(best)}")
    if support.weights:
        told = ", ".join(f"{name} {value:.2f}" for name, value in support.weights.items())
        screen.line(f"weights: {told}")
    if analysis.compared_by:
        front = ", ".join(analysis.front) or "nobody"
        screen.line(f"not beaten in {', '.join(analysis.compared_by)}: {front}")
    for one in analysis.tradeoffs:
        screen.line(f"  {one.says}")
    for note in found.notes:
        screen.note(f"novix: {note}")


def _cells(row: "MatrixRow") -> list[str]:
    cells = []
    for place, cell in enumerate(row.cells):
        told = cell.text + (" *" if place in row.best else "")
        more = [f"n={cell.n}"] if cell.n else []
        if row.name in ("allowed", "cost", "quality", "license", "throughput") and cell.note:
            more.append(cell.note)
        cells.append(f"{told} ({'; '.join(more)})" if more else told)
    return cells


def _best(best: "Best") -> str:
    who = " = ".join(best.models) if best.models else "nobody knows"
    return f"{who} ({best.why})"
