"""The pages and files of docs/observability that are made of the table of metrics: `metrics.md`, `dashboard.json`."""

import json
from collections.abc import Sequence
from typing import Any

from runtime.metrics.table import METRICS, Spec

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDE, HIGH = 24, 8
GROUP_FILTER = 'group=~"$group"'
"""Of the panels about lanes: what the reader has chosen."""
MODEL_FILTER = 'provider=~"$provider",model=~"$model"'

LIMITED = 'outcome="rate_limited",'

Query = tuple[str, str]
"""An expression, and how its lines are called."""
Panel = tuple[str, str, str, Sequence[Query]]
"""Title, unit (Grafana's name), what it tells, queries."""


def _quantiles(metric: str, by: str, where: str = "", *quantiles: float) -> list[Query]:
    inside = f"{{{where}}}" if where else ""
    rate = f"sum by ({by}, le) (rate({metric}_bucket{inside}[$__rate_interval]))"
    return [
        (f"histogram_quantile({one}, {rate})", f"p{one * 100:.0f} {{{{{by}}}}}") for one in quantiles or (0.5, 0.95)
    ]


def _rate(metric: str, where: str = "") -> str:
    """By provider and model."""
    return f"sum by (provider, model) (rate({metric}{{{where}{MODEL_FILTER}}}[$__rate_interval]))"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "What is done",
        (
            (
                "Jobs ended",
                "reqps",
                "Results that are committed, a second, by status.",
                [("sum by (status) (rate(novix_jobs_ended_total[$__rate_interval]))", "{{status}}")],
            ),
            (
                "Failures",
                "reqps",
                "Those that failed, by kind.",
                [('sum by (kind) (rate(novix_jobs_ended_total{kind!=""}[$__rate_interval]))', "{{kind}}")],
            ),
            (
                "From publication to result",
                "s",
                "Of jobs that have ended.",
                _quantiles("novix_job_duration_seconds", "task", "", 0.5, 0.95, 0.99),
            ),
            (
                "Decisions",
                "reqps",
                "What the router decided, by verdict.",
                [("sum by (verdict) (rate(novix_decisions_total[$__rate_interval]))", "{{verdict}}")],
            ),
            (
                "Refusals",
                "reqps",
                "Decisions that assigned nobody, by reason.",
                [("sum by (reason) (rate(novix_refusals_total[$__rate_interval]))", "{{reason}}")],
            ),
            (
                "Waits",
                "s",
                "p95 of what ended jobs waited for, by reason; `queued` and `routed` in a topic.",
                _quantiles("novix_wait_seconds", "reason", "", 0.95),
            ),
        ),
    ),
    (
        "Lanes",
        (
            (
                "Lag",
                "short",
                "Records behind, by topic.",
                [(f"sum by (group, topic) (novix_lane_lag_records{{{GROUP_FILTER}}})", "{{group}} {{topic}}")],
            ),
            (
                "Oldest open record",
                "s",
                "Age of the oldest record without an outcome.",
                [(f"max by (group) (novix_lane_oldest_open_seconds{{{GROUP_FILTER}}})", "{{group}}")],
            ),
            (
                "In flight",
                "short",
                "Records from admission to commit, and the window.",
                [
                    (f"sum by (group) (novix_lane_in_flight_records{{{GROUP_FILTER}}})", "{{group}}"),
                    (f"sum by (group) (novix_window_size_records{{{GROUP_FILTER}}})", "window {{group}}"),
                ],
            ),
            (
                "Records committed",
                "reqps",
                "Input records whose outcome is committed, a second.",
                [
                    (
                        f"sum by (group) (rate(novix_records_committed_total{{{GROUP_FILTER}}}[$__rate_interval]))",
                        "{{group}}",
                    )
                ],
            ),
            (
                "Commit",
                "s",
                "A transaction, from begin to answer.",
                _quantiles("novix_commit_duration_seconds", "group", GROUP_FILTER, 0.5, 0.95),
            ),
            (
                "Trouble",
                "short",
                "Lanes that are stopped or stuck, and rebuilds in five minutes.",
                [
                    (f"sum by (group) (novix_lane_stopped{{{GROUP_FILTER}}})", "stopped {{group}}"),
                    (f"sum by (group) (novix_lane_stuck{{{GROUP_FILTER}}})", "stuck {{group}}"),
                    (
                        f"sum by (group) (increase(novix_lanes_rebuilt_total{{{GROUP_FILTER}}}[5m]))",
                        "rebuilt {{group}}",
                    ),
                ],
            ),
            (
                "Dead letters",
                "short",
                "In five minutes, by reason.",
                [(f"sum by (reason) (increase(novix_dead_letters_total{{{GROUP_FILTER}}}[5m]))", "{{reason}}")],
            ),
        ),
    ),
    (
        "Providers",
        (
            (
                "Calls",
                "reqps",
                "As they end, by outcome.",
                [(f"sum by (outcome) (rate(novix_calls_total{{{MODEL_FILTER}}}[$__rate_interval]))", "{{outcome}}")],
            ),
            (
                "Throttled",
                "percentunit",
                "Share of the calls that were refused for load (429).",
                [(f"{_rate('novix_calls_total', LIMITED)} / {_rate('novix_calls_total')}", "{{provider}} {{model}}")],
            ),
            (
                "Breakers",
                "short",
                "0 closed, 1 half-open, 2 open.",
                [(f"max by (provider, model) (novix_breaker_state{{{MODEL_FILTER}}})", "{{provider}} {{model}}")],
            ),
            (
                "Calls in flight and their limit",
                "short",
                "What runs, and what may.",
                [
                    (
                        f"sum by (provider, model) (novix_limiter_in_use_calls{{{MODEL_FILTER}}})",
                        "in use {{provider}} {{model}}",
                    ),
                    (
                        f"sum by (provider, model) (novix_limiter_limit_calls{{{MODEL_FILTER}}})",
                        "limit {{provider}} {{model}}",
                    ),
                    (
                        f"sum by (provider, model) (novix_limiter_waiting_calls{{{MODEL_FILTER}}})",
                        "waiting {{provider}} {{model}}",
                    ),
                ],
            ),
            (
                "GenAI operations",
                "s",
                "OpenTelemetry's gen_ai.client.operation.duration.",
                _quantiles("gen_ai_client_operation_duration_seconds", "gen_ai_request_model", "", 0.5, 0.95),
            ),
            (
                "First output",
                "s",
                "OpenTelemetry's time to the first chunk, of answers in pieces.",
                _quantiles(
                    "gen_ai_client_operation_time_to_first_chunk_seconds", "gen_ai_request_model", "", 0.5, 0.95
                ),
            ),
            (
                "Tokens",
                "short",
                "A second, by kind.",
                [
                    (
                        "sum by (gen_ai_token_type) (rate(gen_ai_client_token_usage_sum[$__rate_interval]))",
                        "{{gen_ai_token_type}}",
                    )
                ],
            ),
        ),
    ),
    (
        "Money",
        (
            (
                "Spent an hour",
                "currencyUSD",
                "US dollars of ended jobs, at the present rate, by model.",
                [(f"3600 * {_rate('novix_money_settled_usd_total')}", "{{provider}} {{model}}")],
            ),
            (
                "Reserved, settled, released",
                "currencyUSD",
                "In an hour.",
                [
                    ("sum(increase(novix_money_reserved_usd_total[1h]))", "reserved"),
                    ("sum(increase(novix_money_settled_usd_total[1h]))", "settled"),
                    ("sum(increase(novix_money_released_usd_total[1h]))", "released"),
                    ("sum(increase(novix_money_ambiguous_usd_total[1h]))", "ambiguous"),
                ],
            ),
            (
                "Open reservations",
                "currencyUSD",
                "For jobs whose end is not known.",
                [("sum(novix_money_open_usd)", "open")],
            ),
            (
                "Jobs that wait at the router",
                "short",
                "For money or their turn, by class.",
                [("sum by (priority) (novix_jobs_waiting)", "{{priority}}")],
            ),
        ),
    ),
    (
        "Dedicated endpoints",
        (
            (
                "Endpoints by status",
                "short",
                "How many have each status.",
                [("sum by (status) (novix_endpoint_status)", "{{status}}")],
            ),
            (
                "Jobs that wait for an endpoint",
                "short",
                "Assigned to it and not ended, whether it sleeps, starts or works.",
                [("max by (endpoint) (novix_endpoint_waiting_jobs)", "{{endpoint}}")],
            ),
            (
                "Cost of endpoints",
                "currencyUSD",
                "So far, idle time included.",
                [("max by (endpoint) (novix_endpoint_cost_usd)", "{{endpoint}}")],
            ),
        ),
    ),
    (
        "Processes",
        (
            (
                "Not ready",
                "short",
                "Processes that are not healthy, or healthy and not ready.",
                [
                    ("count(novix_healthy == 0) or vector(0)", "not healthy"),
                    ("count(novix_ready == 0) or vector(0)", "not ready"),
                ],
            ),
            (
                "Loop lag",
                "s",
                "p99 of how late the event loop runs.",
                _quantiles("novix_loop_lag_seconds", "instance", "", 0.99),
            ),
            ("Memory", "bytes", "Resident.", [("process_resident_memory_bytes", "{{instance}}")]),
            (
                "CPU",
                "percentunit",
                "Of one core.",
                [("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}")],
            ),
            (
                "Spans",
                "reqps",
                "Written, and left out by sampling.",
                [
                    ("sum(rate(novix_spans_written_total[$__rate_interval]))", "written"),
                    ("sum(rate(novix_spans_unsampled_total[$__rate_interval]))", "left out"),
                ],
            ),
            (
                "Audit entries",
                "reqps",
                "Committed, by action.",
                [("sum by (action) (rate(novix_audit_entries_total[$__rate_interval]))", "{{action}}")],
            ),
        ),
    ),
)


