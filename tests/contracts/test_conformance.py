"""What real servers said is understood, and what was asked of them would be asked again: the whole replay, and that it
can fail."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conformance import asking
from conformance.__main__ import main, replayed, report
from conformance.expected import is_refusal
from conformance.faithful import lost
from conformance.inverse import Job, NotToday, job_of
from conformance.records import DEFAULT, TASKS, Body, Record, recordings
from conformance.replay import addresses
from conformance.routes import today
from conformance.server import Scene, Server, Told
from conformance.standins import an_input, mended
from conformance.verdict import Verdict
from conformance_reasons import REASONS, Sent, explained, left_over

from schemas.tasks import input_fault
from workers.exchange import Media
from workers.providers import PROVIDERS

RECORDED = recordings(DEFAULT)
BY_ID = {record.id: record for record in RECORDED.calls}


async def one(record: Record) -> Verdict:
    [verdict] = await replayed([record], RECORDED.downloads)
    return verdict


def test_every_recording_is_accounted_for() -> None:
    """Through the HTTP port and a server on loopback: requests equal or explained, answers understood, refusals
    classified; what is skipped says why."""
    lines, unexplained = report(DEFAULT)

    assert unexplained == []
    assert not RECORDED.missing
    traffic, oracle, tgi = (line.split() for line in lines if line.startswith("all "))
    calls, equal, explained_, understood, classified, different, skipped = map(int, traffic[1:])
    assert calls == len(RECORDED.calls)
    assert (different, int(oracle[6])) == (0, 0)
    assert equal + explained_ > 450
    assert understood > 530
    assert classified > 105
    assert skipped < 45
    assert int(oracle[1]) == int(oracle[2]) == len(RECORDED.oracle)
    assert int(tgi[4]) > 270


def test_a_folder_with_nothing_in_it_is_told_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "not there: traffic/inference.jsonl.gz" in said
    assert "Unexplained: 0" in said


def with_body(record: Record, change: Callable[[dict], object]) -> Record:
    body = json.loads(record.request.data or b"")
    change(body)
    return replace(record, request=Body(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("id", "lie"),
    [
        ("inf-0286", lambda body: body["parameters"].update(src_lang=["en"])),
        ("inf-0134", lambda body: body.update(novel=1)),
        ("inf-0617", lambda body: body.update(stream=True, stream_options={"include_usage": False})),
        ("inf-0625", lambda body: body.update(response_format="url")),
    ],
)
async def test_a_request_that_would_be_another_today_is_no_success(id: str, lie: Callable[[dict], object]) -> None:
    assert (await one(BY_ID[id])).request in ("equal", "explained")

    verdict = await one(with_body(BY_ID[id], lie))

    assert verdict.request in ("different", "skipped")
    assert verdict.request_why


@pytest.mark.parametrize(
    ("id", "body"),
    [
        ("inf-0000", b'{"score": 0.9, "start": 25, "end": 30}'),
        ("inf-0004", b"[0.1, 0.2]"),
        ("inf-0617", b'{"choices": []}'),
        ("inf-0625", b'{"data": [{"b64_json": "AAAA"}]}'),
        ("inf-0203", b'{"images": []}'),
        ("inf-0206", b'{"status": "succeeded", "output": null}'),
    ],
)
async def test_an_answer_that_is_none_is_not_taken_for_one(id: str, body: bytes) -> None:
    assert (await one(BY_ID[id])).answer == "understood"

    verdict = await one(replace(BY_ID[id], response=Body(body)))

    assert verdict.answer == "different"
    assert verdict.unexplained


async def test_a_refusal_of_another_kind_is_told() -> None:
    """A status that nobody expects with these words: the reader's table and the classifier disagree."""
    record = replace(BY_ID["inf-0073"], status=200)
    assert is_refusal(200, record.response.data or b"")
    assert (await one(record)).refusal == "classified"

    said_elsewhere = replace(BY_ID["inf-0000"], response=Body(b'{"error": "quota"}'))
    assert (await one(said_elsewhere)).refusal == "different"


def test_an_answer_that_lost_something_on_the_way_is_told() -> None:
    assert lost(b'[{"label": "a", "score": 0.5}, {"label": "b", "score": 0.25}]', [{"label": "a", "score": 0.5}]) == [
        "label: 'b'", "score: 0.25",
    ]  # fmt: skip
    stream = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata:{"choices": [{"delta": {"content": "b"}}]}\n\n'
    assert lost(stream, {"choices": [{"message": {"content": "ab"}}]}) == []
    assert lost(stream, {"choices": [{"message": {"content": "a"}}]}) == ["content: 'ab'"]
    told = sum(len(lost(record.response.data or b"", None)) for record in RECORDED.calls if record.status < 300)
    assert told > 1_000


def test_the_server_answers_what_was_recorded_and_nothing_else() -> None:
    server, scene = Server(), Scene()
    server.scenes["a"] = scene
    scene.expect("POST", "/x?y=1", b'{"a": 1, "b": 2}', Told(200, {}, b"yes"))

    assert server.told("POST", "/a/x?y=1", b'{"b":2,"a":1}').body == b"yes"
    assert server.told("POST", "/a/x?y=1", b'{"b":2}').status == 421
    assert server.told("POST", "/a/x", b'{"b":2,"a":1}').status == 421
    assert server.told("GET", "/a/x?y=1", b'{"b":2,"a":1}').status == 421
    assert server.told("POST", "/b/x?y=1", b'{"b":2,"a":1}').status == 421
    assert scene.strangers == ["POST /x?y=1", "POST /x", "GET /x?y=1"]


