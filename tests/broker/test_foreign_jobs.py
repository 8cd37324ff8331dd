"""Jobs as others write them, over a real broker: CloudEvents by confluent-kafka and kcat, OpenAI's batch files, and
references to blobs, which are kept for as long as somebody may need them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletion
from stranger import Stranger, encoded
from system import MODEL, chat

from schemas.topics import DLQ


def without_id(job: dict) -> dict:
    return {name: value for name, value in job.items() if name != "id"}


def event(job_id: str, **more: str) -> list[tuple[str, bytes]]:
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": job_id,
        "ce_type": "com.shop.question",
        "ce_source": "/shop",
        "ce_time": "2026-11-22T12:00:00Z",
        "content-type": "application/json",
        **more,
    }
    return [(name, value.encode()) for name, value in attributes.items()]


def test_a_cloud_event_in_binary_mode_is_a_job_under_the_events_id_wherever_it_lands(novix: Stranger, tenant: str):
    job = chat("unused", tenant=tenant)
    away = (novix.home(tenant) + 1) % 3

    novix.write([(tenant.encode(), encoded(without_id(job)), event("at-home"))])
    novix.write([(b"", encoded(without_id(job)), event("away"))], partition=away)
    novix.write([(tenant.encode(), encoded({**job, "id": "both"}), event("both"))])

    for job_id in ("at-home", "away", "both"):
        assert novix.result(job_id, tenant)["status"] == "succeeded"
    assert {result["job_id"] for result in novix.results_of(tenant)} == {"at-home", "away", "both"}


def test_the_same_event_twice_is_done_once_and_so_is_the_plain_job_of_that_id(novix: Stranger, tenant: str):
    job = chat("twice", tenant=tenant)
    record = (tenant.encode(), encoded(without_id(job)), event("twice"))

    novix.write([record, record, (tenant.encode(), encoded(job), [])])

    assert novix.result("twice", tenant)["status"] == "succeeded"
    assert len(novix.results_of(tenant)) == 1
    assert not novix.letters_of("twice")


def test_an_event_that_contradicts_its_job_or_speaks_another_version_is_rejected(novix: Stranger, tenant: str):
    job = chat("mine", tenant=tenant)
    old, wrapped = {**job, "id": "old"}, {**job, "id": "wrapped"}

    novix.write(
        [
            (tenant.encode(), encoded(job), event("theirs")),
            (tenant.encode(), encoded(old), event("old", ce_specversion="0.3")),
            (
                tenant.encode(),
                encoded({"specversion": "1.0", "id": "e", "type": "t", "source": "s", "data": wrapped}),
                [("content-type", b"application/cloudevents+json")],
            ),
        ]
    )

    for job_id, says in (("mine", "ce_id has 6 bytes"), ("old", "ce_specversion"), ("wrapped", "binary mode")):
        result = novix.result(job_id, tenant)
        assert (result["status"], result["error"]["kind"]) == ("rejected", "invalid_job")
        assert says in result["error"]["message"]


def test_kcat_writes_a_cloud_event(novix: Stranger, tenant: str, tmp_path: Path):
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on PATH: no CloudEvent was written with it")
    (tmp_path / "job.json").write_bytes(encoded(without_id(chat("unused", tenant=tenant))))
    headers = [part for name, value in event("by-kcat") for part in ("-H", f"{name}={value.decode()}")]

    subprocess.run(
        ["kcat", "-P", "-b", novix.bootstrap, "-t", novix.named("inference.jobs.v1"), "-k", tenant, "-X",
         "partitioner=murmur2_random", "-X", "acks=all", *headers, str(tmp_path / "job.json")],
        check=True,
        timeout=60,
    )  # fmt: skip

    assert novix.result("by-kcat", tenant)["status"] == "succeeded"


def test_an_openai_batch_goes_in_and_its_output_file_comes_out(novix: Stranger, tenant: str, tmp_path: Path):
    messages = [{"role": "user", "content": "What do bees make?"}]
    requests = [
        ("chat", "/v1/chat/completions", {"model": MODEL, "messages": messages, "max_tokens": 9, "stream": True}),
        ("nobodys-model", "/v1/chat/completions", {"model": "nobodys/model", "messages": messages}),
        ("nobodys-address", "/v1/responses", {"model": MODEL, "input": "Hi"}),
    ]
    batch = [
        {"custom_id": name, "method": "POST", "url": url, "body": body} for name, url, body in requests
    ]  # as OpenAI's guide has a batch's input file
    (tmp_path / "batch.jsonl").write_text("\n".join(map(json.dumps, batch)))

    done = novix.cli("publish", str(tmp_path / "batch.jsonl"), "--tenant", tenant, expect=1)
    assert "line 3: url is not one" in done.stderr
    for job_id in ("chat", "nobodys-model"):
        novix.result(job_id, tenant)
    told = novix.cli("results", "--tenant", tenant, "--format", "openai-batch")

    lines = {line["custom_id"]: line for line in map(json.loads, told.stdout.splitlines())}
    assert set(lines) == {"chat", "nobodys-model"}
    assert (lines["chat"]["response"]["status_code"], lines["chat"]["error"]) == (200, None)
    answer = ChatCompletion.model_validate(lines["chat"]["response"]["body"], strict=True)
    assert answer.choices[0].message.content
    assert lines["nobodys-model"]["response"]["status_code"] == 404
    assert lines["nobodys-model"]["response"]["body"]["error"]["code"] == "unknown_model"
    assert not [found for found in novix.read(DLQ.name) if b"nobodys-address" in (found.value or b"")]


def test_gc_reads_the_real_topics_and_keeps_what_a_dead_letter_names(novix: Stranger, tenant: str, tmp_path: Path):
    digests = {}
    for name in ("ended", "letter", "nobodys"):
        (tmp_path / name).write_text(f"{tenant} {name}")
        digests[name] = json.loads(novix.cli("blob", "put", str(tmp_path / name), "--json").stdout)["$ref"]
    ended = {"id": "ended", "tenant": tenant, "task": "nobodys-task", "input": {"inputs": {"$ref": digests["ended"]}}}
    novix.publish(ended)
    novix.write([(tenant.encode(), encoded({"tenant": tenant, "input": {"$ref": digests["letter"]}}), [])])
    assert novix.result("ended", tenant)["status"] == "rejected"
    novix.quiet()

    novix.cli("blob", "gc", NOVIX_BLOB_DAYS="0")

    def there(name: str) -> int:
        return novix.cli("blob", "get", digests[name]["sha256"], "-o", "-", expect=None).returncode

    assert {name: there(name) for name in digests} == {"ended": 3, "letter": 0, "nobodys": 3}


def test_an_answer_is_shown_as_it_comes_and_the_result_ends_it(novix: Stranger, tenant: str):
    done = novix.cli("run", "--stream", "--json", "--tenant", tenant, "--model", MODEL, "What do bees make?")

    *pieces, result = map(json.loads, done.stdout.splitlines())
    assert result["status"] == "succeeded"
    assert [piece["number"] for piece in pieces] == list(range(len(pieces)))
    whole = result["output"]["choices"][0]["message"]["content"]
    assert pieces
    assert whole.startswith("".join(piece["text"] for piece in pieces))