def dashboard() -> str:
    """A Grafana dashboard (schema 39, Grafana 10 and newer), to be imported; it asks for the data source."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, told in ROWS:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False,
                       "gridPos": {"h": 1, "w": WIDE, "x": 0, "y": top}, "panels": []})  # fmt: skip
        top += 1
        for at, panel in enumerate(told):
            where = {"h": HIGH, "w": WIDE // 3, "x": (at % 3) * (WIDE // 3), "y": top + (at // 3) * HIGH}
            panels.append(_panel(len(panels) + 1, panel, where))
        top += -(-len(told) // 3) * HIGH
    document = {
        "uid": "novix",
        "title": "Novix",
        "description": "Inference jobs through Kafka: what is done, where it waits, what it costs.",
        "tags": ["novix", "kafka", "genai"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_data_source(), *_choices()]},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, where: dict[str, int]) -> dict[str, Any]:
    title, unit, told, queries = panel
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": told,
        "datasource": SOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(65 + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(queries)
        ],
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _choices() -> list[dict[str, Any]]:
    asked = (
        ("group", "label_values(novix_lane_lag_records, group)"),
        ("provider", "label_values(novix_calls_total, provider)"),
        ("model", "label_values(novix_calls_total, model)"),
    )
    return [
        {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "multi": True,
         "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
        for name, query in asked
    ]  # fmt: skip


def metrics_rows() -> list[tuple[str, list[list[str]]]]:
    """The table of `metrics.md`: by processes, rows of name, kind, labels, what it tells."""
    found: dict[str, list[list[str]]] = {}
    for spec in METRICS:
        found.setdefault(spec.of, []).append(_row(spec))
    return list(found.items())


def _row(spec: Spec) -> list[str]:
    bounds = f" Buckets: {', '.join(f'{bound:g}' for bound in spec.buckets)}." if spec.buckets else ""
    return [f"`{spec.name}`", spec.kind, ", ".join(f"`{label}`" for label in spec.labels), spec.help + bounds]
