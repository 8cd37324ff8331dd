"""`novix request`: what a job would ask, shown and not sent."""

import base64
import json
import shlex
import socket
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError
from conformance.oracle import BY_THEIR_OWN_NAME, input_of
from conformance.records import DEFAULT, TASKS, recordings
from conformance.standins import picture
from oracle import DIALECTS

from console import kafka

CHAT = {"id": "a1", "task": "chat-completion", "input": {"messages": [{"role": "user", "content": "Hi"}]}}
SECRET = "hf_canaryCANARYcanary"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Nothing is sent: not a single connection is made. Kafka, which is read where no provider is named, is away."""

    def refuse(*_):
        raise AssertionError("a connection was made")

    @asynccontextmanager
    async def nowhere(_):
        raise KafkaConnectionError("nobody there")
        yield

    monkeypatch.setattr(kafka, "_bus", nowhere)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def job(**members):
    return json.dumps({**CHAT, **members})


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_named_provider_is_asked_as_it_would_be_with_the_token_hidden(novix, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(CHAT, indent=2))

    done = novix("request", "job.json", "--provider", "groq", "--provider-model", "llama", HF_TOKEN=SECRET)

    assert done.exit_code == 0
    [shown] = lines(done)
    assert shown["url"] == "https://router.huggingface.co/groq/openai/v1/chat/completions"
    assert shown["json"] == {"model": "llama", "messages": CHAT["input"]["messages"]}
    assert shown["data"] is None
    assert shown["headers"]["authorization"] == "Bearer <KEY>"
    assert (shown["provider"], shown["model"], shown["method"]) == ("groq", "llama", "POST")
    assert SECRET not in done.output


def test_without_a_provider_the_routers_first_choice_is_asked_within_its_limits(novix):
    done = novix("request", "-", stdin=job())

    [shown] = lines(done)
    assert shown["url"] == "https://router.huggingface.co/v1/chat/completions"
    assert shown["json"]["max_tokens"] > 0
    assert shown["json"]["model"] == shown["model"]


def test_lines_go_in_and_as_many_come_out_in_their_order(novix):
    given = [job(), "[]", "nope", job(task="nope"), job(provider="bogus", provider_model="x"), job(id="b2")]

    done = novix("request", "-", "--base-url", "https://other.test", stdin="\n".join(given) + "\n\n")

    assert done.exit_code == 1
    told = lines(done)
    kinds = [one["error"]["kind"] if "error" in one else one["headers"]["x-amzn-trace-id"] for one in told]
    assert kinds == [
        "default/a1", "undecodable", "undecodable", "unknown_task", "unknown_provider", "default/b2",
    ]  # fmt: skip
    assert told[0]["url"].startswith("https://other.test/")
    assert "groq" in told[4]["error"]["message"]


def test_a_command_line_can_be_run_as_it_is(novix):
    done = novix("request", "-", "--provider", "groq", "--provider-model", "x", "--curl", stdin=job())

    words = shlex.split(done.stdout)
    assert words[:5] == ["curl", "-sS", "-X", "POST", "https://router.huggingface.co/groq/openai/v1/chat/completions"]
    assert "authorization: Bearer <KEY>" in words
    assert json.loads(words[words.index("--data-binary") + 1])["model"] == "x"


@pytest.mark.parametrize(
    "payload",
    ["https://media.test/a.png", {"$ref": {"sha256": "a" * 64, "uri": "blob://" + "a" * 64, "media_type": "image/png",
                                           "bytes": 7}}],
)  # fmt: skip
def test_a_payload_that_only_a_call_would_fetch_is_told_by_its_address(novix, payload):
    uri = payload if isinstance(payload, str) else payload["$ref"]["uri"]
    raw = job(task="image-classification", input={"inputs": payload}, provider="hf-inference", provider_model="o/m")
    within = job(task="image-to-image", input={"inputs": payload, "parameters": {"prompt": "x"}}, provider="fal-ai",
                 provider_model="o/m")  # fmt: skip

    first, second = lines(novix("request", "-", stdin=f"{raw}\n{within}"))

    assert first["data"] == {"$placeholder": f"<payload at {uri}>"}
    assert second["json"]["image_url"].endswith(f";base64,<payload at {uri}>")


def test_a_payload_that_is_there_is_shown_and_one_that_would_be_refused_says_so(novix):
    image = base64.b64encode(picture()).decode()
    members = {"task": "image-classification", "provider": "hf-inference", "provider_model": "o/m"}
    given = [job(**members, input={"inputs": one}) for one in (image, base64.b64encode(b"none").decode())]

    good, bad = lines(novix("request", "-", stdin="\n".join(given)))

    assert good["data"] == {"$bytes_b64": image}
    assert good["headers"]["content-type"] == "image/png"
    assert "notes" not in good
    assert "a worker would refuse this job" in bad["notes"][0]


def test_a_name_that_only_the_hub_knows_is_not_guessed_in_silence(novix):
    [shown] = lines(novix("request", "-", "--provider", "groq", "--model", "org/model", stdin=job()))

    assert shown["model"] == "org/model"
    assert "mapping" in shown["notes"][0]


def test_a_file_that_is_not_there_is_a_fault_of_usage(novix):
    done = novix("request", "nowhere.json")
    assert done.exit_code == 2
    assert "nowhere.json" in done.stderr


def test_every_request_of_the_official_client_is_what_the_command_prints(novix):
    """The oracle's rows as jobs, one a line; its `expect` beside what is printed."""
    rows = [row for row in recordings(DEFAULT).oracle if "expect" in row]
    done = novix("request", "-", stdin="\n".join(map(as_line, rows)))

    told = lines(done)
    assert len(told) == len(rows)
    for row, shown in zip(rows, told, strict=True):
        expect = row["expect"]
        assert (shown.get("method"), shown.get("url")) == (expect["method"], expect["url"]), (row["id"], shown)
        headers = {name.lower(): text for name, text in expect["headers"].items() if name.lower() != "x-hf-bill-to"}
        assert headers.items() <= shown["headers"].items(), row["id"]
        assert body_of(shown) == body_of(expect), row["id"]


def as_line(row):
    task = TASKS.get(row["task"], row["task"])
    members = {"task": task, "input": input_of(task, row), "own_key": row["key_kind"] == "provider"}
    named = row["model"] if row["provider"] in BY_THEIR_OWN_NAME else row["provider_model_id"]
    if row["provider"] == "endpoint-url":
        members |= {"base_url": row["model"], "provider_model": ""}
    else:
        members |= {"provider_model": named, "model": row["model"]}
    provider = "endpoint" if row["provider"] == "endpoint-url" else row["provider"]
    assert provider == "auto" or DIALECTS.get(row["provider"], provider) == provider
    return job(**members, provider=provider, adapter_weights_path=row.get("adapter_weights_path") or "")


def body_of(told):
    """JSON that was sent as bytes is JSON."""
    if told["data"] is None:
        return told["json"]
    data = base64.b64decode(told["data"]["$bytes_b64"])
    return json.loads(data) if data[:1] == b"{" else data
