"""Dedicated endpoints as the topics have them: for commands and pages."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from console.kafka import Log
from console.words import money, shown
from runtime.ports import Record
from schemas.endpoints import EndpointQuota, EndpointState
from schemas.topics import ENDPOINT_QUOTAS, ENDPOINTS, Topic

COLUMNS = ["endpoint", "tenant", "model", "machine", "region", "status", "replicas", "waiting", "cost", "told"]


@dataclass
class Fleet:
    """The folds of `novix.endpoints.v1` and `novix.endpoints.quotas.v1`. Total: what is unreadable is passed over."""

    states: dict[str, EndpointState] = field(default_factory=dict)
    """By `namespace/name`."""
    quotas: dict[str, EndpointQuota] = field(default_factory=dict)

    def fold_state(self, record: Record) -> None:
        """Take in one record of `novix.endpoints.v1`."""
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            state = None if record.value is None else EndpointState.model_validate_json(record.value)
        except ValidationError:
            return
        if state is None:
            self.states.pop(key, None)
        else:
            self.states[state.spec.key] = state

    def fold_quota(self, record: Record) -> None:
        """Take in one record of `novix.endpoints.quotas.v1`."""
        tenant = (record.key or b"").decode("utf-8", "replace")
        try:
            quota = None if record.value is None else EndpointQuota.model_validate_json(record.value)
        except ValidationError:
            return
        if quota is None:
            self.quotas.pop(tenant, None)
        else:
            self.quotas[quota.tenant] = quota

    def quota(self, tenant: str) -> EndpointQuota:
        """The tenant's own, else everybody's, else none at all."""
        return self.quotas.get(tenant) or self.quotas.get("*") or EndpointQuota()


async def read(log: Log) -> Fleet:
    """Both topics as they are now."""
    fleet = Fleet()
    for topic, fold in ((ENDPOINTS, fleet.fold_state), (ENDPOINT_QUOTAS, fleet.fold_quota)):
        for record in await _all(log, topic):
            fold(record)
    return fleet


async def _all(log: Log, topic: Topic) -> list[Record]:
    reader, found = log.reader(), list[Record]()
    for partition in range(await reader.partitions(topic.name)):
        first, end = await reader.bounds(topic.name, partition)
        found += [record async for record in reader.read(topic.name, partition, first, end)]
    return found


def row(state: EndpointState) -> list[str]:
    """One line of the list."""
    spec = state.spec
    cells = [
        spec.key, spec.tenant, spec.model, f"{spec.instance_type}/{spec.instance_size}",
        f"{spec.security.vendor}/{spec.security.region}", status_of(state),
        f"{state.ready_replicas} of {state.target_replicas}", str(state.waiting), cost_of(state),
        f"{state.at:%Y-%m-%d %H:%M:%S}",
    ]  # fmt: skip
    return [shown(cell) for cell in cells]


def status_of(state: EndpointState) -> str:
    """Its status, and whether it is early to call it so."""
    return f"{state.status}, not ready" if state.status == "running" and not state.ready else state.status


def cost_of(state: EndpointState) -> str:
    """What it has cost so far."""
    total = state.costs.total_nanousd
    if state.costs.since is None:
        return "$0.00"
    return "unknown" if total is None else money(total)


def metrics(state: EndpointState) -> dict[str, float | int | None]:
    """What calls to it were like and what it costs; None: not measured, or not known."""
    return {
        "latency_ms": state.measured.latency_ms, "throughput_per_hour": state.throughput_per_hour,
        "availability": state.measured.availability, "cost_nanousd": state.costs.total_nanousd,
    }  # fmt: skip


def told(state: EndpointState) -> list[str]:
    """One endpoint in lines."""
    spec, costs, measured = state.spec, state.costs, state.measured
    hour = "unknown" if costs.nanousd_per_hour is None else f"{money(costs.nanousd_per_hour)} an hour for each replica"
    latency = "not measured" if measured.latency_ms is None else f"{measured.latency_ms:.0f} ms on average"
    available = "" if measured.availability is None else f", {measured.availability:.1%} of {measured.attempts} calls"
    runs, newest = state.running_revision or "unknown", state.newest_revision or "unknown"
    rate = "" if state.throughput_per_hour is None else f", {state.throughput_per_hour:.1f} an hour of a replica"
    lines = [
        f"{spec.key} ({state.id or 'no id yet'}) of tenant {spec.tenant}: {status_of(state)} since {state.since}",
        f"model {spec.model}, revision {runs}, newest {newest}, task {spec.task}",
        f"on {spec.security.vendor}/{spec.security.region} {spec.instance_type}/{spec.instance_size}, "
        f"{spec.scaling.min_replicas} to {spec.scaling.max_replicas} replicas, {spec.security.access}",
        f"takes the jobs of {', '.join(spec.tenants) or 'every tenant whose tier has dedicated endpoints'}",
        f"address {state.url or 'none'}; {state.ready_replicas} of {state.target_replicas} replicas ready",
        f"cost {cost_of(state)} for {costs.billed_s // 60} replica-minutes; {hour}",
        f"calls: {latency}{available}{rate}; a start takes {state.cold_start_s:.0f} s",
        f"{state.waiting} jobs wait; woken last for {state.woken_for}",
    ]
    if state.logs is not None:
        lines.append(f"logs: {state.logs.lines} lines, {state.logs.warnings} warnings, {state.logs.errors} errors")
    if state.message:
        lines.append(f"it says: {state.message}")
    if state.last_command:
        reason = f": {state.last_reason}" if state.last_reason else ""
        lines.append(f"last order {state.last_command}: {state.last_outcome}{reason}")
    return [shown(line) for line in lines]
