"""`novix endpoints`: dedicated Inference Endpoints. Orders go through a topic to the process that carries them out."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.endpoints import Fleet
    from console.kafka import Log
    from runtime.settings import Loaded
    from schemas.endpoints import EndpointSpec, EndpointState

WAIT_S = 30.0
LOOK_S = 0.2
NONE = "none"

Which = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The endpoint.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit.")]
Tenant = Annotated[str | None, typer.Option(help="Whose it is; default: as it was made, else `default`.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for the answer of the process; 0: do not wait.", min=0)]
OnlyFor = Annotated[
    list[str] | None,
    typer.Option("--only-for", metavar="TENANT", help="Take this tenant's jobs alone; repeat it; `*`: everybody's."),
]
Logs = Annotated[
    bool | None,
    typer.Option("--count-logs/--no-count-logs", help="Count the lines, warnings and errors of its logs."),
]
Environment = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME=VALUE", help="Of its container; repeat it. Never a secret: these are events."),
]
Id = Annotated[str | None, typer.Option("--id", help="Id of this order: the same id is carried out once.")]


@command
def run() -> Exit:
    """Run the controller: it carries out orders, watches, wakes what jobs wait for and lets it sleep again."""
    from hub.endpoints.app import run as serve

    return Exit(serve(settings().settings))


@command
def show_list(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None, as_json: AsJson = False
) -> Exit:
    """List the endpoints: where they run, how they are, what they have cost."""
    return asyncio.run(_list(settings(), Screen(as_json=as_json), tenant))


@command
def show(which: Which, as_json: AsJson = False) -> Exit:
    """Show one endpoint: what was asked for, how it is, what waits for it, and what it has cost."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), which))


@command
def logs(which: Which, tail: Annotated[int, typer.Option(help="Lines.", min=1, max=1_000)] = 50) -> Exit:
    """Show the last lines of its containers, asked of the management API; they are kept nowhere."""
    return asyncio.run(_logs(settings(), Screen(), which, tail))


