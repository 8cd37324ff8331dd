"""`novix whatif` and `novix tune`: the log under other rules, before anybody is asked to live with them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.replay import Since, Tenant, Until, span_of
from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.decisions_read import Span
    from router.policies import Policy
    from router.whatif.study import Alternative, Study
    from runtime.settings import Loaded
    from schemas.assignment import Price

PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="Routing policies, YAML or JSON; see docs/routing.md.")
]
PriceFile = Annotated[
    Path | None,
    typer.Option(
        "--prices", metavar="FILE", help='Other prices, JSON: [{"provider": ..., "model": ..., "price": {...}}].'
    ),
]


@command
def whatif(
    policy: PolicyFile = None, prices: PriceFile = None, since: Since = "7d", until: Until = None,
    tenant: Tenant = None, as_json: AsJson = False,
) -> Exit:  # fmt: skip
    """Decide the jobs of the log under other policies or prices: what would have been saved, refused or slower.

    Each job counts with the tokens that it really used, whoever would have done it. A policy for `*` holds for every
    tenant that the file does not name. docs/replay.md says how far the answer is from having done it.
    """
    if policy is None and prices is None:
        raise CommandError("name what would be different: --policy FILE, --prices FILE, or both", Exit.USAGE)
    loaded, screen = settings(), Screen(as_json=as_json)
    return asyncio.run(_whatif(loaded, screen, span_of(since, until, tenant), policy, prices))


async def _whatif(loaded: "Loaded", screen: Screen, span: "Span", policy: Path | None, prices: Path | None) -> Exit:
    from console import past_words
    from router.whatif.study import Alternative

    other = Alternative("other", prices={} if prices is None else prices_of(prices))
    if policy is not None:
        other = replace(other, policy_of=policies_of(policy))
    study = await studied(loaded, screen, span, [other])
    screen.answer(*past_words.whatif(study.reports["other"], study.skipped))
    return Exit.OK


@command
def tune(
    budget: Annotated[str, typer.Option("--budget", metavar="DOLLARS", help="What the whole span may cost.")],
    policy: Annotated[str, typer.Option("--policy", metavar="NAME", help="Which policy is tuned.")] = "brief/1",
    since: Since = "7d", until: Until = None, tenant: Tenant = None, as_json: AsJson = False,
) -> Exit:  # fmt: skip
    """Propose the threshold that meets a budget, by replay over a grid, and say what it gives up.

    Of the values within the budget the one that would have spent most of it is proposed. Exit code 3 if none meets it.
    """
    from console.money.events import amount
    from router.whatif.tune import TUNABLE

    if policy not in TUNABLE:
        raise CommandError(f"--policy {policy!r}: allowed are {', '.join(TUNABLE)}", Exit.USAGE)
    loaded, screen = settings(), Screen(as_json=as_json)
    return asyncio.run(_tune(loaded, screen, span_of(since, until, tenant), policy, amount("--budget", budget)))


async def _tune(loaded: "Loaded", screen: Screen, span: "Span", policy: str, budget_nanousd: int) -> Exit:
    from console import past_words
    from router.whatif.tune import TUNABLE, grid, proposal

    study = await studied(loaded, screen, span, grid(policy))
    if not any(report.whole.jobs for report in study.reports.values()):
        raise CommandError(
            "no decision in this span can be decided again; name a longer one with --since", Exit.NOT_MET
        )
    told = proposal(study.reports, budget_nanousd)
    screen.answer(*past_words.tune(TUNABLE[policy], policy, budget_nanousd, told))
    return Exit.NOT_MET if told.chosen is None else Exit.OK


async def studied(loaded: "Loaded", screen: Screen, span: "Span", alternatives: "list[Alternative]") -> "Study":
    """The log of a span under each alternative."""
    from console.decisions_read import histories, pasts, results
    from console.kafka import connected
    from router.whatif.past import Observed
    from router.whatif.study import Study

    async with connected(loaded) as log:
        with screen.progress("deciding again", None) as bar:
            found = await results(log, span)
            study = Study(await histories(log), alternatives, Observed(found.values()))
            async for past in pasts(log, span, loaded.settings.topic_prefix, found, study.skipped):
                study.note(past)
                bar.advance()
                await asyncio.sleep(0)
    return study


def policies_of(path: Path) -> "Callable[[str, float], Policy | None]":
    """A policy file as who has which policy, in an installation with that `cheap_below`; None for tenants that keep
    theirs. Raises `CommandError` with its line."""
    from router.policies import made
    from router.policies.file import BadPolicyFile, read
    from schemas.policies import EVERYBODY

    try:
        found = read(text_of(path), path.name)
    except BadPolicyFile as error:
        raise CommandError(str(error), Exit.USAGE) from None
    named = {one.tenant: one for one in found if not one.removed}
    policies: dict[tuple[str, float], Policy] = {}

    def policy_of(tenant: str, cheap_below: float) -> "Policy | None":
        one = named.get(tenant) or named.get(EVERYBODY)
        if one is None:
            return None
        key = one.tenant, cheap_below
        if key not in policies:
            policies[key] = made(one.policy, one.parameters, cheap_below=cheap_below)
        return policies[key]

    return policy_of


def prices_of(path: Path) -> "dict[tuple[str, str], Price]":
    """A file of prices, by provider and model. Raises `CommandError` naming the entry and the fault."""
    from pydantic import ValidationError

    from router.catalogue import PriceRow
    from schemas import codec

    try:
        rows: Any = codec.decode(text_of(path).encode())
    except codec.Undecodable as error:
        raise CommandError(f"{path.name}: {error}", Exit.USAGE) from None
    if not isinstance(rows, list) or not rows:
        raise CommandError(f"{path.name}: must be a list of prices, and not empty", Exit.USAGE)
    prices = {}
    for number, row in enumerate(rows):
        try:
            told = {"source": "what if", "as_of": "2026-01-01", **row["price"]}
            prices[str(row["provider"]), str(row["model"])] = PriceRow.model_validate(told)
        except (KeyError, TypeError):
            raise CommandError(
                f"{path.name}: entry {number}: must have provider, model and price", Exit.USAGE
            ) from None
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise CommandError(f"{path.name}: entry {number}: price.{where}: {fault['msg']}", Exit.USAGE) from None
    return dict(prices)


def text_of(path: Path) -> str:
    """A file's text. Raises `CommandError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise CommandError(f"{path}: {reason}", Exit.USAGE) from None
