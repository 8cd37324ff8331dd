"""Golden messages: what was once written is read by today's models, whole. A golden may be added, never edited.

A new one: write `<message>.<situation>.json` under data/golden/ and append its line of `sha256sum` to SHA256SUMS there.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from runtime import audit
from runtime.progress import GENESIS
from schemas import export
from schemas.accounts import Budget, Organisation, Tenant, Transfer
from schemas.assignment import Assignment, Candidate, Carried, CarriedWait, Price, Reserved
from schemas.audit import AuditEntry
from schemas.decision import BudgetHeld, Decision, Exclusion, Reserve
from schemas.job import ReadableJob, read_job
from schemas.ledger import Charge, LedgerEntry
from schemas.policies import AlertRule, PolicySet, Tier, ValueEvent
from schemas.registry import Admission, Alias, Facts
from schemas.registry import Rules as RegistryRules
from schemas.result import Attempt, Error, JobResult, Money, Received, Resolved, Who
from schemas.topics import TOPICS

FOLDER = Path(__file__).parent / "data" / "golden"
GOLDENS = sorted(path.name for path in FOLDER.glob("*.json"))
MESSAGES = {export.name_of(model): model for model in export.MESSAGES}
EACH = pytest.mark.parametrize("name", GOLDENS)

REQUIRED: dict[type[BaseModel], set[str]] = {
    **{model: set() for model in export.MESSAGES},
    MESSAGES["inference-job"]: {"id", "task", "input"},
    MESSAGES["blob-ref"]: {"sha256", "uri", "media_type", "bytes"},
    MESSAGES["assigned-job"]: {"submission", "job", "assignment", "received", "routed_at"},
    MESSAGES["job-result"]: {"job_id", "tenant", "status", "task", "asked", "completed_at"},
    MESSAGES["delta"]: {"tenant", "job_id", "attempt", "number", "text", "model", "provider"},
    MESSAGES["decision-batch"]: {"lane", "decisions"},
    MESSAGES["audit-batch"]: {"lane", "sequence", "previous", "hash", "entries"},
    MESSAGES["checkpoint"]: {
        "number",
        "at",
        "previous",
        "key",
        "every_s",
        "offsets",
        "heads",
        "signature",
    },
    MESSAGES["control-event"]: {"action", "tenant", "job_id", "at"},
    MESSAGES["breaker-state"]: {"provider", "model", "state", "at", "by"},
    MESSAGES["ledger-batch"]: {"lane", "entries"},
    MESSAGES["snapshot"]: {
        "lane",
        "snapshot_id",
        "part",
        "parts",
        "sequence",
        "decisions_from",
        "ledger_next",
        "taken_at",
        "state",
    },
    MESSAGES["catalogue-snapshot"]: {"version", "offers", "aliases", "providers", "at"},
    MESSAGES["price-event"]: {"provider", "model", "source", "price", "valid_from", "seen_at"},
    MESSAGES["policy-record"]: {"event"},
    MESSAGES["account-record"]: {"event"},
    MESSAGES["catalog-entry"]: {"id"},
    MESSAGES["source-state"]: {"source", "state", "at"},
    MESSAGES["registry-record"]: {"event"},
    MESSAGES["endpoint-state"]: {"spec", "status", "at", "since"},
    MESSAGES["endpoint-command"]: {"id", "action", "namespace", "name", "tenant", "at"},
    MESSAGES["endpoint-quota"]: set(),
    MESSAGES["eval-run"]: {
        "run_id",
        "model",
        "task",
        "tenant",
        "dataset",
        "asked",
        "answered",
        "started_at",
        "ended_at",
    },
    MESSAGES["alert"]: {"alert_id", "rule", "on", "subject", "value", "threshold", "unit", "message", "at"},
    LedgerEntry: {"kind", "tenant", "job_id", "submission", "decision_id", "reserved_nanousd", "status", "at"},
    Charge: {"model", "provider", "nanousd", "source", "attempt"},
    PolicySet: {"at", "policy"},
    Tier: {"at", "tier"},
    AlertRule: {"at", "id", "on"},
    ValueEvent: {"at", "tenant", "value_nanousd"},
    Organisation: {"at", "organisation"},
    Tenant: {"at", "tenant"},
    Budget: {"at", "id", "tenant", "limit_nanousd"},
    Transfer: {"at", "id", "organisation", "tenant", "budget", "nanousd"},
    Reserved: {"home", "nanousd"},
    Reserve: {"nanousd"},
    BudgetHeld: {"id", "window", "limit_nanousd", "spent_nanousd", "reserved_nanousd"},
    Money: {"reserved_nanousd", "paid_nanousd"},
    Carried: {"arrived_at", "since", "wait"},
    CarriedWait: {"name", "start", "end"},
    Price: {"source", "as_of"},
    Candidate: {
        "model",
        "provider",
        "provider_model",
        "dialect",
        "base_url",
        "price",
        "max_in_flight",
        "estimate_nanousd",
        "ceiling_nanousd",
    },
    Assignment: {"candidates", "max_cost_nanousd", "deadline", "decision_id"},
    Error: {"kind", "message", "retryable"},
    Who: {"model", "provider"},
    Attempt: {"attempt", "model", "provider", "started_at", "waited_ms", "duration_ms"},
    Received: {"topic", "partition", "offset", "timestamp_ms"},
    Exclusion: {"model", "provider", "reason", "detail"},
    Decision: {"decision_id", "tenant", "job_id", "submission", "digest", "verdict", "task", "received", "decided_at"},
    AuditEntry: {"at", "action"},
    Admission: {"at", "model", "state"},
    RegistryRules: {"at"},
    Alias: {"at", "alias"},
    Facts: {"at", "model"},
    Resolved: {"alias", "version", "model"},
}
"""Fields that version 1 has required from its first day. Closed: a field that comes later has a default."""


def model_of(name: str) -> type[BaseModel]:
    return MESSAGES[name.split(".", maxsplit=1)[0]]


def written(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / name).read_bytes())
    return document


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """What `before` says and `after` does not, as paths; instants are compared as instants."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [one for key in before for one in lost(before[key], after.get(key, KeyError), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [one for n, (b, a) in enumerate(zip(before, after, strict=True)) for one in lost(b, a, f"{path}[{n}]")]
    return [] if before == after else [path]


