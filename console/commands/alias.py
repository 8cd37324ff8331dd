"""`novix alias`: short names for models, with versions; going back is one event."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.kafka import Log
    from runtime.ports import Record
    from runtime.settings import Loaded

Name = Annotated[str, typer.Argument(help="The short name: letters, digits, dot, hyphen, underscore.")]
SERVED = (
    "a provider behind Hugging Face serves the commit that it has and tells nobody which; a pinned commit is served by "
    "dedicated endpoints alone"
)


@command
def set_(
    name: Name,
    models: Annotated[list[str], typer.Argument(metavar="MODEL[@COMMIT]...", help="In order of preference.")],
    as_json: AsJson = False,
) -> Exit:
    """Let a name stand for models from now on: the first that a job's tenant may have is taken."""
    return asyncio.run(_set(settings(), Screen(as_json=as_json), name, models))


async def _set(loaded: "Loaded", screen: Screen, name: str, models: Sequence[str]) -> Exit:
    from console.commands.prices import catalogue_of
    from console.kafka import connected
    from router.governance import near

    catalogue = catalogue_of(loaded)
    targets = [_target(one) for one in models]
    if name in catalogue.by_model:
        raise CommandError(f"{name!r} is a model of the catalogue: its own name stands for itself", Exit.USAGE)
    async with connected(loaded) as log:
        document = await _write(log, name, targets)
    screen.answer(document, _lines(document))
    for model, _ in targets:
        if model not in catalogue.by_model:
            meant = near(model, catalogue.by_model)
            screen.note(f"novix: {model} is not in the catalogue" + (f"; near it: {', '.join(meant)}" if meant else ""))
    if any(commit for _, commit in targets):
        screen.note(f"novix: {SERVED}")
    return Exit.OK


def _target(text: str) -> tuple[str, str | None]:
    """`org/name@commit` in its two parts."""
    model, _, commit = text.partition("@")
    return model, commit or None


