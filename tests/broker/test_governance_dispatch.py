"""Governance on a real broker: what is withdrawn is called no more, seconds after somebody said so; and a registry that
was emptied stops the router by name."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from stranger import Stranger, installation
from system import MODEL, chat

from schemas.topics import DECISIONS, REGISTRY, TEXT

WITHIN_S = 60
SOON_S = 5.0
"""`novix registry withdraw` promises two seconds; a machine with other work to do gets some more."""


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation of its own: its registry is emptied in the end."""
    with installation(broker.bootstrap, tmp_path_factory.mktemp("governed"), NOVIX_BREAKER="false") as stranger:
        yield stranger


def run(novix: Stranger, tenant: str, **more: Any) -> dict[str, Any]:
    return novix.run(chat(uuid.uuid4().hex, tenant=tenant, **more))


def until_it_ends_as(novix: Stranger, tenant: str, status: str, kind: str | None = None, **more: Any) -> dict[str, Any]:
    """Publish a job after the other until one ends so: a change is live some time after it was said."""
    until = time.monotonic() + WITHIN_S
    while True:
        result = run(novix, tenant, **more)
        end = result["status"], (result["error"] or {}).get("kind")
        if end == (status, kind):
            return result
        assert time.monotonic() < until, f"still {end}, not {status}, {kind}"


def decision(novix: Stranger, result: dict[str, Any]) -> dict[str, Any]:
    novix.quiet()
    [found] = [
        one
        for record in novix.read(DECISIONS.name)
        for one in record.json["decisions"]
        if one["decision_id"] == result["decision_id"]
    ]
    return found


def told(novix: Stranger, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(novix.cli(*arguments, "--json").stdout)
    return document


def test_a_withdrawn_model_is_called_no_more_within_seconds_and_the_decision_says_so(novix: Stranger, tenant: str):
    until_it_ends_as(novix, tenant, "succeeded")
    version = told(novix, "registry", "withdraw", MODEL, "--tenant", tenant, "--reason", "recalled")["registry_version"]
    said = time.monotonic()
    refused = until_it_ends_as(novix, tenant, "rejected", "not_approved")
    took = time.monotonic() - said
    assert took < SOON_S, f"{took:.1f} s"
    calls = sum(novix.system.calls().values())
    again = run(novix, tenant)
    assert (again["status"], sum(novix.system.calls().values())) == ("rejected", calls), "nobody was called"
    assert "recalled" in refused["error"]["message"]
    made = decision(novix, again)
    assert int(made["versions"]["registry"]) >= version
    assert {one["reason"] for one in made["exclusions"] if one["model"] == MODEL} == {"not_approved"}
    novix.cli("registry", "admit", MODEL, "--tenant", tenant, "--approver", "anna")
    until_it_ends_as(novix, tenant, "succeeded")


def test_a_job_that_was_assigned_before_its_model_was_withdrawn_is_not_called(novix: Stranger, tenant: str):
    """It waits on the worker's topic while nobody works."""
    novix.system.worker.terminate()
    novix.publish(chat("early", tenant))
    until = time.monotonic() + WITHIN_S
    while not [one for one in novix.read(TEXT.name) if one.key == f"{tenant}/early".encode()]:
        assert time.monotonic() < until
        time.sleep(0.1)
    novix.cli("registry", "withdraw", MODEL, "--tenant", tenant, "--reason", "recalled")
    novix.system.worker.start()
    result = novix.result("early", tenant)
    assert (result["status"], result["error"]["kind"]) == ("failed", "not_approved")
    assert "recalled" in result["error"]["message"]
    assert result["cost_nanousd"] == 0
    assert f"{tenant}/early" not in novix.system.calls()


def test_a_licence_policy_refuses_its_tenant_alone(novix: Stranger, tenant: str):
    novix.cli("registry", "rules", "--tenant", tenant, "--licences", "Apache-2.0")
    refused = until_it_ends_as(novix, tenant, "rejected", "licence_refused")
    assert "llama3.1" in refused["error"]["message"]
    assert run(novix, f"{tenant}-other")["status"] == "succeeded"
    novix.cli("registry", "rules", "--tenant", tenant, "--licences", "Apache-2.0,llama3.1")
    until_it_ends_as(novix, tenant, "succeeded")


def test_only_admitted_models_are_called_where_that_is_demanded(novix: Stranger, tenant: str):
    novix.cli("registry", "rules", "--tenant", tenant, "--admitted-only")
    until_it_ends_as(novix, tenant, "rejected", "not_approved")
    assert "not admitted" in run(novix, tenant)["error"]["message"]
    novix.cli("registry", "admit", MODEL, "--tenant", tenant)
    until_it_ends_as(novix, tenant, "succeeded")


def test_an_alias_says_what_it_stood_for_in_result_and_decision_and_goes_back_with_one_event(
    novix: Stranger, tenant: str
):
    name = f"fast-{tenant}"
    novix.cli("alias", "set", name, f"{MODEL}@c0ffee")
    novix.cli("alias", "set", name, "org/nobody-offers-this")
    until_it_ends_as(novix, tenant, "rejected", "unknown_model", model=name)
    events = len(novix.read(REGISTRY.name))
    novix.cli("alias", "rollback", name)
    assert len(novix.read(REGISTRY.name)) == events + 1
    result = until_it_ends_as(novix, tenant, "succeeded", model=name)
    stood = {"alias": name, "version": 3, "model": MODEL, "revision": "c0ffee", "moved_to": None}
    assert result["resolved"] == stood
    assert result["asked"]["model"] == name
    assert result["served"]["model"] == MODEL
    assert decision(novix, result)["resolved"] == stood


def test_every_decision_is_made_again_byte_for_byte_from_the_registry_of_its_moment(novix: Stranger):
    novix.quiet()
    again = told(novix, "replay", "--since", "1h")
    assert again["different"] == 0, again["differences"]
    assert again["not_decided_again"] == {}
    assert again["same"] == again["decisions"] > 10


def test_a_router_does_not_decide_by_a_registry_that_was_emptied(novix: Stranger, tenant: str):
    novix.quiet()
    novix.system.router.terminate()
    admin = AdminClient({"bootstrap.servers": novix.bootstrap})
    admin.delete_topics([novix.named(REGISTRY.name)])[novix.named(REGISTRY.name)].result(30)
    until = time.monotonic() + WITHIN_S
    while REGISTRY.name in novix.topics():
        assert time.monotonic() < until
        time.sleep(0.2)
    novix.cli("topics", "create", "--partitions", "3")
    novix.system.router.start()
    novix.publish(chat("after", tenant))
    while not (why := reasons(novix)):
        assert time.monotonic() < until, novix.system.router.health()
        time.sleep(0.2)
    assert "RegistryLost" in why or REGISTRY.name in why
    assert not [one for one in novix.read("inference.results.v1") if one.key == f"{tenant}/after".encode()]


def reasons(novix: Stranger) -> str:
    """Why the router is not well; empty: it is, or nobody answers yet."""
    status, state = novix.system.router.health()
    text = json.dumps(state)
    return text if status == 503 and REGISTRY.name in text else ""