FREE = frozenset(
    {"job", "input", "output", "metadata", "detail", "parameters", "adapted", "versions", "usage", "timing_ms"}
    | {
        "held",
        "state",
        "offers",
        "aliases",
        "providers",
        "offsets",
        "dtypes",
        "refused",
        "dropped",
        "env",
        "image",
        "failed",
        "notes",
        "gauges",
    }
)
"""Fields whose content is the producer's, the provider's, a table, or our own of a form that it names: every key in
them is kept."""


@EACH
def test_a_golden_is_read_by_todays_model_and_nothing_is_lost_that_the_model_knows(name: str):
    model, document = model_of(name), written(name)

    again = model.model_validate(document).model_dump(mode="json", by_alias=True)

    known = {field.alias or key for key, field in model.model_fields.items()}
    expected = {key: value for key, value in document.items() if key in known}
    if name == "inference-job.deadline.json":  # another zone, the same instant
        expected["deadline"] = "2026-11-22T12:00:00Z"
    assert lost(expected, again) == []


@EACH
def test_a_golden_is_valid_by_the_exported_schema(name: str):
    schema = export.documents()[name.split(".", maxsplit=1)[0]]

    jsonschema_rs.Draft202012Validator(schema).validate(written(name))


@pytest.mark.parametrize("name", [name for name in GOLDENS if name.startswith("inference-job.")])
def test_a_golden_job_is_readable_as_any_tool_would_publish_it(name: str):
    reading = read_job((FOLDER / name).read_bytes(), ())

    assert isinstance(reading, ReadableJob)
    assert (reading.tenant, reading.id) == (written(name).get("tenant", "default"), written(name)["id"])


def test_the_golden_audit_batches_are_a_chain_that_holds():
    first, second = (FOLDER / f"audit-batch.{name}.json" for name in ("first", "second"))

    assert audit.verify(first.read_bytes())
    assert audit.verify(second.read_bytes())
    assert written(first.name)["previous"] == GENESIS
    assert written(second.name)["previous"] == written(first.name)["hash"]


@pytest.mark.parametrize("name", [name for name in GOLDENS if name.startswith("job-result.")])
def test_a_result_is_written_by_its_quick_way_as_pydantic_would_write_it(name: str):
    result = JobResult.model_validate(written(name))

    quick = json.loads(result.encode())

    assert lost(result.model_dump(mode="json", by_alias=True), quick) == []
    assert JobResult.model_validate(quick) == result


def test_no_golden_was_edited_or_taken_away():
    listed = dict(reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    actual = {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in GOLDENS}

    assert actual == listed


def test_every_message_of_a_topic_has_a_golden_and_so_has_every_status_of_a_result():
    assert {model_of(name) for name in GOLDENS} == set(export.MESSAGES)
    assert {topic.value for topic in TOPICS if topic.value} <= set(export.MESSAGES)
    results = {JobResult.model_validate(written(name)).status for name in GOLDENS if name.startswith("job-result.")}
    assert results == {"succeeded", "failed", "rejected", "expired", "cancelled"}


@pytest.mark.parametrize("model", REQUIRED, ids=lambda model: model.__name__)
def test_only_the_fields_of_the_first_day_are_required(model: type[BaseModel]):
    required = {field.alias or key for key, field in model.model_fields.items() if field.is_required()}

    assert required == REQUIRED[model]


@EACH
def test_every_field_beyond_a_goldens_has_a_default(name: str):
    model, document = model_of(name), written(name)

    for key, field in model.model_fields.items():
        if (field.alias or key) not in document:
            assert field.default is not PydanticUndefined or field.default_factory is not None, key


@EACH
def test_a_field_that_a_newer_writer_added_anywhere_is_ignored(name: str):
    model, document = model_of(name), written(name)

    free = FREE | ({"candidates"} if name.startswith("decision-batch.") else set())

    def with_news(node: Any) -> Any:
        if isinstance(node, dict):
            told = {key: value if key in free else with_news(value) for key, value in node.items()}
            return {**told, "novix_news": {"x": 1}}
        return [with_news(item) for item in node] if isinstance(node, list) else node

    later = model.model_validate(with_news(document))

    assert later == model.model_validate(document)
