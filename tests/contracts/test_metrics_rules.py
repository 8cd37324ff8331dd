"""The alert rules for Prometheus: each fires when it should, and is silent when it should; they name what there is.

Prometheus's own `promtool` evaluates them (Debian package `prometheus`); where it is missing the tests say so.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from metrics_worlds import scraped

from runtime.metrics import Metrics
from runtime.metrics.table import METRICS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "observability"
RULES = FOLDER / "rules.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
MINUTES = 200
"""Of made-up time, a sample each minute."""

Series = Mapping[str, str]
WHO = 'provider="groq",model="llama"'
LANE = 'group="g",topic="t",partition="0"'

CASES: dict[str, tuple[Series, Series]] = {
    # alert: what makes it fire, what does not; a series as promtool writes it, `a+bxn`: from a on, n times b more
    "NovixProcessDown": ({'up{job="novix",instance="w"}': "0x200"}, {'up{job="novix",instance="w"}': "1x200"}),
    "NovixUnhealthy": ({"novix_healthy": "0x200"}, {"novix_healthy": "1x200"}),
    "NovixNotReady": (
        {"novix_healthy": "1x200", "novix_ready": "0x200"},
        {"novix_healthy": "0x200", "novix_ready": "0x200"},
    ),
    "NovixLoopBlocked": ({"novix_loop_blocked_total": "0+1x200"}, {"novix_loop_blocked_total": "0x100 1x99"}),
    "NovixDrainStuck": ({'novix_draining{group="g"}': "1x200"}, {'novix_draining{group="g"}': "0x196 1x3"}),
    "NovixLaneStopped": ({f"novix_lane_stopped{{{LANE}}}": "1x200"}, {f"novix_lane_stopped{{{LANE}}}": "0x200"}),
    "NovixLaneStuck": ({f"novix_lane_stuck{{{LANE}}}": "1x200"}, {f"novix_lane_stuck{{{LANE}}}": "0x200"}),
    "NovixLagGrows": (
        {f"novix_lane_lag_records{{{LANE}}}": "0+10x200"},
        {f"novix_lane_lag_records{{{LANE}}}": "5000-10x200"},
    ),
    "NovixOldRecord": (
        {f"novix_lane_oldest_open_seconds{{{LANE}}}": "0+60x200"},
        {'novix_lane_oldest_open_seconds{group="novix-retry-600s",topic="t",partition="0"}': "0+60x200"},
    ),
    "NovixLanesRebuilt": (
        {'novix_lanes_rebuilt_total{group="g",topic="t"}': "0+2x200"},
        {'novix_lanes_rebuilt_total{group="g",topic="t"}': "0+1x5 6x195"},
    ),
    "NovixCommitsSlow": (
        {
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="2.5"}': "0+1x200",
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="5.0"}': "0+50x200",
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="+Inf"}': "0+50x200",
        },
        {
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="0.05"}': "0+50x200",
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="2.5"}': "0+50x200",
            'novix_commit_duration_seconds_bucket{group="g",topic="t",le="+Inf"}': "0+50x200",
        },
    ),
    "NovixGroupUnassigned": (
        {'novix_unassigned_seconds{group="g"}': "0+60x200"},
        {'novix_unassigned_seconds{group="g"}': "0x200"},
    ),
    "NovixDeadLetters": (
        {'novix_dead_letters_total{group="g",topic="t",reason="internal"}': "0+2x200"},
        {'novix_dead_letters_total{group="g",topic="t",reason="internal"}': "0+1x200"},
    ),
    "NovixBreakerOpen": ({f"novix_breaker_state{{{WHO}}}": "2x200"}, {f"novix_breaker_state{{{WHO}}}": "1x200"}),
    "NovixThrottled": (
        {
            f'novix_calls_total{{{WHO},outcome="rate_limited"}}': "0+30x200",
            f'novix_calls_total{{{WHO},outcome="ok"}}': "0+70x200",
        },
        {
            f'novix_calls_total{{{WHO},outcome="rate_limited"}}': "0+10x200",
            f'novix_calls_total{{{WHO},outcome="ok"}}': "0+70x200",
        },
    ),
    "NovixCallsFail": (
        {
            f'novix_calls_total{{{WHO},outcome="timeout"}}': "0+20x200",
            f'novix_calls_total{{{WHO},outcome="ok"}}': "0+80x200",
        },
        {
            f'novix_calls_total{{{WHO},outcome="request_refused"}}': "0+20x200",
            f'novix_calls_total{{{WHO},outcome="ok"}}': "0+80x200",
        },
    ),
    "NovixProviderUnreachable": (
        {
            'novix_provider_reachable{origin="o",instance="a"}': "1x200",
            'novix_provider_reachable{origin="o",instance="b"}': "0x200",
        },
        {'novix_provider_reachable{origin="o",instance="a"}': "1x200"},
    ),
    "NovixCredentialRefused": (
        {'novix_credential_refused{provider="groq"}': "1x200"},
        {'novix_credential_refused{provider="groq"}': "1x100 stale"},
    ),
    "NovixJobsFail": (
        {
            'novix_jobs_ended_total{task="chat-completion",status="failed",kind="timeout"}': "0+1x200",
            'novix_jobs_ended_total{task="chat-completion",status="succeeded",kind=""}': "0+9x200",
        },
        {
            'novix_jobs_ended_total{task="chat-completion",status="cancelled",kind="cancelled"}': "0+1x200",
            'novix_jobs_ended_total{task="chat-completion",status="succeeded",kind=""}': "0+9x200",
        },
    ),
    "NovixEndpointFailed": (
        {'novix_endpoint_status{endpoint="acme/a",status="failed"}': "1x200"},
        {'novix_endpoint_status{endpoint="acme/a",status="running"}': "1x200"},
    ),
    "NovixEndpointJobsWait": (
        {
            'novix_endpoint_waiting_seconds{endpoint="acme/a"}': "0+60x200",
            'novix_endpoint_ready{endpoint="acme/a"}': "0x200",
        },
        {
            'novix_endpoint_waiting_seconds{endpoint="acme/a"}': "0+60x200",
            'novix_endpoint_ready{endpoint="acme/a"}': "1x200",
        },
    ),
    "NovixEndpointDrifted": (
        {'novix_endpoint_drifted{endpoint="acme/a"}': "1x200"},
        {'novix_endpoint_drifted{endpoint="acme/a"}': "1x100 0x99"},
    ),
    "NovixEndpointsUnread": ({"novix_endpoint_faults": "1x200"}, {"novix_endpoint_faults": "0x200"}),
    "NovixAmbiguousPayments": (
        {
            f"novix_money_ambiguous_usd_total{{{WHO}}}": "0+0.05x200",
            f"novix_money_settled_usd_total{{{WHO}}}": "0+1x200",
        },
        {
            f"novix_money_ambiguous_usd_total{{{WHO}}}": "0+0.005x200",
            f"novix_money_settled_usd_total{{{WHO}}}": "0+1x200",
        },
    ),
    "NovixBudgetOverdrawn": (
        {'novix_money_overdrawn_budgets{partition="0"}': "1x200"},
        {'novix_money_overdrawn_budgets{partition="0"}': "0x200"},
    ),
    "NovixReservationsStay": (
        {
            'novix_money_open_usd{partition="0"}': "2x200",
            'novix_money_open_reservations{partition="0"}': "3x200",
            "novix_money_reserved_usd_total": "7x200",
        },
        {
            'novix_money_open_usd{partition="0"}': "2x200",
            'novix_money_open_reservations{partition="0"}': "3x200",
            "novix_money_reserved_usd_total": "7+1x200",
        },
    ),
    "NovixIntentsUnavailable": ({"novix_intents_unavailable": "1x200"}, {"novix_intents_unavailable": "0x200"}),
    "NovixRouterBlocked": (
        {'novix_router_blocked{partition="0"}': "1x200"},
        {'novix_router_blocked{partition="0"}': "0x200"},
    ),
    "NovixHistoryRefused": ({"novix_history_records_refused": "1x200"}, {"novix_history_records_refused": "0x200"}),
    "NovixSpansNotRelayed": ({"novix_relay_fault": "1x200"}, {"novix_relay_fault": "0x200"}),
    "NovixAuditBroken": (
        {"novix_audit_spoilt_records": "0x200", "novix_audit_gaps": "0x100 1x99"},
        {"novix_audit_spoilt_records": "0x200", "novix_audit_gaps": "0x200"},
    ),
    "NovixConsoleCannotWrite": ({"novix_console_fault": "1x200"}, {"novix_console_fault": "0x200"}),
}


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    bare = re.sub(r"\{[^}]*\}|(?:by|without|on|ignoring)\s*\([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:novix|gen_ai|messaging|process|python)_[a-z0-9_]+\b", bare))


def told_names() -> set[str]:
    """Every sample name that some process of Novix tells, and what the client library adds."""
    found = set(scraped(Metrics()))
    for spec in METRICS:
        endings = ("_bucket", "_sum", "_count") if spec.kind == "histogram" else ("",)
        found |= {spec.name + ending for ending in endings}
    return found


def labels_in(expression: str) -> set[str]:
    """The label names that an expression selects by or groups by."""
    grouped = re.findall(r"(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    selected = re.findall(r"\{([^}]*)\}", expression)
    return {name.strip() for group in grouped for name in group.split(",")} | {
        found for one in selected for found in re.findall(r"(\w+)\s*(?:=|!)", one)
    }


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus's own checker."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not on this machine (Debian package prometheus): nobody evaluated the rules")
    return found


DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def asked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    assert CASES.keys() == ALERTS.keys()
    assert all(fires != silent for fires, silent in CASES.values())


@pytest.mark.parametrize("alert", ALERTS)
def test_a_rule_names_what_there_is_and_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    labels = {label for spec in METRICS for label in spec.labels} | {"instance", "job", "le"}

    assert names_in(rule["expr"]) <= told_names()
    assert names_in(rule["expr"]) or alert == "NovixProcessDown"
    assert labels_in(rule["expr"]) <= labels
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_dashboard_names_what_there_is(expression: str) -> None:
    labels = {label for spec in METRICS for label in spec.labels} | {"instance", "job", "le"}

    assert names_in(expression) <= told_names()
    assert names_in(expression)
    assert labels_in(expression) <= labels


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """As far as can be said without a Grafana: numbers are unique, panels lie side by side, variables are known."""
    assert (DASHBOARD["schemaVersion"], DASHBOARD["uid"]) == (39, "novix")
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    variables = {choice["name"] for choice in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__all"} == variables
    assert all(panel["description"].endswith(".") for panel in PANELS)
    assert {target["refId"] for panel in PANELS for target in panel["targets"]} <= set("ABCDEFGH")


def test_promtool_understands_every_expression_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    asked_for = [expression.replace("$__rate_interval", "5m") for expression in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(asked_for)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, width=10_000))

    assert f"{len(EXPRESSIONS)} rules found" in asked(promtool, "check", "rules", str(file))


def test_prometheus_asks_every_process_that_compose_starts() -> None:
    compose = yaml.safe_load((FOLDER.parents[1] / "compose.yaml").read_text())["services"]
    jobs = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    targets = {
        target.partition(":")[0] for job in jobs for static in job["static_configs"] for target in static["targets"]
    }
    ours = {name for name, service in compose.items() if service.get("image") == "novix:local" and name != "topics"}

    assert targets == ours


def test_promtool_takes_the_rules(promtool: str) -> None:
    assert f"{len(ALERTS)} rules found" in asked(promtool, "check", "rules", str(RULES))


def test_promtool_takes_the_configuration_of_prometheus(promtool: str, tmp_path: Path) -> None:
    for file in (RULES, FOLDER / "prometheus.yaml"):
        (tmp_path / file.name).write_text(file.read_text())

    asked(promtool, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yaml"))


def test_each_rule_fires_when_it_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    def case(alert: str, series: Series, *, fires: bool) -> dict[str, Any]:
        question = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        samples = [{"labels": "{}", "value": 1}] if fires else []
        return {
            "name": f"{alert} {'fires' if fires else 'is silent'}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": question, "eval_time": f"{MINUTES - 1}m", "exp_samples": samples}],
        }

    files = []
    for alert, (firing, silent) in CASES.items():  # a rule by itself: all with each case would take half a minute
        rules, cases = tmp_path / f"{alert}.rules.yaml", tmp_path / f"{alert}.yaml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [ALERTS[alert]]}]}))
        tests = [case(alert, firing, fires=True), case(alert, silent, fires=False)]
        cases.write_text(
            yaml.safe_dump({"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}, width=10_000)
        )
        files.append(str(cases))

    assert asked(promtool, "test", "rules", *files).count("SUCCESS") == len(CASES)


def test_promtool_finds_no_fault_with_what_the_processes_tell(promtool: str) -> None:
    """Names, types and helps as Prometheus wants them (`promtool check metrics`), but for names that others chose."""
    import metrics_worlds as worlds
    from metrics_worlds_work import told_by

    for world in ("committed", "streamed", "decided", "throttled", "indexed"):
        told_by(world)()
        done = subprocess.run(
            [promtool, "check", "metrics"], input=worlds.PAGES[-1], capture_output=True, text=True, check=False
        )
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        assert [line for line in lines if "novix_" in line or "error while linting" in line] == []
