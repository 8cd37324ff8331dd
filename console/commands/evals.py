"""`novix eval`: how good models are on labelled examples, asked through Kafka like anybody's jobs."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.hub.measuring import Done, Order
    from hub.evals.kept import Runs
    from hub.evals.labelled import LabelledSet
    from runtime.settings import Loaded

MAX_COST_HELP = "All jobs together cost at most this; what does not fit is not published."


@command
def run(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="One model, or several on the same examples.")
    ],
    task: Annotated[str, typer.Option(help="The task; docs/evals.md lists those that are evaluated.")],
    file: Annotated[str | None, typer.Option(metavar="SET.jsonl|.csv", help="A labelled set of your own.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset of the Hub, by its viewer's rows.")] = None,
    config: Annotated[str, typer.Option(help="Of the dataset.")] = "default",
    split: Annotated[str, typer.Option(help="Of the dataset.")] = "test",
    input_column: Annotated[str, typer.Option("--input", help="Column of the input.")] = "",
    label_column: Annotated[str, typer.Option("--label", help="Column of the label.")] = "",
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="LABEL=LABEL", help="The models' label, and what the set calls it; repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Examples at most.", min=1, max=10_000)] = 100,
    max_cost: Annotated[str, typer.Option(metavar="DOLLARS", help=MAX_COST_HELP)] = "0.10",
    tenant: Annotated[str, typer.Option(help="Who asks and pays.")] = "default",
    provider: Annotated[str, typer.Option(help="This provider alone.")] = "auto",
    at_once: Annotated[int, typer.Option(help="Jobs of each model without a result.", min=1, max=1_000)] = 4,
    timeout: Annotated[float, typer.Option(help="Seconds for each job.", min=1, max=86_400)] = 120,
    as_json: AsJson = False,
) -> Exit:
    """Evaluate models on labelled examples: accuracy, F1, precision, recall, word error rate or nDCG, with intervals.

    Examples without a usable answer count as wrong, and so does a label that is none of the set's: say with --map what
    it means. The run is kept on novix.evals.v1; inputs and labels are not.
    """
    from console.money.amounts import BadAmount, nanousd

    if (file is None) == (dataset is None):
        raise CommandError("give either --file or --dataset", Exit.USAGE)
    try:
        limit_nanousd = nanousd(max_cost, least=1)
    except BadAmount as error:
        raise CommandError(f"--max-cost {error}", Exit.USAGE) from None
    loaded, screen = settings(), Screen(as_json=as_json)
    labelled = asyncio.run(_labelled(loaded, file, dataset, config, split, task, input_column, label_column, limit))
    for reason, number in labelled.left_out.items():
        screen.note(f"novix: {number} rows left out: {reason}")
    named = _names(mapped or [], labelled)
    models = list(dict.fromkeys(models))
    return asyncio.run(
        _run(loaded, screen, models, task, tenant, labelled, named, limit_nanousd, timeout, at_once, provider)
    )


def _names(words: list[str], labelled: "LabelledSet") -> dict[str, str]:
    from hub.evals.labelled import BadSet
    from hub.evals.names import given_names

    try:
        return given_names(words, labelled)
    except BadSet as error:
        raise CommandError(str(error), Exit.USAGE) from None


async def _labelled(
    loaded: "Loaded", file: str | None, dataset: str | None, config: str, split: str, task: str, input_column: str,
    label_column: str, limit: int,
) -> "LabelledSet":  # fmt: skip
    from console.hub.sets import of_file, of_viewer
    from hub.evals.labelled import BadSet, Columns

    columns = Columns(input_column, label_column)
    try:
        if file is not None:
            return of_file(file, task, columns, limit)
        return await of_viewer(loaded.settings, dataset or "", config, split, task, columns, limit)
    except BadSet as error:
        raise CommandError(str(error), Exit.USAGE) from None


async def _run(
    loaded: "Loaded", screen: Screen, models: list[str], task: str, tenant: str, labelled: "LabelledSet",
    names: dict[str, str], limit_nanousd: int, timeout_s: float, at_once: int, provider: str,
) -> Exit:  # fmt: skip
    from console.hub.measuring import Order
    from console.payload_files import with_files

    inputs = [await with_files(loaded.settings, task, one.input) for one in labelled.examples]
    order = Order(
        "eval", models, task, tenant, inputs, limit_nanousd, timeout_s, at_once, labelled.name, labelled.digest,
        provider, labelled, names,
    )  # fmt: skip
    return await measured(loaded, screen, order)


async def measured(loaded: "Loaded", screen: Screen, order: "Order") -> Exit:
    """Measure, and tell what it came to; also when it is broken off."""
    from console.hub.measuring import measure
    from console.kafka import connected

    def tell(done: "Done") -> None:
        _tell(screen, order, done)

    async with connected(loaded) as log:
        with screen.progress(order.kind, len(order.inputs) * len(order.models)) as bar:
            done = await measure(loaded, log, order, bar.advance, tell)
    if done.found.stopped:
        return Exit.NOT_MET
    return Exit.OK if done.runs and all(run.answered == run.asked for run in done.runs) else Exit.FAILED


def _tell(screen: Screen, order: "Order", done: "Done") -> None:
    from console.hub import run_words
    from console.words import money

    for note in done.notes:
        screen.note(f"novix: {note}")
    told = {
        "runs": run_words.document(done.runs),
        "limit_nanousd": order.limit_nanousd,
        "spent_nanousd": done.found.spent_nanousd,
        "without_result_nanousd": done.found.open_nanousd,
        "stopped": done.found.stopped,
    }
    lines = [line for run in done.runs for line in run_words.whole(run)]
    lines.append(f"spent {money(done.found.spent_nanousd)} of {money(order.limit_nanousd)}")
    if done.found.open_nanousd:
        lines.append(f"jobs without a result may still cost {money(done.found.open_nanousd)}")
    if done.found.stopped:
        lines.append(f"stopped: {done.found.stopped}")
    screen.answer(told, lines)


Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Of this model alone.")]


@command
def show_list(
    model: Model = None,
    task: Annotated[str | None, typer.Option(help="Of this task alone.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="eval|bench", help="Of this kind alone.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=20_000)] = 50,
    as_json: AsJson = False,
) -> Exit:
    """List evaluations and bench runs, the newest first."""
    from console.hub import run_words

    if kind not in (None, "eval", "bench"):
        raise CommandError(f"--kind {kind!r}: must be eval or bench", Exit.USAGE)
    runs = [
        run
        for run in asyncio.run(_kept(settings())).all()
        if (model or run.model) == run.model and (task or run.task) == run.task and (kind or run.kind) == run.kind
    ][:limit]
    screen = Screen(as_json=as_json)
    if as_json:
        screen.answer(run_words.document(runs))
    else:
        screen.table("Runs", run_words.COLUMNS, [run_words.row(run) for run in runs])
    return Exit.OK if runs else Exit.NOT_MET


@command
def show(run_id: Annotated[str, typer.Argument(metavar="RUN")], as_json: AsJson = False) -> Exit:
    """Show everything that is kept of a run: each of its models."""
    from console.hub import run_words

    runs = [run for run in asyncio.run(_kept(settings())).all() if run.run_id == run_id]
    if not runs:
        raise CommandError(f"no run {run_id[:128]!r}; list them with: novix eval list", Exit.NOT_MET)
    lines = [line for run in runs for line in run_words.whole(run)]
    Screen(as_json=as_json).answer(run_words.document(runs), lines)
    return Exit.OK


async def _kept(loaded: "Loaded") -> "Runs":
    from console.hub.asking import all_of
    from console.kafka import connected
    from hub.evals.kept import Runs
    from schemas.topics import EVALS

    runs = Runs()
    async with connected(loaded) as log:
        async for record in all_of(log, EVALS):
            runs.fold(record)
    return runs
