"""Planted secrets, a planted prompt and a planted answer are looked for wherever the system writes or shows anything.

The prompt may stand where the contract has it: on the topics that carry the job itself. The answer: on results and
deltas. The secrets: nowhere. All else is searched: topics, logs, pages and their JSON, files, what the commands say.
"""

import gzip
import json
import random
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_names import commands
from console_process import Answer, Console, console
from crawl import crawled, missed
from explorer_world import context_of
from otlp_receiver import Receiver, receiving
from stranger import Stranger, encoded, installation
from system import Process, chat

from console.pages.app import create_app
from sandbox.kafka.process import free_port
from schemas.topics import DELTAS, DLQ, JOBS, MODALITY_TOPICS, RESULTS, RETRY_TIERS

HF_TOKEN = "hf_plantedhuggingfacetoken0123"
CONSOLE_TOKEN = "planted-console-token-0123456789"
WEBHOOK_SECRET = "planted-webhook-secret-0123456789"
KAFKA_PASSWORD = "planted-kafka-password-0123456789"
PROVIDER_KEY = "planted-provider-key-0123456789"
HEC_TOKEN = "planted-collector-token-0123456789"
OTLP_KEY = "planted-receiver-key-0123456789"
SECRETS = (HF_TOKEN, CONSOLE_TOKEN, WEBHOOK_SECRET, KAFKA_PASSWORD, PROVIDER_KEY, HEC_TOKEN, OTLP_KEY)
PROMPT = "the-planted-prompt-sings-at-dawn"
ANSWER = "the-planted-answer-hums-at-dusk"
CARRY_PROMPT = (JOBS.name, *(topic.name for topic in MODALITY_TOPICS.values()), DLQ.name,
                *(tier.name for _, tier in RETRY_TIERS))  # fmt: skip
CARRY_ANSWER = (RESULTS.name, DELTAS.name)
TENANT = "planted"

QUOTING, SICK, GARBAGE, TALKATIVE = "zai-org/GLM-4.7", "openai/gpt-oss-20b", "google/gemma-4-31B-it", "Qwen/Qwen3-32B"


@dataclass
class World:
    """An installation that has worked, and its pages."""

    novix: Stranger
    pages: Console
    alerts: Process
    relay: Process
    receiver: Receiver
    """What the relay has sent."""


def behave(novix: Stranger, model: str, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": model, **how})


def answering() -> dict[str, object]:
    message = {"role": "assistant", "content": f"{ANSWER} <script>alert(1)</script>"}
    usage = {"prompt_tokens": 12, "completion_tokens": 12, "total_tokens": 24}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "model": TALKATIVE, "choices": [choice], "usage": usage}


def work(novix: Stranger) -> list[str]:
    """Jobs of many ends, each with the prompt in it; ids of those that have a result."""
    behave(novix, TALKATIVE, answer=answering())
    behave(novix, QUOTING, status=400, echo=True)
    behave(novix, SICK, status=503, echo=True, headers={"retry-after": "0"})
    behave(novix, GARBAGE, answer={"choices": ANSWER})
    jobs = [
        chat("answered", TENANT, PROMPT, model=TALKATIVE),
        chat("streamed", TENANT, PROMPT, stream=True),
        chat("quoted", TENANT, PROMPT, model=QUOTING),
        chat("sick", TENANT, PROMPT, model=SICK),
        chat("garbage", TENANT, PROMPT, model=GARBAGE),
        chat("too-dear", TENANT, PROMPT, max_cost_nanousd=1),
        chat("no-such-task", TENANT, PROMPT, task="sing"),
        chat("too-late", TENANT, PROMPT, model=SICK, timeout_s=0.2),
        chat("tagged", TENANT, PROMPT, metadata={"campaign": "autumn"}, team="search"),
    ]
    novix.publish(*jobs)
    wrong = {**chat("wrong", TENANT, PROMPT), "temperature": PROMPT, "input": {"messages": PROMPT}}
    novix.write(
        [
            (TENANT.encode(), encoded(wrong), []),
            (TENANT.encode(), PROMPT.encode(), []),
            (TENANT.encode(), encoded({"id": "unreadable", "timeout_s": PROMPT}), []),
        ]
    )
    for job in jobs:
        novix.result(job["id"], TENANT)
    novix.cli("cancel", "answered", "--tenant", TENANT, expect=None)
    novix.cli("dlq", "redrive", "--yes", "--reason", "invalid_answer", expect=None)
    novix.quiet()
    return [job["id"] for job in jobs]