@command
def create(
    which: Which,
    model: Annotated[str, typer.Option(help="The Hub's id.")],
    task: Annotated[str, typer.Option(help="As the Hub names it: text-generation, feature-extraction, ...")],
    instance: Annotated[str, typer.Option(metavar="TYPE/SIZE", help="nvidia-l4/x1, intel-spr/x2, ...")],
    accelerator: Annotated[str, typer.Option(help="cpu, gpu or neuron.")] = "gpu",
    vendor: Annotated[str, typer.Option(help="aws, azure or gcp.")] = "aws",
    region: Annotated[str, typer.Option(help="us-east-1, eu-west-1, ...")] = "us-east-1",
    access: Annotated[str, typer.Option(help="authenticated, public or private.")] = "authenticated",
    revision: Annotated[str | None, typer.Option(help="Commit of the model.")] = None,
    min_replicas: Annotated[int, typer.Option(help="0: it may sleep.", min=0)] = 0,
    max_replicas: Annotated[int, typer.Option(min=1)] = 1,
    sleep_after: Annotated[str, typer.Option(metavar="SECONDS|none", help="Without waiting jobs, until it sleeps.")] = (
        "120"
    ),
    batch_wait: Annotated[int, typer.Option(help="Seconds that jobs wait for others before it is woken.", min=0)] = 0,
    wake: Annotated[bool, typer.Option("--wake/--no-wake", help="Jobs that wait wake it.")] = True,
    image: Annotated[str, typer.Option(help="huggingface, tgi, tei, vLLM, ...")] = "huggingface",
    quantize: Annotated[str | None, typer.Option(help="Passed to a container that can.")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Passed to a container that can.", min=1)] = None,
    env: Environment = None,
    only_for: OnlyFor = None,
    count_logs: Logs = None,
    tenant: Tenant = None,
    why: Why = "",
    order_id: Id = None,
    wait: Wait = WAIT_S,
    as_json: AsJson = False,
) -> Exit:
    """Have an endpoint made. It costs money from when it initializes on, until it sleeps, is paused or deleted."""
    instance_type, _, size = instance.partition("/")
    fields: dict[str, Any] = {
        "model": model, "task": task, "instance_type": instance_type, "instance_size": size or "x1",
        "accelerator": accelerator, "revision": revision,
        "custom": {"image": {image: {}}, "env": _environment(env or [])},
        "scaling": {
            "min_replicas": min_replicas, "max_replicas": max_replicas, "sleep_after_s": _seconds(sleep_after),
            "batch_wait_s": batch_wait, "wake_on_lag": wake,
        },
        "optimization": {"quantization": quantize, "max_batch": max_batch},
        "security": {"access": access, "vendor": vendor, "region": region},
        "tenants": _bound(only_for or []), "monitoring": {"logs": bool(count_logs)},
    }  # fmt: skip
    screen = Screen(as_json=as_json)
    return asyncio.run(_ordered(settings(), screen, "create", which, fields, tenant, why, order_id, wait))


@command
def update(
    which: Which,
    model: Annotated[str | None, typer.Option(help="The Hub's id.")] = None,
    revision: Annotated[str | None, typer.Option(help="Commit of the model.")] = None,
    instance: Annotated[str | None, typer.Option(metavar="TYPE/SIZE")] = None,
    min_replicas: Annotated[int | None, typer.Option(min=0)] = None,
    max_replicas: Annotated[int | None, typer.Option(min=1)] = None,
    sleep_after: Annotated[str | None, typer.Option(metavar="SECONDS|none")] = None,
    batch_wait: Annotated[int | None, typer.Option(min=0)] = None,
    wake: Annotated[bool | None, typer.Option("--wake/--no-wake")] = None,
    env: Environment = None,
    only_for: OnlyFor = None,
    count_logs: Logs = None,
    why: Why = "",
    order_id: Id = None,
    wait: Wait = WAIT_S,
    as_json: AsJson = False,
) -> Exit:
    """Change an endpoint: what is not named stays as it was."""
    scaling: dict[str, Any] = {
        "min_replicas": min_replicas, "max_replicas": max_replicas, "batch_wait_s": batch_wait, "wake_on_lag": wake,
    }  # fmt: skip
    scaling = {name: value for name, value in scaling.items() if value is not None}
    if sleep_after is not None:
        scaling["sleep_after_s"] = _seconds(sleep_after)
    fields: dict[str, Any] = {"model": model, "revision": revision}
    if instance is not None:
        fields["instance_type"], _, size = instance.partition("/")
        fields["instance_size"] = size or "x1"
    named = {name: value for name, value in fields.items() if value is not None} | {"scaling": scaling}
    if only_for is not None:
        named["tenants"] = _bound(only_for)
    if count_logs is not None:
        named["monitoring"] = {"logs": count_logs}
    if env is not None:
        named["custom"] = {"env": _environment(env)}
    screen = Screen(as_json=as_json)
    return asyncio.run(_ordered(settings(), screen, "update", which, named, None, why, order_id, wait))


def _order(action: str, about: str) -> Any:
    @command
    def order(which: Which, why: Why = "", order_id: Id = None, wait: Wait = WAIT_S, as_json: AsJson = False) -> Exit:
        screen = Screen(as_json=as_json)
        return asyncio.run(_ordered(settings(), screen, action, which, None, None, why, order_id, wait))

    order.__doc__ = about
    return order


pause = _order("pause", "Stop it until somebody resumes it; jobs that wait for it do not wake it.")
resume = _order("resume", "Start one that is paused, failed or asleep.")
sleep = _order("scale_to_zero", "Scale it to zero now: the next job wakes it.")
delete = _order("delete", "Take it away. What it has cost stays told.")


@command
def quota(
    tenant: Annotated[str, typer.Option(help="Whose; `*`: of everybody who has none.")],
    most: Annotated[int | None, typer.Option(help="Endpoints at a time.", min=0, max=10_000)] = None,
    per_hour: Annotated[
        str | None, typer.Option(metavar="DOLLARS|none", help="Together in an hour, with all their replicas.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="As everybody's.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Set or show how many endpoints a tenant may have and what they may cost. Without a quota: none."""
    return asyncio.run(_quota(settings(), Screen(as_json=as_json), tenant, most, per_hour, remove=remove))


async def _list(loaded: "Loaded", screen: Screen, tenant: str | None) -> Exit:
    from console import endpoints
    from console.kafka import connected

    async with connected(loaded) as log:
        fleet = await endpoints.read(log)
    states = [state for state in fleet.states.values() if tenant in (None, state.spec.tenant)]
    if screen.as_json:
        screen.answer([state.model_dump(mode="json") for state in states])
    elif states:
        screen.table("Endpoints", endpoints.COLUMNS, [endpoints.row(state) for state in states])
    else:
        screen.note("novix: no endpoint; make one with: novix endpoints create")
    return Exit.OK


async def _show(loaded: "Loaded", screen: Screen, which: str) -> Exit:
    from console import endpoints
    from console.kafka import connected

    async with connected(loaded) as log:
        fleet = await endpoints.read(log)
    state = of(fleet, which)
    screen.answer({**state.model_dump(mode="json"), "metrics": endpoints.metrics(state)}, endpoints.told(state))
    return Exit.OK


async def _logs(loaded: "Loaded", screen: Screen, which: str, tail: int) -> Exit:
    from console.words import shown
    from hub.endpoints.api import ApiError
    from hub.endpoints.app import opened

    namespace, name = _parted(which)
    try:
        async with opened(loaded.settings) as api:
            lines = (await api.logs(namespace, name, tail)).splitlines()
    except ApiError as error:
        raise CommandError(str(error)) from None
    for line in lines[-tail:]:
        screen.line(shown(line[:2_000]))
    return Exit.OK


async def _ordered(
    loaded: "Loaded", screen: Screen, action: str, which: str, fields: dict[str, Any] | None, tenant: str | None,
    why: str, order_id: str | None, wait_s: float,
) -> Exit:  # fmt: skip
    from pydantic import ValidationError

    from console import endpoints
    from console.kafka import connected
    from console.who import who
    from hub.endpoints.controller import command_record
    from schemas.endpoints import EndpointCommand
    from schemas.job import describe

    namespace, name = _parted(which)
    async with connected(loaded) as log:
        old = (await endpoints.read(log)).states.get(which)
        if action != "create" and (old is None or old.status in ("deleted", "refused")):
            raise CommandError(f"no endpoint {which!r}; novix endpoints list shows those that there are", Exit.NOT_MET)
        owner = tenant or (old.spec.tenant if old is not None and action != "create" else "default")
        try:
            spec = None if fields is None else _spec(old if action == "update" else None, which, owner, fields)
            order = EndpointCommand(
                id=order_id or f"{action}-{uuid.uuid4().hex[:12]}", action=action, namespace=namespace, name=name,
                spec=spec, tenant=owner, at=datetime.now(UTC), by=who(f"endpoints {action}"), reason=why,
            )  # fmt: skip
        except ValidationError as error:
            raise CommandError(describe(error), Exit.USAGE) from None
        await log.publish([command_record(order)])
        state = await _answered(log, which, order.id, wait_s)
    if state is None:
        screen.answer({"order": order.id, "outcome": None}, [f"ordered as {order.id}; not answered yet"])
        return Exit.OK if wait_s == 0 else Exit.NOT_MET
    lines = [f"{order.action} {which}: {state.last_outcome}" + (f": {state.last_reason}" if state.last_reason else "")]
    from console.words import shown

    screen.answer(
        {"order": order.id, "outcome": state.last_outcome, "reason": state.last_reason, "status": state.status},
        [shown(line) for line in [*lines, f"it is {state.status}"]],
    )
    return Exit.OK if state.last_outcome in ("done", "nothing_to_do") else Exit.FAILED


async def _answered(log: "Log", which: str, order: str, wait_s: float) -> "EndpointState | None":
    from console import endpoints

    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        state = (await endpoints.read(log)).states.get(which)
        if state is not None and order in state.answered:
            return state
        await asyncio.sleep(LOOK_S)
    return None


def _spec(old: "EndpointState | None", which: str, tenant: str, fields: dict[str, Any]) -> "EndpointSpec":
    from schemas.endpoints import EndpointSpec

    namespace, name = _parted(which)
    known = {} if old is None else old.spec.model_dump()
    parts = {
        part: {**known.get(part, {}), **fields[part]} for part in ("scaling", "monitoring", "custom") if part in fields
    }
    if "env" in parts.get("custom", {}):
        parts["custom"]["env"] = {**known.get("custom", {}).get("env", {}), **parts["custom"]["env"]}
    own = {"namespace": namespace, "name": name, "tenant": tenant}
    return EndpointSpec.model_validate({**known, **fields, **parts, **own})


async def _quota(
    loaded: "Loaded", screen: Screen, tenant: str, most: int | None, per_hour: str | None, *, remove: bool
) -> Exit:
    from pydantic import ValidationError

    from console import endpoints
    from console.kafka import connected
    from console.who import who
    from console.words import money, shown
    from runtime.ports import Outgoing
    from schemas.endpoints import EndpointQuota
    from schemas.job import describe
    from schemas.topics import ENDPOINT_QUOTAS

    async with connected(loaded) as log:
        fleet = await endpoints.read(log)
        held = fleet.quota(tenant)
        if remove or most is not None or per_hour is not None:
            hourly = held.nanousd_per_hour if per_hour is None else _dollars(per_hour)
            try:
                held = EndpointQuota(
                    tenant=tenant, most=held.most if most is None else most, nanousd_per_hour=hourly,
                    at=datetime.now(UTC), by=who("endpoints quota"),
                )  # fmt: skip
            except ValidationError as error:
                raise CommandError(describe(error), Exit.USAGE) from None
            value = None if remove else held.encode()
            await log.publish([Outgoing(ENDPOINT_QUOTAS.name, tenant.encode(), value, partition=0)])
            if remove:
                held = (await endpoints.read(log)).quota(tenant)
    spend = "whatever they cost" if held.nanousd_per_hour is None else f"{money(held.nanousd_per_hour)} an hour"
    line = f"tenant {shown(tenant)} may have {held.most} endpoints, for {spend}"
    screen.answer(held.model_dump(mode="json"), [line])
    return Exit.OK


def of(fleet: "Fleet", which: str) -> "EndpointState":
    """One of them. Raises `CommandError` with those that there are."""
    state = fleet.states.get(which)
    if state is None:
        there = ", ".join(sorted(fleet.states)[:20]) or "none"
        raise CommandError(f"no endpoint {which[:200]!r}; there are: {there}", Exit.NOT_MET)
    return state


def _parted(which: str) -> tuple[str, str]:
    namespace, slash, name = which.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise CommandError(f"{which[:200]!r}: write NAMESPACE/NAME", Exit.USAGE)
    return namespace, name


def _bound(tenants: list[str]) -> list[str]:
    """Whose jobs alone it takes; none by name where `*` is among them."""
    return [] if "*" in tenants else list(dict.fromkeys(tenants))


def _environment(told: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in told:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise CommandError(f"--env {name[:40]!r}: write NAME=VALUE", Exit.USAGE)
        found[name] = value
    return found


def _seconds(text: str) -> int | None:
    if text == NONE:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CommandError(f"--sleep-after {text[:40]!r}: write a whole number of seconds, or none", Exit.USAGE)
    return int(text)


def _dollars(text: str) -> int | None:
    from console.money.amounts import BadAmount, nanousd

    if text == NONE:
        return None
    try:
        return nanousd(text)
    except BadAmount as error:
        raise CommandError(f"--per-hour {text[:40]!r}: {error}", Exit.USAGE) from None
