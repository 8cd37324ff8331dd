"""Each metric of the table moves when what it speaks of happens, in the component that it speaks of."""

import functools
from collections.abc import Mapping
from typing import Any

import metrics_worlds as worlds
import metrics_worlds_endpoints
import pytest
from metrics_worlds import Moved, total
from metrics_worlds_work import told_by
from prometheus_client.parser import text_string_to_metric_families

from runtime.metrics.table import METRICS

SAME_MODEL = {"provider": "auto", "model": "acme/chat"}
OPERATION = {
    "gen_ai_operation_name": "chat", "gen_ai_provider_name": "huggingface", "gen_ai_request_model": "acme/chat",
    "provider": "auto",
}  # fmt: skip
COMMIT, POLL = {"messaging_operation_name": "commit"}, {"messaging_operation_name": "poll"}
LANE: dict[str, str] = {"group": "sim", "partition": "0"}
ALWAYS: dict[str, str] = {}

Row = tuple[str, str, Mapping[str, str], float | None, float]
ROWS: tuple[Row, ...] = (
    # metric, what happens (tests/support/metrics_worlds.py), labels, before, after; a histogram: how many observations
    ("novix_healthy", "blocked", ALWAYS, 1, 0),
    ("novix_ready", "revoked", ALWAYS, 1, 0),
    ("novix_loop_blocked_total", "blocked", ALWAYS, 0, 1),
    ("novix_lane_lag_records", "busy", LANE, None, 30),
    ("novix_lane_open", "cut", LANE, 1, 0),
    ("novix_lane_stopped", "cut", LANE, 0, 1),
    ("novix_lane_stuck", "refused", LANE, None, 1),
    ("novix_lane_in_flight_records", "busy", LANE, None, 4),
    ("novix_lane_uncommitted_records", "gathering", LANE, None, 2),
    ("novix_lane_oldest_open_seconds", "busy", LANE, None, 11.916),
    ("novix_window_used_records", "busy", {"group": "sim"}, 0, 4),
    ("novix_window_used_bytes", "busy", {"group": "sim"}, 0, 12),
    ("novix_window_held_records", "held", {"group": "sim"}, 0, 3),
    ("novix_behind_key_records", "busy", {"group": "sim"}, 0, 1),
    ("novix_draining", "revoked", {"group": "sim"}, 0, 1),
    ("novix_unassigned_seconds", "revoked", {"group": "sim"}, 0, 2),
    ("novix_records_settled_total", "committed", {"group": "sim"}, 0, 3),
    ("novix_records_committed_total", "committed", {"group": "sim"}, 0, 3),
    ("novix_commit_duration_seconds", "committed", {"group": "sim"}, 0, 2),
    ("novix_commit_records", "committed", {"group": "sim"}, 0, 2),
    ("novix_commit_records_sum", "committed", {"group": "sim"}, 0, 3),
    ("novix_transactions_failed_total", "refused", {"error_type": "SimError"}, None, 34),
    ("novix_lanes_opened_total", "committed", {"group": "sim"}, 0, 1),
    ("novix_lanes_rebuilt_total", "refused", {"group": "sim"}, 0, 34),
    ("novix_lanes_stopped_total", "cut", {"reason": "PositionLost"}, None, 1),
    ("novix_dead_letters_total", "committed", {"reason": "undecodable"}, None, 1),
    ("novix_dead_letters_total", "committed", {"reason": "internal"}, None, 1),
    ("novix_audit_entries_total", "committed", {"action": "job.succeeded"}, None, 2),
    ("novix_audit_entries_total", "committed", {"action": "record.dead_lettered"}, None, 1),
    ("novix_audit_entries_total", "committed", {"action": "lane.taken"}, None, 1),
    ("novix_spans_written_total", "committed", {"group": "sim"}, 0, 1),
    ("novix_spans_unsampled_total", "committed", {"group": "sim"}, 0, 1),
    ("novix_traces_total", "committed", {"decision": "sampled"}, 0, 1),
    ("novix_traces_total", "committed", {"decision": "left_out"}, 0, 1),
    ("messaging_client_operation_duration_seconds", "committed", {**COMMIT, "error_type": ""}, 0, 2),
    ("messaging_client_operation_duration_seconds", "committed", {**POLL, "error_type": ""}, 0, 1),
    ("messaging_client_operation_duration_seconds", "refused", {**COMMIT, "error_type": "SimError"}, None, 34),
    ("messaging_client_sent_messages_total", "committed", {"messaging_destination_name": "out"}, None, 2),
    ("messaging_client_consumed_messages_total", "committed", {"messaging_destination_name": "in"}, 0, 3),
    ("messaging_process_duration_seconds", "committed", {"messaging_consumer_group_name": "sim"}, 0, 3),
    ("novix_jobs_ended_total", "streamed", {"task": "chat-completion", "status": "succeeded", "kind": ""}, None, 1),
    ("novix_jobs_ended_total", "cut_off", {"status": "failed", "kind": "stream_cut"}, None, 1),
    ("novix_job_duration_seconds", "streamed", {"status": "succeeded"}, None, 1),
    ("novix_job_duration_seconds_sum", "streamed", {"status": "succeeded"}, None, 0.05),
    ("novix_calls_total", "ill", {**SAME_MODEL, "outcome": "provider_error"}, None, 3),
    ("novix_calls_total", "ill", {**SAME_MODEL, "outcome": "ok"}, None, 1),
    ("novix_calls_total", "throttled", {**SAME_MODEL, "outcome": "rate_limited"}, None, 1),
    ("novix_wait_seconds", "ill", {"reason": "retry"}, None, 3),
    ("novix_wait_seconds_sum", "ill", {"reason": "breaker"}, None, 299),
    ("novix_wait_seconds_sum", "streamed", {"reason": "queued"}, None, 0.02),
    ("novix_usage_total", "streamed", {**SAME_MODEL, "unit": "input_tokens"}, None, 20),
    ("novix_usage_total", "streamed", {**SAME_MODEL, "unit": "output_tokens"}, None, 5),
    ("novix_money_settled_usd_total", "streamed", SAME_MODEL, None, 30e-9),
    ("novix_money_ambiguous_usd_total", "cut_off", SAME_MODEL, None, 1_000e-9),
    ("novix_money_released_usd_total", "streamed", ALWAYS, 0, 870e-9),
    ("novix_tenant_jobs_total", "streamed", {"tenant": "acme", "status": "succeeded"}, None, 1),
    ("novix_tenant_settled_usd_total", "streamed", {"tenant": "acme"}, None, 30e-9),
    ("novix_breaker_state", "half_way", SAME_MODEL, None, 2),
    ("novix_breaker_transitions_total", "ill", {**SAME_MODEL, "state": "open"}, None, 1),
    ("novix_breaker_transitions_total", "ill", {**SAME_MODEL, "state": "half-open"}, None, 1),
    ("novix_breaker_transitions_total", "ill", {**SAME_MODEL, "state": "closed"}, None, 1),
    ("novix_limiter_limit_calls", "throttled", SAME_MODEL, None, 4),
    ("novix_limiter_cap_calls", "throttled", {"model": "acme/other"}, None, 3),
    ("novix_limiter_in_use_calls", "throttled", {"model": "acme/other"}, None, 1),
    ("novix_limiter_waiting_calls", "throttled", SAME_MODEL, None, 1),
    ("novix_limiter_held_seconds", "throttled", SAME_MODEL, None, 9),
    ("novix_limiter_holds_total", "throttled", SAME_MODEL, None, 1),
    ("novix_provider_reachable", "cut_from_the_world", {"origin": "http://provider.test"}, 1, 0),
    ("novix_credential_refused", "cut_from_the_world", {"provider": "auto"}, None, 1),
    ("novix_intents_unavailable", "cut_from_the_world", ALWAYS, 0, 1),
    ("novix_deltas_published_total", "in_pieces", ALWAYS, 0, 2),
    ("novix_deltas_dropped_total", "in_pieces", ALWAYS, 0, 1),
    ("gen_ai_client_operation_duration_seconds", "streamed", {**OPERATION, "error_type": ""}, None, 1),
    ("gen_ai_client_operation_duration_seconds", "cut_off", {**OPERATION, "error_type": "stream_cut"}, None, 1),
    ("gen_ai_client_token_usage_sum", "streamed", {**OPERATION, "gen_ai_token_type": "input"}, None, 20),
    ("gen_ai_client_token_usage_sum", "streamed", {**OPERATION, "gen_ai_token_type": "output"}, None, 5),
    ("gen_ai_client_operation_time_to_first_chunk_seconds", "streamed", OPERATION, None, 1),
    ("novix_decisions_total", "decided", {"verdict": "assigned", "task": "chat-completion"}, None, 1),
    ("novix_decisions_total", "decided", {"verdict": "rejected", "task": "unknown"}, None, 1),
    ("novix_refusals_total", "decided", {"reason": "unknown_task"}, None, 1),
    ("novix_money_reserved_usd_total", "decided", ALWAYS, 0, 50_000e-9),
    ("novix_money_open_usd", "decided", ALWAYS, 0, 50_000e-9),
    ("novix_money_open_reservations", "decided", ALWAYS, 0, 1),
    ("novix_money_overdrawn_budgets", "decided", ALWAYS, 0, 1),
    ("novix_jobs_waiting", "decided", {"priority": "normal"}, 0, 1),
    ("novix_seen_identities", "decided", ALWAYS, 0, 2),
    ("novix_router_blocked", "decided", ALWAYS, 0, 1),
    ("novix_history_records_refused", "decided", ALWAYS, 0, 1),
    ("novix_alerts_firing", "alarmed", ALWAYS, 0, 1),
    ("novix_relay_records_total", "relayed", {"outcome": "relayed"}, 0, 1),
    ("novix_relay_records_total", "relayed", {"outcome": "refused"}, 0, 1),
    ("novix_relay_rejected_spans_total", "relayed", ALWAYS, 0, 3),
    ("novix_relay_fault", "relayed", ALWAYS, 0, 1),
    ("novix_audit_checkpoint_number", "audited", ALWAYS, 0, 1),
    ("novix_audit_uncovered_entries", "audited", ALWAYS, 0, 1),
    ("novix_audit_spoilt_records", "audited", ALWAYS, 0, 1),
    ("novix_audit_gaps", "audited", ALWAYS, 0, 1),
    ("novix_hub_source_up", "catalogued", {"source": "router/model"}, None, 1),
    ("novix_hub_source_rows", "catalogued", {"source": "router/model"}, None, 2),
    ("novix_hub_written_total", "catalogued", ALWAYS, None, 5),
    ("novix_endpoint_status", "woken", {"endpoint": "acme/small", "status": "running"}, None, 1),
    ("novix_endpoint_ready", "woken", {"endpoint": "acme/small"}, 0, 1),
    ("novix_endpoint_ready_replicas", "woken", ALWAYS, 0, 2),
    ("novix_endpoint_target_replicas", "woken", ALWAYS, 0, 3),
    ("novix_endpoint_cost_usd", "woken", ALWAYS, None, 1.5),
    ("novix_endpoint_hour_usd", "woken", ALWAYS, None, 0.8),
    ("novix_endpoint_waiting_jobs", "woken", ALWAYS, 0, 1),
    ("novix_endpoint_waiting_seconds", "woken", ALWAYS, 0, 60),
    ("novix_endpoint_start_seconds", "woken", ALWAYS, 240, 180),
    ("novix_endpoint_drifted", "woken", ALWAYS, 0, 1),
    ("novix_endpoint_log_errors", "woken", ALWAYS, None, 3),
    ("novix_endpoint_faults", "woken", ALWAYS, 0, 1),
    ("novix_console_records_total", "indexed", ALWAYS, 0, 7),
    ("novix_console_last_record_timestamp_seconds", "indexed", ALWAYS, 0, 1_795_000_000.5),
    ("novix_console_fault", "indexed", ALWAYS, 0, 1),
)
GROW: dict[str, str] = {
    "novix_loop_lag_seconds": "blocked",
    "novix_loop_longest_lag_seconds": "blocked",
    "novix_lane_quiet_seconds": "refused",
    "novix_alert_rules": "alarmed",
}
"""Those that grow by an amount that nobody chose."""
STAND: dict[str, Mapping[str, str]] = {
    "novix_build_info": {},
    "novix_process_info": {"process": "sim"},
    "novix_window_size_records": {"group": "sim"},
}
"""Those that tell how the process was made, and never move."""


