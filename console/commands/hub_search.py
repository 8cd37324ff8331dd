"""`novix hub search|show`: find models in the catalogue, and all that is known of one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.hub.known import World
    from hub.catalog.ages import Age
    from hub.index.store import Index
    from runtime.settings import Loaded
    from schemas.catalog import CatalogEntry
    from schemas.discovery import Criteria, Discovery, Found

Many = list[str] | None
SHOWN_TAGS = 20
TOLD_FROM, TOLD_EVERY = 20_000, 50_000
"""Records from which on filling the index is told, and between two tellings."""


@command
def search(
    text: Annotated[list[str] | None, typer.Argument(help="Words; they hold together. None: everything.")] = None,
    kind: Annotated[str, typer.Option(help="model, dataset or space.")] = "model",
    task: Annotated[Many, typer.Option(help="Again for another: any of them will do, as in all lists.")] = None,
    modality: Annotated[Many, typer.Option(help="text (NLP), image (vision), audio, multimodal.")] = None,
    library: Annotated[Many, typer.Option()] = None,
    language: Annotated[Many, typer.Option(help="A code or an English name.")] = None,
    license_: Annotated[Many, typer.Option("--license", help="SPDX id, in any case.")] = None,
    author: Annotated[Many, typer.Option()] = None,
    tag: Annotated[Many, typer.Option(help="All of them must be there.")] = None,
    min_parameters: Annotated[str | None, typer.Option(metavar="NUMBER", help="7B, 350M.")] = None,
    max_parameters: Annotated[str | None, typer.Option(metavar="NUMBER")] = None,
    max_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="Of its weights: 1GB.")] = None,
    unknown_size: Annotated[
        bool, typer.Option("--unknown-size", help="With a limit of size: unknown ones too.")
    ] = False,
    provider: Annotated[
        Many, typer.Option(help="Provider, region, price and latency: of one and the same offer.")
    ] = None,
    region: Annotated[Many, typer.Option(help="`eu` stands for `eu-west-1` too.")] = None,
    served: Annotated[bool | None, typer.Option("--served/--not-served", help="Somebody serves it now.")] = None,
    max_price: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="Of a million tokens, three in to one out.")
    ] = None,
    max_latency_ms: Annotated[str | None, typer.Option(metavar="MS", help="Observed, else predicted.")] = None,
    trending: Annotated[bool, typer.Option("--trending", help="The upper twentieth by trending score.")] = False,
    popular: Annotated[bool, typer.Option("--popular", help="The upper twentieth by downloads and likes.")] = False,
    recent_days: Annotated[str | None, typer.Option(metavar="DAYS", help="Changed within so many days.")] = None,
    approved: Annotated[bool, typer.Option("--approved", help="Only what the registry lets the tenant use.")] = False,
    gated: Annotated[bool | None, typer.Option("--gated/--not-gated")] = None,
    tenant: Annotated[str | None, typer.Option(help="For whom: its costs, what it may use.")] = None,
    order: Annotated[
        str, typer.Option(help="relevance, trending, downloads, likes, recent, cheapest, fastest, quality or smallest.")
    ] = "relevance",
    limit: Annotated[str, typer.Option(metavar="NUMBER")] = "20",
    offset: Annotated[str, typer.Option(metavar="NUMBER")] = "0",
    explain: Annotated[bool, typer.Option("--explain", help="The parts of each score, and what was left out.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask only the index, not router, own endpoints and Hub as well.")
    ] = False,
    as_json: AsJson = False,
) -> Exit:
    """Find models, best first. Exit 3: nothing fits."""
    from console.money.amounts import BadAmount, nanousd
    from hub.discovery.criteria import BadCriteria, criteria_of

    lists = {
        "tasks": task, "modalities": modality, "libraries": library, "languages": language, "licenses": license_,
        "authors": author, "tags": tag, "providers": provider, "regions": region,
    }  # fmt: skip
    single: dict[str, str | bool | None] = {
        "kind": kind, "min_parameters": min_parameters, "max_parameters": max_parameters, "max_bytes": max_bytes,
        "unknown_size": unknown_size or None, "served": served, "max_latency_ms": max_latency_ms,
        "trending": trending or None, "popular": popular or None, "recent_days": recent_days,
        "approved": approved or None, "gated": gated, "tenant": tenant, "order": order, "limit": limit,
        "offset": offset, "facets": explain or as_json,
    }  # fmt: skip
    pairs = [("text", " ".join(text or ()))]
    pairs += [(name, value) for name, values in lists.items() for value in values or ()]
    pairs += [
        (name, str(value).lower() if isinstance(value, bool) else value)
        for name, value in single.items()
        if value is not None
    ]
    try:
        if max_price is not None:
            pairs.append(("max_nanousd_per_mtok", str(nanousd(max_price))))
        criteria = criteria_of(pairs)
    except (BadCriteria, BadAmount) as error:
        raise CommandError(str(error), Exit.USAGE) from None
    return asyncio.run(_search(settings(), Screen(as_json=as_json), criteria, explain=explain, offline=offline))


async def _search(loaded: "Loaded", screen: Screen, criteria: "Criteria", *, explain: bool, offline: bool) -> Exit:
    from console.hub.sources import sources
    from hub.discovery.ask import discover

    async with (
        _opened(loaded, screen) as (index, world),
        sources(loaded.settings, states=lambda: list(world.endpoints.values())) as others,
    ):
        known = world.of(criteria.tenant)
        found = await discover(
            criteria,
            search=lambda one: index.search(one, known=known),
            sources=[] if offline else others,
            known=known,
        )
    screen.answer(found.model_dump(mode="json"), _lines(found, explain=explain))
    for note in found.sources:
        if not note.ok:
            screen.note(f"novix: {note.source} did not answer ({note.detail}): what only it knows is missing")
    return Exit.OK if found.models else Exit.NOT_MET


@command
def show(
    model: Annotated[str, typer.Argument(help="Its id, `namespace/name`.")],
    kind: Annotated[str, typer.Option(help="model, dataset or space.")] = "model",
    tenant: Annotated[str | None, typer.Option(help="For whom: its costs, what it may use.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Tell all that is known of a model, who says so and since when. Exit 3: the catalogue does not have it."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), f"{kind}/{model}", tenant))


async def _show(loaded: "Loaded", screen: Screen, key: str, tenant: str | None) -> Exit:
    from console.hub.whole import document
    from hub.catalog.ages import ages

    async with _opened(loaded, screen) as (index, world):
        entry = await asyncio.to_thread(index.get, key)
        if entry is None:
            raise CommandError(f"the catalogue has no {key[:120]}; look for it with: novix hub search", Exit.NOT_MET)
        told = await asyncio.to_thread(document, entry, world, tenant, datetime.now(UTC))
        aged = ages(entry, world.sources)
    screen.answer(told, list(_told(entry, told, aged)))
    return Exit.OK


@asynccontextmanager
async def _opened(loaded: "Loaded", screen: Screen) -> "AsyncIterator[tuple[Index, World]]":
    """The index, read up to now; and what Novix has measured, with how the catalogue's sources are."""
    from console.hub.asking import asking
    from console.hub.reader import opened
    from console.kafka import connected
    from hub.index.file import NoIndex

    told = False

    def say(done: int, total: int) -> None:
        nonlocal told
        if total >= TOLD_FROM and not told:
            screen.note(f"novix: the index of the catalogue is being filled, {total:,} records")
            told = True
        elif told and done % TOLD_EVERY == 0:
            screen.note(f"novix: {done:,} of {total:,}")

    async with connected(loaded) as log:
        try:
            async with opened(loaded.settings, log.reader(), say) as index, asking(loaded, log) as (world, _):
                yield index, world
        except NoIndex as error:
            raise CommandError(str(error), Exit.NOT_MET) from None


