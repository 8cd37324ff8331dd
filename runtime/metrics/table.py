"""Every metric of Novix: its name, kind, unit, labels, and what it tells. One table; `docs/observability/metrics.md` is
made of it.

Names that OpenTelemetry has are those of its conventions (messaging 1.44; `gen_ai.*` as of
opentelemetry-semantic-conventions 0.66b2), written as its "Prometheus and OpenMetrics compatibility" page maps them:
dots become underscores, a unit that is no `{annotation}` is appended, a counter ends in `_total`. Labels likewise.
"""

from dataclasses import replace
from typing import Literal

from schemas.values import frozen

Kind = Literal["counter", "gauge", "histogram"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries that the messaging conventions give for durations."""
GEN_AI_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The boundaries that the GenAI conventions give for durations."""
GEN_AI_TOKENS = tuple(float(4**power) for power in range(14))
"""1 to 67,108,864: the boundaries that the GenAI conventions give for tokens."""
FIRST_CHUNK_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries that the GenAI conventions give for the time to the first token."""
WAIT_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0)
LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
RECORDS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)

LANE = ("group", "topic", "partition")
GROUP = ("group", "topic")
WHO = ("provider", "model")
MESSAGING = (
    "messaging_system",
    "messaging_operation_name",
    "messaging_destination_name",
    "messaging_consumer_group_name",
)
GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "provider")
"""As on the span of the call: whose interface was spoken; `provider` is ours, who ran the model."""


@frozen
class Spec:
    """One metric. `name` is as it stands in a query, but for a histogram's `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    of: str = "all"
    """Which processes tell it."""


def counter(name: str, told: str, *labels: str) -> Spec:
    """A number that only grows, but for a restart of its process."""
    return Spec(name, "counter", told, labels)


def gauge(name: str, told: str, *labels: str) -> Spec:
    """A number as it stands at the scrape."""
    return Spec(name, "gauge", told, labels)


def histogram(name: str, told: str, buckets: tuple[float, ...], *labels: str) -> Spec:
    """How many observations were at most each of the bounds, how many there were, and their sum."""
    return Spec(name, "histogram", told, labels, buckets)


def _of(processes: str, *specs: Spec) -> tuple[Spec, ...]:
    return tuple(replace(spec, of=processes) for spec in specs)


PROCESS = _of(
    "all",
    gauge("novix_build_info", "1; which Novix this is.", "version", "python"),
    gauge("novix_process_info", "1; what this process is called.", "process"),
    gauge("novix_healthy", "1 while /healthz answers 200."),
    gauge("novix_ready", "1 while /readyz answers 200."),
    histogram("novix_loop_lag_seconds", "How late the event loop ran what was due, ten times a second.", LAG_SECONDS),
    gauge("novix_loop_longest_lag_seconds", "The longest of these since the process began."),
    counter("novix_loop_blocked_total", "Times that the event loop was blocked beyond NOVIX_LOOP_LAG_MS."),
)
LANES = _of(
    "router, workers, alerts",
    gauge("novix_lane_lag_records", "Offsets between what is committed or could be, and the partition's end.", *LANE),
    gauge("novix_lane_open", "1 for a lane that is open; 0 while it opens, is rebuilt, or is stopped.", *LANE),
    gauge("novix_lane_stopped", "1 for a lane that must not go on by itself.", *LANE),
    gauge("novix_lane_stuck", "1 for a lane that has work and brings nothing about.", *LANE),
    gauge("novix_lane_in_flight_records", "Records from their admission to their commit.", *LANE),
    gauge("novix_lane_uncommitted_records", "Outcomes that wait for a transaction.", *LANE),
    gauge("novix_lane_oldest_open_seconds", "Age of the oldest record without an outcome; 0: there is none.", *LANE),
    gauge("novix_lane_quiet_seconds", "Longest that a stage which has work brought nothing about.", *LANE),
    gauge("novix_window_size_records", "Records that the process may have in hand at once.", *GROUP),
    gauge("novix_window_used_records", "Of these, those that it has.", *GROUP),
    gauge("novix_window_used_bytes", "What their records take.", *GROUP),
    gauge("novix_window_held_records", "Records that wait for their turn outside of the window.", *GROUP),
    gauge("novix_behind_key_records", "Records that wait behind another of their ordering key.", *GROUP),
    gauge("novix_draining", "1 while the process ends what it has begun.", *GROUP),
    gauge("novix_unassigned_seconds", "For how long the group has been dividing its work; 0: it is not.", *GROUP),
    counter("novix_records_settled_total", "Records whose outcome became known.", *GROUP),
    counter("novix_records_committed_total", "Records whose outcome is committed.", *GROUP),
    histogram(
        "novix_commit_duration_seconds", "A transaction that was committed, from begin to answer.", SECONDS, *GROUP
    ),
    histogram("novix_commit_records", "Input records that a transaction finished.", RECORDS, *GROUP),
    counter("novix_transactions_failed_total", "Transactions that failed or stayed indefinite.", *GROUP, "error_type"),
    counter("novix_lanes_opened_total", "Lanes that were opened, again after a rebuild too.", *GROUP),
    counter("novix_lanes_rebuilt_total", "Lanes whose producer was replaced after an error.", *GROUP),
    counter("novix_lanes_stopped_total", "Lanes that stopped, by the reason's name.", *GROUP, "reason"),
    counter("novix_dead_letters_total", "Records that were set aside, by reason.", *GROUP, "reason"),
    counter("novix_audit_entries_total", "Audit entries that were committed.", "group", "action"),
    counter("novix_spans_written_total", "Spans that were committed.", "group"),
    counter("novix_spans_unsampled_total", "Spans that sampling left out.", *GROUP),
    counter("novix_traces_total", "Jobs by what sampling made of their spans here.", *GROUP, "decision"),
    histogram(
        "messaging_client_operation_duration_seconds",
        "OpenTelemetry: polls that brought records, and commits (a whole transaction).",
        SECONDS,
        *MESSAGING,
        "error_type",
    ),
    counter(
        "messaging_client_sent_messages_total", "OpenTelemetry: records that were committed to a topic.", *MESSAGING
    ),
    counter("messaging_client_consumed_messages_total", "OpenTelemetry: records that a poll brought.", *MESSAGING),
    histogram(
        "messaging_process_duration_seconds",
        "OpenTelemetry: from a record's admission until its outcome is known, waits included.",
        SECONDS,
        *MESSAGING,
    ),
)
WORK = _of(
    "workers",
    counter(
        "novix_jobs_ended_total", "Results that are committed; `kind` is empty for a success.", "task", "status", "kind"
    ),
    histogram("novix_job_duration_seconds", "From publication to the result.", WAIT_SECONDS, "task", "status"),
    counter(
        "novix_calls_total", "Calls that have ended, as they end: `ok`, or the kind of the failure.", *WHO, "outcome"
    ),
    histogram(
        "novix_wait_seconds",
        "Waits of jobs that have ended, by what was waited for; `queued` and `routed`: in a topic.",
        WAIT_SECONDS,
        "reason",
    ),
    counter(
        "novix_usage_total",
        "What ended jobs used, in the unit's own measure (tokens, compute_ms, images, ...).",
        *WHO,
        "unit",
    ),
    counter("novix_money_settled_usd_total", "What ended jobs cost, estimates and ambiguous calls among it.", *WHO),
    counter(
        "novix_money_ambiguous_usd_total", "Of that: for calls that may have been charged without an answer.", *WHO
    ),
    counter("novix_money_released_usd_total", "What was reserved for ended jobs and came back."),
    counter(
        "novix_tenant_jobs_total",
        "Results of the tenants that are listed for metrics; all others are `other`.",
        "tenant",
        "status",
    ),
    counter("novix_tenant_settled_usd_total", "What they cost.", "tenant"),
    gauge("novix_breaker_state", "0 closed, 1 half-open, 2 open.", *WHO),
    counter("novix_breaker_transitions_total", "Changes of state that this process found.", *WHO, "state"),
    gauge("novix_limiter_limit_calls", "Calls that may run at once now.", *WHO),
    gauge("novix_limiter_cap_calls", "The most that this may become.", *WHO),
    gauge("novix_limiter_in_use_calls", "Calls that run.", *WHO),
    gauge("novix_limiter_waiting_calls", "Jobs that wait for a slot.", *WHO),
    gauge("novix_limiter_held_seconds", "What is left of a provider's Retry-After; 0: none.", *WHO),
    counter("novix_limiter_holds_total", "Times that a provider told to wait.", *WHO),
    gauge("novix_provider_reachable", "1 while the origin answers.", "origin"),
    gauge("novix_credential_refused", "1 for a provider that refuses what it was shown last.", "provider"),
    gauge("novix_intents_unavailable", "1 while calls cannot be noted before they are made, so none is made."),
    counter("novix_deltas_published_total", "Pieces of streamed answers that were published."),
    counter("novix_deltas_dropped_total", "Pieces that were not, because the broker was away or slow."),
    histogram(
        "gen_ai_client_operation_duration_seconds",
        "OpenTelemetry: the calls of a job that has ended, all attempts and the waits between them.",
        GEN_AI_SECONDS,
        *GEN_AI,
        "error_type",
    ),
    histogram(
        "gen_ai_client_token_usage",
        "OpenTelemetry: tokens of a job that has ended.",
        GEN_AI_TOKENS,
        *GEN_AI,
        "gen_ai_token_type",
    ),
    histogram(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "OpenTelemetry: from the call to its first output, of answers in pieces.",
        FIRST_CHUNK_SECONDS,
        *GEN_AI,
    ),
)
ROUTING = _of(
    "router",
    counter("novix_decisions_total", "Decisions that are committed.", "verdict", "task"),
    counter("novix_refusals_total", "Of these, those that assigned nobody, by reason.", "reason"),
    counter("novix_money_reserved_usd_total", "What was reserved for assigned jobs."),
    gauge("novix_money_open_usd", "Reservations whose end is not known.", "partition"),
    gauge("novix_money_open_reservations", "How many.", "partition"),
    gauge("novix_money_overdrawn_budgets", "Budgets over their limit.", "partition"),
    gauge("novix_jobs_waiting", "Jobs that wait for money or their turn.", "partition", "priority"),
    gauge("novix_seen_identities", "Identities that are remembered against repetition.", "partition"),
    gauge(
        "novix_router_blocked",
        "1 for a lane that takes nothing in: its cache of identities cannot be used.",
        "partition",
    ),
    gauge("novix_history_records_refused", "Newest records of budgets and policies that could not be taken in."),
)
ALERTING = _of(
    "alerts",
    gauge("novix_alert_rules", "Rules that hold."),
    gauge("novix_alerts_firing", "Alerts that fire."),
)
CONSOLE = _of(
    "console",
    counter("novix_console_records_total", "Records that were read into the index."),
    gauge("novix_console_last_record_timestamp_seconds", "The newest record's instant, seconds since 1970."),
    gauge("novix_console_fault", "1 while rows cannot be written."),
)
RELAY = _of(
    "relay",
    counter("novix_relay_records_total", "Records of spans: relayed, skipped or refused by the receiver.", "outcome"),
    counter("novix_relay_rejected_spans_total", "Spans that the receiver rejected in what it took."),
    gauge("novix_relay_fault", "1 while nothing can be handed on."),
)
AUDITING = _of(
    "audit checkpoints",
    gauge("novix_audit_checkpoint_number", "Number of the newest signed checkpoint."),
    gauge("novix_audit_uncovered_entries", "Audit entries behind the newest checkpoint."),
    gauge("novix_audit_spoilt_records", "Records of the audit topic that are none."),
    gauge("novix_audit_gaps", "Places at which batches of a chain are missing."),
)
HUB = _of(
    "hub-sync",
    gauge("novix_hub_source_up", "1 for a source of the catalogue that could be read when it was asked.", "source"),
    gauge("novix_hub_source_rows", "Rows of its last reading.", "source"),
    counter("novix_hub_written_total", "Entries of the catalogue that were written."),
)
ENDPOINTS = _of(
    "endpoints",
    gauge("novix_endpoint_status", "1 for the status that it has.", "endpoint", "status"),
    gauge("novix_endpoint_ready", "1 while a call that comes is answered.", "endpoint"),
    gauge("novix_endpoint_ready_replicas", "Replicas that answer.", "endpoint"),
    gauge("novix_endpoint_target_replicas", "Replicas that there are to be.", "endpoint"),
    gauge("novix_endpoint_cost_usd", "What it has cost so far; not told where a price was unknown.", "endpoint"),
    gauge("novix_endpoint_hour_usd", "The price of an hour of one replica.", "endpoint"),
    gauge("novix_endpoint_waiting_jobs", "Jobs that are assigned to it and have not ended.", "endpoint"),
    gauge("novix_endpoint_waiting_seconds", "How long the first of them has been; 0: there is none.", "endpoint"),
    gauge(
        "novix_endpoint_start_seconds", "How long its last start took, from the wake to the first answer.", "endpoint"
    ),
    gauge("novix_endpoint_drifted", "1 while the Hub has another commit than it runs.", "endpoint"),
    gauge("novix_endpoint_log_errors", "Errors in its logs since they are counted.", "endpoint"),
    gauge("novix_endpoint_faults", "Endpoints, lists and prices that could not be read when they were last."),
)
METRICS: tuple[Spec, ...] = (
    *PROCESS, *LANES, *WORK, *ROUTING, *ALERTING, *CONSOLE, *RELAY, *AUDITING, *HUB, *ENDPOINTS
)  # fmt: skip
