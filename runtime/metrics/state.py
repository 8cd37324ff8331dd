"""What a scrape reads of what a process says of itself (`describe`), as gauges. Pure.

`/healthz` and `/metrics` so tell the same; nothing is counted twice, and nothing of it costs anything between scrapes.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import add
from typing import Any

from runtime.metrics.registry import NANO, Metrics

Samples = dict[str, dict[tuple[str, ...], float]]
Tell = Callable[..., None]
Together = Callable[[float, float], float]
"""How several values under one label, those of `other`, become one."""
BREAKER_STATES = {"closed": 0.0, "half-open": 1.0, "open": 2.0}
OF_A_LANE = {
    "novix_lane_lag_records": "lag",
    "novix_lane_in_flight_records": "works",
    "novix_lane_uncommitted_records": "uncommitted",
    "novix_lane_oldest_open_seconds": "oldest_s",
    "novix_lane_quiet_seconds": "quiet_s",
}
"""By metric, the member of a lane's description."""
OF_A_LIMIT = {
    "novix_limiter_limit_calls": "limit",
    "novix_limiter_cap_calls": "cap",
    "novix_limiter_in_use_calls": "in_flight",
    "novix_limiter_waiting_calls": "waiting",
    "novix_limiter_held_seconds": "held_until",
}
"""By metric, the member of a limit's description."""
TRACE_DECISIONS = ("sampled", "kept_for_an_error", "kept_as_slow", "left_out")
MARKS = frozenset({"lanes", "firing", "relayed", "checkpoint", "catalogued"})
"""By one of these members a service within a process is known."""
OF_AN_AUDIT = {
    "novix_audit_checkpoint_number": "checkpoint",
    "novix_audit_uncovered_entries": "uncovered",
    "novix_audit_spoilt_records": "spoilt",
    "novix_audit_gaps": "gaps",
}
"""By metric, the member of the description of who makes checkpoints."""
OF_AN_ENDPOINT = {
    "novix_endpoint_ready": ("ready", 1),
    "novix_endpoint_ready_replicas": ("ready_replicas", 1),
    "novix_endpoint_target_replicas": ("target_replicas", 1),
    "novix_endpoint_cost_usd": ("cost_nanousd", NANO),
    "novix_endpoint_hour_usd": ("hour_nanousd", NANO),
    "novix_endpoint_waiting_jobs": ("waiting", 1),
    "novix_endpoint_drifted": ("drifted", 1),
    "novix_endpoint_log_errors": ("errors", 1),
}
"""By metric, the member of an endpoint's description, and what it is divided by; of several they add up."""
SECONDS_OF_AN_ENDPOINT = {"novix_endpoint_waiting_seconds": "oldest_s", "novix_endpoint_start_seconds": "start_s"}
"""Of several, the longest."""
PRIORITIES = ("interactive", "normal", "batch")


def _newest(_: float, value: float) -> float:
    return value


def read(state: Mapping[str, Any], metrics: Metrics) -> Samples:
    """The samples of a process's whole description. What is not there, or of another form, is not told."""
    samples: Samples = {}

    def tell(name: str, value: object, *labels: str, together: Together = _newest) -> None:
        if isinstance(value, int | float):
            known = samples.setdefault(name, {})
            known[labels] = together(known[labels], float(value)) if labels in known else float(value)

    services = list(_services(state))
    for service in services:
        if isinstance(service.get("lanes"), list):
            _lanes(service, tell)
        _routing(service, tell)
        _beside(service, tell)
        _endpoints(service, metrics, tell)
    for service in [one for one in services if "limits" in one][:1]:  # what a process's workers share, each tells
        _work(service, metrics, tell)
    loop = state.get("loop")
    if isinstance(loop, Mapping):
        tell("novix_loop_longest_lag_seconds", loop["longest_ms"] / 1_000)
        tell("novix_loop_blocked_total", loop["blocked"])
    return samples