@pytest.fixture(scope="module")
def world(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("planted")
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"fal-ai": PROVIDER_KEY}))  # of one that no job here goes to
    with (
        installation(
            broker.bootstrap,
            folder,
            NOVIX_HF_TOKEN=HF_TOKEN,
            NOVIX_PROVIDER_KEYS_FILE=str(keys),
            NOVIX_KAFKA_PASSWORD=KAFKA_PASSWORD,
            NOVIX_WEBHOOK_URL=f"http://127.0.0.1:{free_port('127.0.0.1', random.Random())}/",  # nobody is there
            NOVIX_WEBHOOK_SECRET=WEBHOOK_SECRET,
            NOVIX_CONSOLE_TOKEN=CONSOLE_TOKEN,
            NOVIX_HEC_TOKEN=HEC_TOKEN,
            NOVIX_BREAKER_FAIL_MAX="4",
            NOVIX_BACKOFF_FACTOR_S="0.05",
            NOVIX_MAX_RETRIES="2",
            NOVIX_LOG_LEVEL="debug",
        ) as novix,
        receiving() as receiver,
    ):
        alerts = novix.system.process(("-m", "console", "alerts", "run"), "alerts").start()
        relay = novix.system.process(("-m", "console", "relay"), "relay")
        relay.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={OTLP_KEY}",
        }
        relay.start()
        try:
            with console(novix, folder / "console.log", token=CONSOLE_TOKEN) as pages:
                for job_id in work(novix):
                    pages.ended(TENANT, job_id)
                yield World(novix, pages, alerts, relay, receiver)
        finally:
            relay.stop()
            alerts.stop()


def found(places: Mapping[str, bytes], *canaries: str) -> list[str]:
    return [f"{canary} in {place}" for place, content in places.items() for canary in canaries
            if canary.encode() in content]  # fmt: skip


def test_no_topic_and_no_log_holds_what_it_may_not(world: World):
    novix = world.novix

    assert novix.leaks(*SECRETS) == []
    assert novix.leaks(PROMPT, besides=CARRY_PROMPT) == []
    assert novix.leaks(ANSWER, besides=CARRY_ANSWER) == []
    logs = {log.name: log.read_bytes() for log in novix.folder.glob("*.log")}
    assert {"router.log", "worker.log", "console.log", "alerts.log", "relay.log"} <= logs.keys()
    assert all(logs[name] for name in ("router.log", "worker.log", "console.log")), "a log that is empty proves nothing"
    assert found(logs, *SECRETS, PROMPT, ANSWER) == []
    # The test sees what it looks for, where it may be.
    assert {place.split("/")[0] for place in novix.leaks(PROMPT)} >= {JOBS.name, DLQ.name}
    assert {place.split("/")[0] for place in novix.leaks(ANSWER)} == {RESULTS.name}


def test_no_page_no_json_and_no_table_for_a_spreadsheet_holds_any_of_it(world: World, tmp_path: Path):
    answers = crawled(world.pages.get, ["/", "/nothing", "/healthz", "/readyz", "/metrics", "/job?id=x&tenant=y"])
    with context_of(tmp_path) as context:
        routes = create_app(context).routes
    # A route that no page leads to is asked for with the parts of some job: none may be forgotten here.
    answers |= _asked_directly(world.pages, missed(routes, answers))

    assert missed(routes, answers) == []
    assert {path: answer.status for path, answer in answers.items() if answer.status >= 500 and path != "/readyz"} == {}
    assert sum(answer.status == 200 for answer in answers.values()) > 20
    assert any(b"planted" in answer.body and b"quoted" in answer.body for answer in answers.values())
    shown = {path: answer.body + repr(answer.headers).encode() for path, answer in answers.items()}
    assert found(shown, *SECRETS, PROMPT, ANSWER) == []


def _asked_directly(pages: Console, patterns: list[str]) -> dict[str, Answer]:
    job = pages.ended(TENANT, "answered")["submissions"][0]
    parts = {
        "tenant": TENANT, "job_id:path": "answered", "trace_id": job["trace_id"], "topic": JOBS.name,
        "partition:int": str(job["partition"]), "offset:int": str(job["offset"]), "submission:int": "1",
        "token": "none", "number:int": "0",
    }  # fmt: skip
    asked = {}
    for pattern in patterns:
        path = pattern
        for name, value in parts.items():
            path = path.replace("{" + name + "}", value)
        query = f"?tenant={TENANT}&id=answered&trace={job['trace_id']}"
        asked[path] = pages.get(path + query)
    return asked


def test_no_file_of_the_processes_holds_any_of_it(world: World):
    home = world.novix.system.settings.home
    files = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}

    assert any(name.endswith(".sqlite") and name.startswith("console") for name in files)
    assert any(name.endswith("-wal") for name in files), "what was written last lies there"
    assert any("intents" in name for name in files), "the notes of calls"
    assert found(files, *SECRETS, PROMPT, ANSWER) == []


def test_no_health_address_and_no_metric_holds_any_of_it(world: World):
    told: dict[str, bytes] = {}
    for process in (*world.novix.system.processes, world.alerts, world.relay):
        for path in ("/healthz", "/readyz", "/metrics"):
            told[f"{process.name}{path}"] = _asked(int(process.environment["NOVIX_HEALTH_PORT"]), path)

    assert told["worker/healthz"]
    assert told["router/metrics"]
    assert found(told, *SECRETS, PROMPT, ANSWER, TENANT + "/") == []


