"""`novix hub scan`: look into a model's small pickles, and tell the registry what was found."""

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from hub.security.verdict import Chosen, Look
    from runtime.http import Fetcher
    from runtime.settings import Loaded, Settings
    from schemas.catalog import Security
    from schemas.registry import Facts

PAGE_BYTES = 16_777_216
"""Of a model's page: one of 10,000 files has some three megabytes."""
PAGE_S = 30.0
FILE_S = 120.0
MOST_NAME = 256
COMMIT = re.compile(r"[0-9a-f]{40}")


@command
def scan(
    model: Annotated[str, typer.Argument(help="The model, as the Hub names it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and tell the registry nothing.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Look into a model's small pickles without loading them, and tell the registry. Exit 3: not found to be safe."""
    return asyncio.run(_scan(settings(), Screen(as_json=as_json), model, dry_run=dry_run))


async def _scan(loaded: "Loaded", screen: Screen, model: str, *, dry_run: bool) -> Exit:
    from hub.security.facts import facts_of, facts_of_look
    from hub.security.verdict import chosen, files_of, unlisted, verdict

    now, who = datetime.now(UTC), _who()
    async with fetcher(loaded.settings) as http:
        row = await _page(http, loaded.settings.hf_hub_url, model)
        told_sha = row.get("sha")
        revision = told_sha if isinstance(told_sha, str) and COMMIT.fullmatch(told_sha) else None
        plan = chosen(files_of(row.get("siblings")))
        looks, missing = await _looks(http, loaded.settings.hf_hub_url, model, revision or "main", plan, screen)
    entry = _entry(row, now)
    found = verdict(looks, {**unlisted(row.get("siblings")), **plan.left_out, **missing}, at=now)
    told = [facts_of_look(model, revision, found, at=now, by=who)]
    if entry is not None:
        told.insert(0, facts_of(entry, at=now, by=who))
    version = None if dry_run else await _tell(loaded, told)
    hub = entry.security if entry is not None else None
    document = {
        "model": model, "revision": revision, "looked_at": len(looks), "verdict": found.model_dump(mode="json"),
        "hub": None if hub is None else hub.model_dump(mode="json"), "registry_version": version,
    }  # fmt: skip
    screen.answer(document, _lines(document, found, hub))
    return Exit.OK if found.level == "safe" else Exit.NOT_MET


def _who() -> str:
    from console.who import who

    return who("hub scan")


def fetcher(settings: "Settings") -> "Fetcher":
    """Gets the Hub's pages and files, and what they redirect to. No credential is sent: gated files are not had."""
    from runtime.http import PRIVATE_NETWORKS, Fetcher

    return Fetcher([settings.hf_hub_url], private=PRIVATE_NETWORKS)


async def _page(http: "Fetcher", hub: str, model: str) -> dict[str, Any]:
    """The model's page, with the sizes of its files. Raises `CommandError`."""
    from runtime.http import FetchError, FetchStatus
    from schemas import codec

    if len(model) > MOST_NAME:
        raise CommandError(f"a name of {len(model)} characters; {MOST_NAME} are allowed", Exit.USAGE)
    url = f"{hub}/api/models/{_quoted(model)}?blobs=true&securityStatus=true"
    try:
        got = await http.get(url, max_bytes=PAGE_BYTES, total_s=PAGE_S)
        row = codec.decode(got.data)
    except FetchStatus as error:
        reason = {401: "is not there, or is private", 403: "may not be read without its owner's leave"}
        why = reason.get(error.status, "is not there" if error.status == 404 else f"gave status {error.status}")
        raise CommandError(f"{model[:256]}: {why}", Exit.NOT_MET) from None
    except (FetchError, codec.Undecodable) as error:
        raise CommandError(f"{model[:256]}: its page was not had: {error}", Exit.NOT_MET) from None
    if not isinstance(row, dict):
        raise CommandError(f"{model[:256]}: its page is no object", Exit.NOT_MET)
    return row


def _quoted(text: str) -> str:
    """Part of an address: a name that climbs folders or asks questions stays a name. Raises `CommandError`."""
    from urllib.parse import quote

    parts = text.split("/")
    if not text or len(text) > 1_024 or not text.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise CommandError(f"{text[:64]!r} is no name of the Hub's", Exit.USAGE)
    return "/".join(quote(part, safe="") for part in parts)


async def _looks(
    http: "Fetcher", hub: str, model: str, revision: str, plan: "Chosen", screen: Screen
) -> tuple[dict[str, "Look"], dict[str, str]]:
    """What each file holds; and why others were not had."""
    from hub.security.scanner import look
    from hub.security.verdict import MOST_FILE_BYTES
    from runtime.http import FetchError

    looks, missing = dict[str, "Look"](), dict[str, str]()
    with screen.progress("looking", len(plan.looked_at)) as bar:
        for file in plan.looked_at:
            try:
                url = f"{hub}/{_quoted(model)}/resolve/{_quoted(revision)}/{_quoted(file.path)}"
                got = await http.get(url, max_bytes=MOST_FILE_BYTES, total_s=FILE_S)
                looks[file.path] = await look(file.path, got.data)
            except (FetchError, CommandError) as error:
                missing[file.path] = f"was not had: {error}"
            bar.advance()
    return looks, missing


def _entry(row: dict[str, Any], now: datetime) -> Any:
    """The page as the catalogue reads it; None where it reads none."""
    from hub.catalog.rows import read_row
    from schemas.catalog import CatalogEntry

    entry = read_row("model", row, now)
    return entry if isinstance(entry, CatalogEntry) else None


async def _tell(loaded: "Loaded", told: "list[Facts]") -> int:
    """Write what the registry does not know yet; its version then."""
    from console.governing import event_of, registry, tell
    from console.kafka import connected
    from hub.security.facts import says_the_same
    from schemas.registry import Facts

    async with connected(loaded) as log:
        known, records = await registry(log)
        version = int(known.version)
        events = [one for one in map(event_of, records) if isinstance(one, Facts) and one.model == told[0].model]
        for facts in told:
            alike = [one for one in events if _source(one) == _source(facts)]
            if not says_the_same(facts, alike[-1] if alike else None):
                version = await tell(log, f"facts/{facts.model}", facts)
    return version


def _source(facts: "Facts") -> str:
    return "hub" if facts.security is None else facts.security.source


def _lines(document: dict[str, Any], found: "Security", hub: "Security | None") -> list[str]:
    scanned = f"{found.level}, {document['looked_at']} files looked at" + ("" if found.scans_done else ", not all done")
    lines = [f"{document['model']} at {document['revision'] or 'main'}: {scanned}"]
    lines += [f"  {one.level:10}  {one.path}: {one.detail}" for one in found.issues]
    if hub is not None:
        done = "done" if hub.scans_done else "not done, so it is not safe yet"
        custom = {True: "; it wants its author's code run", False: "; it runs no code of its author's"}
        told = "" if hub.custom_code is None else custom[hub.custom_code]
        lines.append(f"  the Hub's scanners: {hub.level} ({done}){told}")
    if document["registry_version"] is not None:
        lines.append(f"  the registry is at version {document['registry_version']}")
    return lines