def _services(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The description itself, and those of the services that it names."""
    yield state
    for value in state.values():
        if isinstance(value, Mapping) and not MARKS.isdisjoint(value):
            yield value


def _lanes(service: Mapping[str, Any], tell: Tell) -> None:
    place = service["group"], service["topic"]
    window = service["window"]
    tell("novix_window_size_records", window["size"], *place)
    tell("novix_window_used_records", window["used"], *place)
    tell("novix_window_held_records", window["on_hold"], *place)
    tell("novix_window_used_bytes", window["bytes"], *place)
    tell("novix_behind_key_records", service["behind_their_key"]["records"], *place)
    tell("novix_draining", service["draining"], *place)
    tell("novix_unassigned_seconds", service["unassigned_s"], *place)
    spans = service.get("spans", {})
    tell("novix_spans_unsampled_total", spans.get("spans_left_out"), *place)
    for decision in TRACE_DECISIONS:
        tell("novix_traces_total", spans.get(decision), *place, decision)
    for lane in service["lanes"]:
        where = (*place, lane["lane"].rpartition(".")[2])
        for name, member in OF_A_LANE.items():
            tell(name, lane[member], *where)
        if lane["oldest_s"] is None:
            tell("novix_lane_oldest_open_seconds", 0, *where)
        for name, condition in (("open", "open"), ("stopped", "stopped"), ("stuck", "stuck")):
            tell(f"novix_lane_{name}", lane["state"] == condition, *where)


def _work(service: Mapping[str, Any], metrics: Metrics, tell: Tell) -> None:
    for key, view in service.get("breakers", {}).items():
        tell("novix_breaker_state", BREAKER_STATES[view["state"]], *_who(key, metrics), together=max)
    for key, view in service.get("limits", {}).items():
        for name, member in OF_A_LIMIT.items():
            tell(name, view[member] or 0, *_who(key, metrics), together=add)
    for origin, word in service.get("providers", {}).items():
        tell("novix_provider_reachable", word == "reachable", origin)
    for provider in service.get("refused_credentials", {}):
        tell("novix_credential_refused", 1, metrics.providers(provider))
    if "intents" in service:
        tell("novix_intents_unavailable", bool(service["intents"].get("trouble")))
    if "deltas" in service:
        tell("novix_deltas_published_total", service["deltas"]["published"])
        tell("novix_deltas_dropped_total", service["deltas"]["dropped"])


def _who(key: str, metrics: Metrics) -> tuple[str, str]:
    """`provider/model`, of which only the model may hold slashes."""
    provider, _, model = key.partition("/")
    return metrics.who(provider, model)


def _routing(service: Mapping[str, Any], tell: Tell) -> None:
    for lane in service.get("dedup", ()):
        partition = str(lane["partition"])
        tell("novix_seen_identities", lane["identities"], partition)
        tell("novix_router_blocked", "blocked" in lane, partition)
    for lane in service.get("money", ()):
        partition = str(lane["partition"])
        tell("novix_money_open_usd", lane["reserved_nanousd"] / 1_000_000_000, partition)
        tell("novix_money_open_reservations", lane["open"], partition)
        tell("novix_money_overdrawn_budgets", lane["overdrawn"], partition)
        for priority in PRIORITIES:
            tell("novix_jobs_waiting", lane["waiting"][priority], partition, priority)
    if "dedup" in service:
        tell("novix_history_records_refused", len(service.get("refused", ())))


def _endpoints(service: Mapping[str, Any], metrics: Metrics, tell: Tell) -> None:
    """Of the process that owns the orders; another one has an empty fleet."""
    if "fleet" not in service:
        return
    tell("novix_endpoint_faults", len(service["faults"]))
    for key, view in service["fleet"].items():
        endpoint = metrics.endpoints(key)
        tell("novix_endpoint_status", 1, endpoint, view["status"], together=add)
        for name, (member, unit) in OF_AN_ENDPOINT.items():
            if view[member] is not None:
                tell(name, view[member] / unit, endpoint, together=add)
        for name, member in SECONDS_OF_AN_ENDPOINT.items():
            tell(name, view[member], endpoint, together=max)


def _beside(service: Mapping[str, Any], tell: Tell) -> None:
    """The services beside router and workers."""
    if "firing" in service:
        tell("novix_alert_rules", service.get("rules"))
        tell("novix_alerts_firing", service["firing"])
    if "last_record_ms" in service:
        tell("novix_console_records_total", service.get("records"))
        tell("novix_console_last_record_timestamp_seconds", (service["last_record_ms"] or 0) / 1_000)
        tell("novix_console_fault", bool(service.get("fault")))
    if "relayed" in service:
        for outcome in ("relayed", "skipped", "refused"):
            tell("novix_relay_records_total", service[outcome], outcome)
        tell("novix_relay_rejected_spans_total", service["rejected_spans"])
        tell("novix_relay_fault", bool(service["fault"]))
    if "checkpoint" in service:
        for name, member in OF_AN_AUDIT.items():
            tell(name, service.get(member))
    if "catalogued" in service:
        tell("novix_hub_written_total", service["catalogued"])
        for source, told in service["sources"].items():
            tell("novix_hub_source_up", told["state"] != "failed", source)
            tell("novix_hub_source_rows", told["rows"], source)