@pytest.mark.parametrize(
    ("provider", "via", "url", "path", "model"),
    [
        ("hf-inference", "legacy-host", "https://h/models/o/m", "/hf-inference/models/o/m", "o/m"),
        ("hf-inference", "hub-proxy", "https://h/api/inference-proxy/hf-inference/models/gpt2/v1/chat/completions",
         "/hf-inference/models/gpt2/v1/chat/completions", "gpt2"),
        ("hf-inference", "legacy-host", "https://h/pipeline/sentence-similarity/o/m",
         "/hf-inference/models/o/m/pipeline/sentence-similarity", "o/m"),
        ("hf-inference", "router", "https://h/hf-inference/models/o/m", "/hf-inference/models/o/m", "o/m"),
        ("groq", "direct", "https://api.groq.com/openai/v1/chat/completions", "/groq/openai/v1/chat/completions", None),
        ("together", "router", "https://h/together/v1/completions", "/together/v1/completions", None),
        ("fal-ai", "direct", "https://queue.fal.run/a/b?c=d", "/fal-ai/a/b?c=d", None),
    ],
)  # fmt: skip
def test_an_old_address_is_found_where_it_is_today(
    provider: str, via: str, url: str, path: str, model: str | None
) -> None:
    route = today(provider, via, url)
    assert (route.path, route.model) == (path, model)


def test_a_reason_explains_its_own_difference_and_no_other() -> None:
    theirs = Sent("POST", "/hf-inference/models/o/m", {"inputs": "x", "options": {"use_gpu": False}})
    assert explained(theirs, Sent("POST", "/hf-inference/models/o/m", {"inputs": "x"})) == ("dead options",)
    assert explained(theirs, theirs) == ()
    other = Sent("POST", "/hf-inference/models/o/m", {"inputs": "y"})
    assert explained(theirs, other) is None
    assert left_over(theirs, other) == "inputs: 'x' / 'y'"
    assert explained(Sent("POST", "/a", b"1"), Sent("POST", "/a", b"2")) is None
    assert len({reason.name for reason in REASONS}) == len(REASONS)


def test_a_payload_that_was_cut_is_made_whole_again_in_its_own_type() -> None:
    cut = b'{"a": "/9j/4AAQSkZJ' + b"A" * 988 + b'", "b": "' + b"A" * 1_000 + b'"}'
    whole, was_cut = mended(cut)
    assert was_cut
    document = json.loads(whole)
    assert document["a"].startswith("/9j/")
    assert document["b"] == "A" * 1_000


OFFICIAL = [row for row in RECORDED.oracle if "expect" in row and row["provider"] in PROVIDERS]


@pytest.mark.parametrize("row", OFFICIAL, ids=lambda row: f"{row['id']}-{row['provider']}-{row['task']}")
def test_a_request_of_today_is_turned_back_into_the_job_that_causes_it(
    row: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official client's requests as if they had been recorded; their payloads are a header and no more."""
    monkeypatch.setattr(asking, "probed", lambda data, kind: Media(kind, data, ""))
    expect = row["expect"]
    data = (
        json.dumps(expect["json"]).encode()
        if expect["data"] is None
        else base64.b64decode(expect["data"]["$bytes_b64"])
    )
    body = Body(data, is_binary=expect["data"] is not None and not data.startswith(b"{"))
    via, task = "router" if row["key_kind"] == "hf" else "direct", TASKS.get(row["task"], row["task"])
    record = Record(
        row["id"], row["provider"], task, row["model"], via, "POST", expect["url"], body, 200, {}, Body(b""), False
    )
    route = today(record.provider, via, record.url)
    job = job_of(record, route)

    if b"<BOUNDARY>" in data:
        assert isinstance(job, NotToday)  # nobody has recorded a form
        return
    assert isinstance(job, Job)
    _, call, _ = asking.built(job, "http://x.test", record.provider)
    assert explained(asking.sent_of(record, route), asking.sent(call, "http://x.test")) is not None


@pytest.mark.parametrize("task", sorted(PROVIDERS["endpoint"].tasks))
def test_what_stands_in_for_a_lost_request_is_one_that_a_job_can_cause(task: str) -> None:
    job_input = an_input(task, None)
    assert input_fault(task, job_input) is None
    _, call, _ = asking.built(Job(task, "endpoint", "o/m", job_input), "http://endpoint.test", "endpoint")
    assert call.url.startswith("http://endpoint.test")


def test_addresses_are_found_wherever_they_stand() -> None:
    assert addresses(b'{"a": ["https://x/1"], "b": {"c": "https://x/2"}, "d": "see https://x/3"}') == [
        "https://x/2", "https://x/1",
    ]  # fmt: skip


def test_streams_of_every_dialect_are_among_what_is_understood() -> None:
    streams = Counter(record.provider for record in RECORDED.calls if record.stream and record.status < 300)
    assert {"hf-inference", "together", "nscale", "cerebras", "openai", "novita"} <= set(streams)
