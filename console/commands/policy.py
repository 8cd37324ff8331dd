"""`novix policy`: how jobs are routed, for everybody or for one tenant; rules are data, in force within two seconds."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded
    from schemas.policies import PolicySet

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Policies as YAML or JSON: docs/routing.md.")]


@command
def set_(
    file: PolicyFile,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's policy of the file.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Put the policies of a file in force. One that is wrong anywhere is refused with line and reason, whole: what held
    before holds on."""
    return asyncio.run(_set(settings(), Screen(as_json=as_json), file, tenant))


async def _set(loaded: "Loaded", screen: Screen, file: Path, tenant: str | None) -> Exit:
    from console.kafka import connected
    from console.money import events
    from console.words import shown

    found = [one for one in _read(file) if tenant in (None, one.tenant)]
    if not found:
        raise CommandError(f"{file}: no policy of tenant {tenant!r}", Exit.NOT_MET)
    version = 0
    async with connected(loaded) as log:
        for one in found:
            version = await events.rule(log, f"policy/{one.tenant}", one)
    document = {"policies_version": version, "policies": [_described(one) for one in found]}
    lines = [f"{'removed' if one.removed else 'in force'}: {_line(one)}" for one in found]
    screen.answer(document, [shown(line) for line in [*lines, f"policies are at version {version}"]])
    return Exit.OK


@command
def check(file: PolicyFile, as_json: AsJson = False) -> Exit:
    """Say whether a file of policies would be taken; nothing is published. Exit code 2 with line and reason if not."""
    from console.words import shown

    found = _read(file)
    Screen(as_json=as_json).answer([_described(one) for one in found], [shown(f"good: {_line(one)}") for one in found])
    return Exit.OK


@command
def show(
    tenant: Annotated[str | None, typer.Argument(help="Whose; none: everybody's, and each tenant's own.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Show by which policy jobs are routed, and since when; what was refused, and why."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), tenant))


async def _show(loaded: "Loaded", screen: Screen, tenant: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories
    from console.words import shown
    from schemas.policies import EVERYBODY

    async with connected(loaded) as log:
        rules = await histories.rules(log, loaded.settings)
    named = [tenant] if tenant is not None else [EVERYBODY, *rules.tenants()]
    documents: list[dict[str, Any]] = []
    for name in named:
        event = rules.policy_set(name)
        documents.append(
            {
                "tenant": name,
                "policy": rules.policy_of(name).name,
                "parameters": {} if event is None else event.parameters,
                "from": "the installation" if event is None else f"tenant {event.tenant}",
                "since": None if event is None else event.at.isoformat(),
                "by": "" if event is None else event.by,
            }
        )
    if screen.as_json:
        faults = [{"offset": one.offset, "reason": one.reason} for one in rules.faults]
        screen.answer({"policies": documents, "policies_version": rules.version, "refused": faults})
        return Exit.OK
    rows = [
        [one["tenant"] if one["tenant"] != EVERYBODY else "(everybody)", one["policy"], _parameters(one["parameters"]),
         one["from"], one["since"] or "-"]
        for one in documents
    ]  # fmt: skip
    screen.table("Policies", ["tenant", "policy", "parameters", "from", "since"], [[*map(shown, row)] for row in rows])
    for fault in rules.faults:
        screen.note(shown(f"novix: the rule at offset {fault.offset} was refused: {fault.reason}"))
    return Exit.OK


def _read(file: Path) -> "list[PolicySet]":
    """Raises `CommandError` naming line and reason."""
    from datetime import UTC, datetime

    from console.who import who
    from router.policies.file import MOST_BYTES, BadPolicyFile, read

    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        return read(content.decode("utf-8-sig"), str(file), at=datetime.now(UTC), by=who("policy set"))
    except BadPolicyFile as error:
        raise CommandError(str(error), Exit.USAGE) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: no UTF-8 text at byte {error.start}", Exit.USAGE) from None
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None


def _described(one: "PolicySet") -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"kind"})


def _line(one: "PolicySet") -> str:
    from schemas.policies import EVERYBODY

    whose = "everybody without a policy" if one.tenant == EVERYBODY else f"tenant {one.tenant}"
    return f"{whose}: {one.policy}{' ' if one.parameters else ''}{_parameters(one.parameters)}"


def _parameters(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())
