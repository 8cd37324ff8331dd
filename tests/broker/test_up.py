"""`novix up` from nothing: a Kafka of its own, a provider elsewhere, a stranger's jobs, two kills, and nothing left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from stranger import novix
from system import MODEL, chat, stub

from schemas.topics import MODALITY_TOPICS, RETRY_TIERS, retry_group, worker_group

pytestmark = pytest.mark.broker

WITHIN_S = 120
PREFIX = "acme."
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with stub() as url:
        yield url


@pytest.fixture(scope="module")
def run(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A world that is up, and the command line beside it: no setting but home, provider, prefix and model.

    Its end is judged here, so that the tests may come in any order: `down` ends all that was started, and nothing else.
    """
    home = tmp_path_factory.mktemp("world") / "home"
    own = {
        "NOVIX_HOME": str(home),
        "NOVIX_HF_ROUTER_URL": provider,
        "NOVIX_HF_TOKEN": "hf_canarytokencanarytokencanary",
        "NOVIX_TOPIC_PREFIX": PREFIX,
        "NOVIX_TEXT_MODEL": MODEL,
        "NOVIX_PARTITIONS": "3",
    }

    def run(*arguments: str, expect: int | None = 0, stdin: str | None = None, **more: str):
        return novix(*arguments, environment={**own, **more}, expect=expect, stdin=stdin)

    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "novix", "router"])
    try:
        run("up", "--json", "--timeout", str(WITHIN_S))
        yield run
        told = status(run)
        run("down")
        assert not [process["name"] for process in told["processes"] if alive(process["pid"])]
        assert not alive(told["supervisor"])
        assert bystander.poll() is None
        assert not (home / "state.json").exists()
        run("status", expect=3)
        run("down")
    finally:
        run("down", expect=None)
        bystander.kill()
        bystander.wait()


def status(run: Run) -> dict:
    return json.loads(run("status", "--json", expect=None).stdout)


def processes(run: Run) -> dict[str, dict]:
    return {process["name"]: process for process in status(run)["processes"]}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # a zombie has none
    except OSError:
        return False


def test_status_tells_what_runs_where_and_how_it_is(run: Run):
    told = status(run)

    assert told["up"] is True
    assert {process["name"] for process in told["processes"]} == {
        "broker",
        "router",
        "worker",
        "console",
        "alerts",
        "audit",
        "hub-sync",
        "endpoints",
    }
    assert all(process["running"] and process["phase"] == "healthy" for process in told["processes"])
    retries = {f"{PREFIX}{retry_group(tier)}" for _, tier in RETRY_TIERS}
    workers = {f"{PREFIX}{worker_group(modality)}" for modality in MODALITY_TOPICS}
    assert set(told["lag"]) == {f"{PREFIX}novix-router", *workers, *retries}


def test_run_prints_the_answer_and_in_json_the_result(run: Run):
    assert run("run", "Hi").stdout.startswith("stub")
    result = json.loads(run("run", "Hi", "--json").stdout)
    assert (result["status"], result["served"]["model"]) == ("succeeded", MODEL)
    refused = run("run", "Hi", "--max-cost", "1", expect=1)
    assert "price_ceiling" in refused.stderr


def test_a_bad_job_of_a_plain_producer_gets_a_result_that_results_shows(run: Run):
    producer = Producer({"bootstrap.servers": status(run)["environment"]["NOVIX_KAFKA_BOOTSTRAP"]})
    producer.produce(f"{PREFIX}inference.jobs.v1", json.dumps(chat("plain", "shop", timeout_s=-1)).encode())
    assert producer.flush(30) == 0

    shown = json.loads(run("results", "--job", "plain", "--tenant", "shop", "--timeout", "60", "--json").stdout)

    assert (shown["status"], shown["error"]["kind"]) == ("rejected", "invalid_job")
    assert "timeout_s" in shown["error"]["message"]


def test_published_lines_are_counted_out_again(run: Run):
    lines = "\n".join(json.dumps(chat(f"line-{number}", "counted")) for number in range(20))
    told = json.loads(run("publish", "-", "--json", stdin=lines).stdout)
    shown = run("results", "--count", "20", "--tenant", "counted", "--timeout", "60", "--json").stdout.splitlines()

    assert told["published"] == 20
    assert {json.loads(line)["job_id"] for line in shown} == {f"line-{number}" for number in range(20)}


@pytest.mark.parametrize("wish", [("--count", "5", "--tenant", "nobody"), ("--job", "nobody-knows-it")])
def test_what_does_not_come_in_time_ends_with_3(run: Run, wish: tuple[str, ...]):
    run("results", *wish, "--timeout", "1", expect=3)


def test_why_tells_a_job_s_story(run: Run):
    run("run", "Hi", "--id", "storied")

    story = run("why", "storied").stdout

    assert MODEL in story
    run("why", "never-heard-of", expect=3)


def test_topics_create_again_and_again_does_no_harm(run: Run):
    for _ in range(2):
        told = json.loads(run("topics", "create", "--partitions", "3", "--json").stdout)
        assert PREFIX in json.dumps(told)
    run("topics", "create", "--partitions", "2", expect=1)  # more would grow the topics that may grow


def test_a_bad_setting_ends_with_2_and_names_variable_value_and_limit(run: Run):
    told = run("router", expect=2, NOVIX_MAX_IN_FLIGHT="0").stderr

    assert "NOVIX_MAX_IN_FLIGHT='0'" in told
    assert "1" in told.partition("NOVIX_MAX_IN_FLIGHT='0'")[2]


def test_killed_router_and_worker_come_back_and_lose_nothing(run: Run):
    before = processes(run)
    jobs = [json.dumps(chat(f"kill-{number}", f"killed-{number % 2}")) for number in range(200)]
    run("publish", "-", stdin="\n".join(jobs[:100]))
    os.kill(before["worker"]["pid"], signal.SIGKILL)
    os.kill(before["router"]["pid"], signal.SIGKILL)
    run("publish", "-", stdin="\n".join(jobs[100:]))

    done: Counter[str] = Counter()
    for number in range(2):
        tenant = f"killed-{number}"
        shown = run("results", "--count", "100", "--tenant", tenant, "--timeout", "60", "--json").stdout.splitlines()
        done.update(json.loads(line)["job_id"] for line in shown)
    assert done == Counter(json.loads(job)["id"] for job in jobs)
    until = time.monotonic() + WITHIN_S
    while any(process["phase"] != "healthy" for process in processes(run).values()):
        assert time.monotonic() < until, processes(run)
        time.sleep(0.2)
    assert {name: process["restarts"] for name, process in processes(run).items()} == {
        "broker": 0, "router": 1, "worker": 1, "console": 0, "alerts": 0, "audit": 0, "endpoints": 0,
        "hub-sync": 0,
    }  # fmt: skip


def test_no_token_is_in_any_log_or_the_state_file(run: Run):
    home = Path(status(run)["processes"][0]["log"]).parents[1]
    text = b"".join(path.read_bytes() for path in [*home.glob("logs/*.log"), home / "state.json"])

    assert text
    assert b"hf_canarytoken" not in text
