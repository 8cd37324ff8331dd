"""`novix request` without a provider: what the router would do now, with the registry and everything else it reads."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.errors import KafkaConnectionError
from console_world import ms

from console import kafka
from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import BUDGETS, JOBS, REGISTRY

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
OTHER = "Qwen/Qwen3-32B"
NOW = datetime.now(UTC)
CHAT = {
    "id": "a1", "tenant": "acme", "task": "chat-completion", "model": MODEL,
    "input": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100},
}  # fmt: skip


def say(log, topic, **event):
    value = codec.encode({"event": {"at": NOW, **event}})
    log.append(Outgoing(topic.name, b"k", value, (), 0, ms(NOW)))


def asked(novix, *options, **members):
    done = novix("request", "-", *options, stdin=json.dumps({**CHAT, **members}))
    return done, json.loads(done.stdout)


def test_a_model_that_the_registry_refuses_its_tenant_causes_no_request(novix, log):
    done, shown = asked(novix)
    assert (done.exit_code, shown["model"], "notes" in shown) == (0, MODEL, False)

    say(log, REGISTRY, kind="admission", model=MODEL, tenant="acme", state="withdrawn", reason="recalled")

    done, refused = asked(novix)
    assert done.exit_code == 1
    assert refused["error"]["kind"] == "not_approved"
    assert "recalled" in refused["error"]["message"]
    assert asked(novix, tenant="somebody-else")[1]["model"] == MODEL


def test_an_alias_of_the_registry_is_the_model_that_it_stands_for(novix, log):
    assert asked(novix, model="swift")[1]["error"]["kind"] == "unknown_model"
    say(log, REGISTRY, kind="alias", alias="swift", targets=[[MODEL, "c0ffee"]])
    assert asked(novix, model="swift")[1]["json"]["model"] == MODEL


def test_what_a_tenants_own_record_and_budget_say_holds(novix, log):
    say(log, BUDGETS, kind="tenant", tenant="acme", models=[OTHER])
    assert asked(novix)[1]["error"]["kind"] == "not_approved"

    say(log, BUDGETS, kind="tenant", tenant="acme", over_limit="refuse")
    say(log, BUDGETS, kind="budget", id="b", tenant="acme", limit_nanousd=0)
    log.records.setdefault((JOBS.name, 0), [])
    assert asked(novix)[1]["error"]["kind"] == "over_budget"


def test_a_job_that_would_wait_for_money_shows_its_request_and_says_so(novix, log):
    say(log, BUDGETS, kind="tenant", tenant="acme", over_limit="wait")
    say(log, BUDGETS, kind="budget", id="b", tenant="acme", limit_nanousd=0, window="hour")
    shown = asked(novix, deadline=(NOW + timedelta(hours=3)).isoformat())[1]
    assert shown["model"] == MODEL
    assert "would wait now" in shown["notes"][0]


@pytest.mark.parametrize("way", ["offline", "nobody"])
def test_what_was_left_out_is_said_where_kafka_is_not_read(novix, log, monkeypatch, way):
    say(log, REGISTRY, kind="admission", model=MODEL, tenant="*", state="withdrawn")

    @asynccontextmanager
    async def nowhere(_):
        raise KafkaConnectionError("nobody there")
        yield

    monkeypatch.setattr(kafka, "_bus", nowhere)
    done, shown = asked(novix, *(["--offline"] if way == "offline" else []))
    assert done.exit_code == 0
    assert shown["model"] == MODEL
    assert "no registry" in shown["notes"][0]
    assert "no registry" in done.stderr


def test_a_named_provider_is_asked_without_reading_anything(novix, monkeypatch):
    def never(_):
        raise AssertionError("Kafka was asked")

    monkeypatch.setattr(kafka, "_bus", never)
    assert "notes" not in asked(novix, "--provider", "groq", "--provider-model", "x")[1]