def _lines(found: "Discovery", *, explain: bool) -> "list[str]":
    about = "" if found.filtered_is_exact else "about "
    lines = [f"{about}{found.filtered:,} of {found.total:,} {found.criteria.kind}s, {found.took_ms:.0f} ms"]
    for place, one in enumerate(found.models, found.criteria.offset + 1):
        lines.append(f"{place:>3}. {_hit(one)}")
        if explain:
            lines += [
                f"       {part.name} {part.value:.2f} x {part.weight:g} = {part.value * part.weight:.3f}: {part.says}"
                for part in one.parts
            ]
    if explain:
        for name, count in found.removed.items():
            why = found.removals[name].reason if name in found.removals else ""
            lines.append(f"left out by {name}: {count:,}: {why}")
        for facet in found.facets:
            values = ", ".join(f"{one.value} {one.count:,}" for one in facet.values[:6])
            lines.append(f"{facet.name}{' (estimated)' if facet.estimated else ''}: {values or '-'}")
    lines += [f"see also: {text}" for text in found.related[:3]]
    return lines + [f"note: {text}" for text in found.insights.recommendations]


def _hit(one: "Found") -> str:
    entry = one.entry
    words = [
        entry.id, entry.task or "task unknown", _size(entry), entry.license or entry.license_raw or "licence unknown",
        "downloads unknown" if entry.downloads is None else f"{entry.downloads:,} downloads",
        f"score {one.score:.3f}",
    ]  # fmt: skip
    if one.latency is not None:
        words.append(f"{one.latency.value:,.0f} ms {one.latency.source}")
    if one.cost is not None:
        words.append(f"${one.cost.value / 1e9:.6f} a job {one.cost.source}")
    if one.approved is False:
        words.append(f"not approved: {one.why_not}")
    return "  ".join(words)