def _asked(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as refusal:
        return bytes(refusal.read())


def test_nothing_that_leaves_for_others_holds_any_of_it_but_their_own_credential(world: World, tmp_path: Path):
    """Spans to an OpenTelemetry back end, the audit to a collector and into a folder, a proof."""
    novix, receiver = world.novix, world.receiver
    receiver.wait(lambda: any(TENANT in str(span) for span in receiver.spans()))
    spans = {f"request {at}": one.SerializeToString() for at, one in enumerate(list(receiver.requests))}
    told = {f"request {at}": repr(one).encode() for at, one in enumerate(list(receiver.headers))}
    signing = novix.system.process(("-m", "console", "audit", "checkpoint"), "audit")
    signing.environment |= {"NOVIX_AUDIT_CHECKPOINT_S": "0.2"}
    signing.start()
    novix.until_signed()
    signing.stop()
    with collecting() as collector:
        sent = novix.cli("audit", "export", "--hec", collector.url, "--once")
    novix.cli("audit", "export", str(tmp_path / "exported"))
    novix.cli("audit", "prove", "answered", "--tenant", TENANT, "--out", str(tmp_path / "exported" / "one.proof"))
    files = {path.name: path.read_bytes() for path in (tmp_path / "exported").rglob("*") if path.is_file()}

    assert found(spans, *SECRETS, PROMPT, ANSWER) == []
    assert all(OTLP_KEY.encode() in headers for headers in told.values())
    assert found(told, *[one for one in SECRETS if one != OTLP_KEY], PROMPT, ANSWER) == []
    assert any(b"job.succeeded" in body for body in collector.bodies.values())
    assert found(collector.bodies, *SECRETS, PROMPT, ANSWER) == []
    assert all(f"Splunk {HEC_TOKEN}" == one.get("authorization") for one in collector.headers)
    assert found({"said": (sent.stdout + sent.stderr).encode()}, *SECRETS, PROMPT, ANSWER) == []
    assert any(b"job.succeeded" in content for content in files.values())
    assert found(files, *SECRETS, PROMPT, ANSWER) == []


class Collector:
    """What a collector of events was sent."""

    url = ""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []


@contextmanager
def collecting() -> Iterator[Collector]:
    """A Splunk HTTP Event Collector that takes all, while the block runs."""
    collector = Collector()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            packed = self.headers.get("content-encoding") == "gzip"
            collector.bodies[f"{len(collector.bodies)} {self.path}"] = gzip.decompress(body) if packed else body
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = b'{"text":"Success","code":0}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


ELSEWHERE = {
    "results": "prints answers: that is what it is for, and is looked at by itself",
    **dict.fromkeys(("up", "down", "demo", "bench mix", "router", "worker", "console", "relay", "alerts run",
                     "hub serve", "endpoints run"), "runs"),
    **dict.fromkeys(("run", "publish", "quote", "request", "cancel", "dlq redrive", "ledger release"), "an order"),
    **dict.fromkeys(("eval run", "bench models"), "an order"),
    **dict.fromkeys(("config example", "schema list", "schema export", "policy check", "policy show", "tier show",
                     "org show", "tenant show", "topics list", "prices show", "prices spread", "audit key",
                     "alerts rules", "tune", "ledger bill", "ledger reconcile", "eval list", "eval show"),
                    "says nothing of jobs"),
    **dict.fromkeys(("audit checkpoint", "audit export"), "looked at with what leaves for others"),
    **dict.fromkeys(("blob put", "blob get", "blob gc"), "carries payloads"),
    **dict.fromkeys(("alerts set", "alerts test", "budget set", "budget remove", "org create", "org transfer",
                     "tenant set", "tier set", "policy set", "prices approve", "prices set",
                     "prices unset", "prices import", "value",
                     "topics create"), "a rule that an operator sets"),
}  # fmt: skip
"""Commands that are not asked below, and why."""
ASKED: dict[str, tuple[tuple[str, ...], ...]] = {
    "why": (*((one, "--tenant", TENANT) for one in ("answered", "quoted", "sick")), ("garbage", "--json")),
    "dlq list": ((), ("--json",)),
    "audit prove": (("answered", "--tenant", TENANT),),
}
"""With which arguments; the others with none, or with what their help names."""


SILENT = {"ledger open"}
"""Commands that have nothing to say here: every reservation has ended."""


def test_no_command_says_any_of_it_but_the_one_that_prints_answers(world: World):
    novix, said = world.novix, dict[str, bytes]()
    letter = json.loads(novix.cli("dlq", "list", "--json").stdout.splitlines()[0])
    asked = {**ASKED, "dlq show": ((str(letter["place"]),), (str(letter["place"]), "--json"))}
    for name in (one for one in commands() if one not in ELSEWHERE):
        for arguments in asked.get(name, ((),)):
            done = novix.cli(*name.split(), *arguments, expect=None)
            said[" ".join((name, *arguments))] = (done.stdout + done.stderr).encode()
    answer = novix.cli("results", "--job", "answered", "--tenant", TENANT, "--format", "json")

    assert set(ELSEWHERE) <= set(commands())
    assert len(said) > 25
    assert {name for name in said if not said[name]} <= SILENT
    assert found(said, *SECRETS, PROMPT, ANSWER) == []
    assert ANSWER in answer.stdout
    assert found({"results": (answer.stdout + answer.stderr).encode()}, *SECRETS, PROMPT) == []