@functools.cache
def moved(world: str) -> Moved:
    """What happened, once for all rows that look at it."""
    told: Any = (metrics_worlds_endpoints.woken if world == "woken" else told_by(world))()
    assert isinstance(told, Moved)
    return told


def _id(row: Row) -> str:
    return "-".join([row[0], row[1], *row[2].values()])


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_it_tells_what_happened(row: Row) -> None:
    name, world, labels, before, after = row
    told = moved(world)

    assert total(told.before, name, labels) == before
    assert total(told.after, name, labels) == pytest.approx(after, rel=1e-9)
    assert before != after


@pytest.mark.parametrize(("name", "world"), GROW.items())
def test_it_grows(name: str, world: str) -> None:
    told = moved(world)

    assert (total(told.after, name, {}) or 0) > (total(told.before, name, {}) or 0)


@pytest.mark.parametrize(("name", "labels"), STAND.items())
def test_it_tells_how_the_process_was_made(name: str, labels: Mapping[str, str]) -> None:
    told = moved("busy").after

    assert total(told, name, labels) == (4 if name == "novix_window_size_records" else 1)


def test_every_metric_of_the_table_has_a_row_here_and_no_row_speaks_of_another() -> None:
    rows = {row[0].removesuffix("_sum") for row in ROWS}

    assert rows | GROW.keys() | STAND.keys() == {spec.name for spec in METRICS}


def test_what_is_told_has_the_kind_the_labels_and_the_help_of_the_table() -> None:
    """What a scraper reads, from all the worlds together, against the table."""
    for row in ROWS:
        moved(row[1])
    seen: set[str] = set()
    table = {spec.name.removesuffix("_total"): spec for spec in METRICS}
    for page in worlds.PAGES:
        for family in text_string_to_metric_families(page):
            spec = table.get(family.name)
            if spec is None:
                assert family.name.startswith(("python_", "process_")), family.name
                continue
            seen.add(spec.name)
            assert (family.type, family.documentation) == (spec.kind, spec.help)
            assert all(set(sample.labels) - {"le"} == set(spec.labels) for sample in family.samples), family.name
            bounds = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels}
            assert bounds - {float("inf")} == (set(spec.buckets) if bounds else set())
    assert seen == {spec.name for spec in METRICS}