async def _write(log: "Log", name: str, targets: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """One event, and the alias as it stands then. Raises `CommandError`."""
    from console.governing import checked, registry, tell
    from console.who import who
    from runtime.registry import RESERVED

    if name in RESERVED:
        raise CommandError(f"{name!r} is no alias: jobs mean by it that the policy chooses", Exit.USAGE)
    known, _ = await registry(log)
    before = known.now().aliases.get(name)
    version = 1 if before is None else before.version + 1
    event = checked(kind="alias", alias=name, targets=targets, version=version, by=who("alias"))
    at = await tell(log, f"alias/{name}", event)
    known, _ = await registry(log)
    return {"registry_version": at, **_document(known.now().aliases[name])}


def _document(named: Any) -> dict[str, Any]:
    return {
        "alias": named.alias,
        "version": named.version,
        "targets": [{"model": model, "revision": commit} for model, commit in named.targets],
        "since": named.at.isoformat(),
        "by": named.by,
    }


def _lines(document: dict[str, Any]) -> list[str]:
    stands = ", ".join(
        one["model"] + (f"@{one['revision']}" if one["revision"] else "") for one in document["targets"]
    )  # fmt: skip
    said = f"{document['since']}, by {document['by']}"
    return [f"{document['alias']} version {document['version']}: {stands or 'gone'} ({said})"]


@command
def show_list(as_json: AsJson = False) -> Exit:
    """List the aliases of the registry as they stand; the catalogue's own hold where the registry has none."""
    return asyncio.run(_list(settings(), Screen(as_json=as_json)))


async def _list(loaded: "Loaded", screen: Screen) -> Exit:
    from console.commands.prices import catalogue_of
    from console.governing import registry
    from console.kafka import connected

    catalogue = catalogue_of(loaded)
    async with connected(loaded) as log:
        known, _ = await registry(log)
    standing = known.now()
    documents = [_document(one) | {"from": "registry"} for _, one in sorted(standing.aliases.items()) if one.targets]
    pinned = [(one["alias"], target) for one in documents for target in one["targets"] if target["revision"]]
    for name, target in pinned:
        facts = standing.known_of(target["model"])
        at = None if facts is None else facts.revision
        if at is not None and at != target["revision"]:
            screen.note(
                f"novix: {name} is pinned to {target['model']}@{target['revision']}; its main branch is at {at}"
            )
    own = {one["alias"] for one in documents}
    files = [
        {"alias": name, "targets": [{"model": one, "revision": None} for one in models], "from": "catalogue"}
        for name, models in sorted(catalogue.aliases.items())
        if name not in own
    ]
    lines = [line for one in documents for line in _lines(one)]
    lines += [f"{one['alias']} (catalogue): {', '.join(t['model'] for t in one['targets'])}" for one in files]  # type: ignore[index]
    screen.answer([*documents, *files], lines)
    return Exit.OK


@command
def history(name: Name, as_json: AsJson = False) -> Exit:
    """Show every version of an alias."""
    return asyncio.run(_history(settings(), Screen(as_json=as_json), name))


async def _history(loaded: "Loaded", screen: Screen, name: str) -> Exit:
    from console.governing import registry
    from console.kafka import connected

    async with connected(loaded) as log:
        _, records = await registry(log)
    documents = _versions(records, name)
    if not documents:
        raise CommandError(f"no alias {name[:64]!r}; see: novix alias list", Exit.NOT_MET)
    screen.answer(documents, [line for one in documents for line in _lines(one)])
    return Exit.OK


def _versions(records: "Sequence[Record]", name: str) -> list[dict[str, Any]]:
    """Every version of an alias, the oldest first, numbered as routers number them."""
    from runtime.registry import Registry

    known, found = Registry(), list[dict[str, Any]]()
    for record in records:
        known.fold(record)
        named = known.now().aliases.get(name) if _speaks_of(record, name) else None
        if named is not None:
            found.append(_document(named) | {"registry_version": record.offset + 1})
    return found


def _speaks_of(record: "Record", name: str) -> bool:
    from console.governing import event_of
    from schemas.registry import Alias

    event = event_of(record)
    return isinstance(event, Alias) and event.alias == name


@command
def rollback(
    name: Name,
    to: Annotated[int | None, typer.Option("--to", metavar="VERSION", help="None: the one before.", min=1)] = None,
    as_json: AsJson = False,
) -> Exit:
    """Let a name stand again for what an earlier version of it stood for. One event; it is a new version."""
    return asyncio.run(_rollback(settings(), Screen(as_json=as_json), name, to))


async def _rollback(loaded: "Loaded", screen: Screen, name: str, to: int | None) -> Exit:
    from console.governing import registry
    from console.kafka import connected

    async with connected(loaded) as log:
        _, records = await registry(log)
        versions = {one["version"]: one for one in _versions(records, name)}
        if not versions:
            raise CommandError(f"no alias {name[:64]!r}; see: novix alias list", Exit.NOT_MET)
        wanted = max(versions) - 1 if to is None else to
        if wanted not in versions:
            raise CommandError(f"{name} has versions 1 to {max(versions)}, and no version {wanted}", Exit.NOT_MET)
        targets = [(one["model"], one["revision"]) for one in versions[wanted]["targets"]]
        document = await _write(log, name, targets) | {"as_version": wanted}
    screen.answer(document, [*_lines(document), f"as version {wanted} was"])
    return Exit.OK


@command
def remove(name: Name, as_json: AsJson = False) -> Exit:
    """Take an alias away; one of the same name in the catalogue holds again."""
    return asyncio.run(_remove(settings(), Screen(as_json=as_json), name))


async def _remove(loaded: "Loaded", screen: Screen, name: str) -> Exit:
    from console.governing import registry
    from console.kafka import connected

    async with connected(loaded) as log:
        known, _ = await registry(log)
        before = known.now().aliases.get(name)
        if before is None or not before.targets:
            raise CommandError(f"no alias {name[:64]!r}; see: novix alias list", Exit.NOT_MET)
        document = await _write(log, name, ())
    screen.answer(document, _lines(document))
    return Exit.OK