def _size(entry: "CatalogEntry") -> str:
    if entry.parameters is None:
        return "size unknown"
    for scale, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if entry.parameters >= scale:
            return f"{entry.parameters / scale:.3g}{unit}"
    return str(entry.parameters)


def _told(entry: "CatalogEntry", document: dict[str, Any], aged: "Sequence[Age]") -> "list[str]":
    shown = entry.model_dump(mode="json", exclude={"said", "served", "tags", "stated_results", "security"})
    lines = [f"{name}: {'unknown' if value in (None, [], {}) else value}" for name, value in shown.items()]
    lines.append(
        f"tags: {', '.join(entry.tags[:SHOWN_TAGS]) or 'none'}{' ...' if len(entry.tags) > SHOWN_TAGS else ''}"
    )
    security = entry.security
    lines.append(
        f"security: {'unknown' if security is None else f'{security.level}, scans done: {security.scans_done}'}"
    )
    for offer in entry.served:
        price = offer.input_nanousd_per_mtok, offer.output_nanousd_per_mtok
        dollars = "/".join("unknown" if one is None else f"${one / 1e9:g}" for one in price)
        where = ", ".join(offer.regions) or "region unsaid"
        lines.append(f"served by {offer.provider}: {offer.status}, {dollars} a million tokens in/out, {where}")
    for name in ("latency", "cost"):
        told = document[name]
        value = (
            "unknown"
            if told is None
            else f"{told['value']:,.0f} {told['unit']} ({told['low']:,.0f} to {told['high']:,.0f}), {told['source']}"
        )
        lines.append(f"{name} of a job: {value}")
    lines.append(f"quality: {'unknown' if document['quality'] is None else document['quality']}")
    lines += _counted(document["analytics"])
    allowed = {True: "yes", False: f"no: {document['why_not']}", None: "nobody has ruled"}[document["approved"]]
    lines.append(f"approved: {allowed}")
    return lines + [_age(one) for one in aged]


def _counted(told: dict[str, Any]) -> "list[str]":
    from console.words import money

    shares = {
        "popularity": "by downloads, likes and its last change",
        "community_rating": "likes for downloads: the Hub has no stars",
    }
    lines = [
        f"{name.replace('_', ' ')}: {'unknown' if told[name] is None else f'{told[name]:.2f} of 1, {what}'}"
        for name, what in shares.items()
    ]
    used = told["usage"]
    if used is None:
        return [*lines, "used through Novix: unknown, the explorer's memory is not here"]
    if not used["jobs"]:
        return [*lines, "used through Novix: no job yet"]
    jobs = f"{'' if used['exact'] else 'more than '}{used['jobs']:,} {'job' if used['jobs'] == 1 else 'jobs'}"
    return [*lines, f"used through Novix: {jobs}, {money(used['cost_nanousd'])}, the last {used['last'][:16]}"]


def _age(one: "Age") -> str:
    as_of = "unknown" if one.as_of is None else f"{one.as_of:%Y-%m-%d %H:%M}"
    counts = f" (downloads, likes, trend: {one.counted:%Y-%m-%d %H:%M})" if one.counted not in (None, one.as_of) else ""
    fault = f"; its last reading failed: {one.fault}" if one.fault else ""
    fields = ", ".join(one.said.fields)
    return f"says {one.said.source} since {one.said.since:%Y-%m-%d %H:%M}, as of {as_of}{counts}{fault}: {fields}"
