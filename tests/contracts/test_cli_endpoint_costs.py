"""What endpoints cost, at the command line: quotes that know them, and bills that are cut up among jobs."""

import json
from typing import Any

import pytest
from console_world import NOON
from endpoints_world import BEGIN, spec_of, state_of

from runtime.ports import Outgoing
from schemas.endpoints import EndpointCommand, EndpointState
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.topics import ENDPOINT_COMMANDS, ENDPOINTS, LEDGER

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
URL = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"


def serving(a_call: int = 1, status: str = "running", **more: Any) -> EndpointState:
    """An endpoint of the model, whose calls have cost so much each."""
    told: dict[str, Any] = {
        "spec": spec_of(model=MODEL), "url": URL, "ready": True, "measured": {"attempts": 900, "succeeded": 1_000},
        "costs": {"nanousd_per_hour": 800_000_000, "total_nanousd": 1_000 * a_call, "since": BEGIN, "billed_s": 7_200},
    }  # fmt: skip
    return state_of(status, **(told | more))


def known(log: Any, state: EndpointState) -> None:
    log.append(Outgoing(ENDPOINTS.name, state.spec.key.encode(), state.encode(), partition=0))


@pytest.fixture
def quoted(novix, log, tmp_path, monkeypatch) -> Any:
    """What a job of a tenant is quoted, with these endpoints."""
    monkeypatch.setenv("NOVIX_EGRESS_HOSTS", "https://*.endpoints.huggingface.cloud")

    def quote(*states: EndpointState, **more: Any) -> dict[str, Any]:
        for state in states:
            known(log, state)
        content = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
        asked = {"id": "j", "task": "chat-completion", "model": MODEL, "input": content, **more}
        (tmp_path / "job.json").write_text(json.dumps(asked))
        return json.loads(novix("quote", "job.json", "--json").stdout)

    return quote


def test_a_quote_compares_the_price_of_an_endpoint_with_serverless_as_the_router_does(quoted):
    serverless = quoted()
    assert serverless["provider"] != "endpoint.small"
    cheap = quoted(serving(a_call=1))
    assert (cheap["provider"], cheap["expected_nanousd"]) == ("endpoint.small", 1)
    dear = quoted(serving(a_call=10**9))
    assert dear["provider"] == serverless["provider"]
    assert dear["expected_nanousd"] == serverless["expected_nanousd"]


def test_a_quote_for_an_endpoint_that_sleeps_says_when_there_is_no_time_for_its_start(quoted):
    asleep = serving(status="scaledToZero", ready=False, cold_start_s=300.0)
    told = quoted(asleep, provider="endpoint.small", timeout_s=60)
    assert (told["verdict"], told["kind"]) == ("rejected", "too_slow")
    assert quoted(asleep, provider="endpoint.small", timeout_s=600)["verdict"] == "assigned"


def test_a_quote_knows_whose_an_endpoint_is(quoted):
    bound = serving(spec=spec_of(model=MODEL, tenants=["beta"]))
    told = quoted(bound, provider="endpoint.small")
    assert (told["verdict"], told["kind"]) == ("rejected", "not_approved")
    assert quoted(bound, provider="endpoint.small", tenant="beta")["verdict"] == "assigned"


def entry(tenant: str, job: str, ms: int, provider: str = "endpoint.small", **more: Any) -> LedgerEntry:
    told = {
        "kind": "settle", "tenant": tenant, "job_id": job, "submission": 1, "decision_id": f"d-{tenant}-{job}",
        "reserved_nanousd": 10, "calls": [{"provider": provider, "model": MODEL, "duration_ms": ms}],
        "status": "succeeded", "at": NOON,
    }  # fmt: skip
    return LedgerEntry.model_validate(told | more)


def settled(log: Any, *entries: LedgerEntry, partition: int = 0) -> None:
    value = LedgerBatch(lane="l", entries=list(entries)).encode()
    log.append(Outgoing(LEDGER.name, b"0", value, partition=partition))


def test_a_bill_is_cut_up_among_the_jobs_that_were_done_to_the_last_nano_dollar(novix, log):
    known(log, serving(costs={"nanousd_per_hour": 800_000_000, "total_nanousd": 1_000_000_000, "since": BEGIN}))
    elsewhere = entry("acme", "3", 9_000, "groq")
    again = entry("acme", "1", 3_000, kind="release")
    settled(log, entry("acme", "1", 3_000), entry("acme", "2", 1_000), elsewhere)
    settled(log, again, entry("beta", "1", 3_000, status="failed"), partition=3)
    log.append(Outgoing(LEDGER.name, b"0", b"no json", partition=1))

    told = json.loads(novix("endpoints", "costs", "acme/small", "--jobs", "--json").stdout)

    assert (told["cost_nanousd"], told["unallocated_nanousd"], told["whole_ledger"]) == (1_000_000_000, 0, True)
    assert told["tenants"] == [
        {"tenant": "acme", "nanousd": 571_428_572, "jobs": 2}, {"tenant": "beta", "nanousd": 428_571_428, "jobs": 1},
    ]  # fmt: skip
    parts = {one["job"]: one["nanousd"] for one in told["jobs"]}
    assert parts == {"acme/1/1": 428_571_429, "acme/2/1": 142_857_143, "beta/1/1": 428_571_428}
    assert sum(parts.values()) == told["cost_nanousd"]
    assert "acme: $0.571428572 for 2 jobs" in novix("endpoints", "costs", "acme/small").stdout


def test_an_endpoint_that_did_nothing_has_cost_nobody_and_one_of_unknown_price_nobody_knows(novix, log):
    known(log, serving(costs={"nanousd_per_hour": 800_000_000, "total_nanousd": 40, "since": BEGIN}))
    told = json.loads(novix("endpoints", "costs", "acme/small", "--json").stdout)
    assert (told["unallocated_nanousd"], told["tenants"]) == (40, [])
    known(log, serving(costs={"nanousd_per_hour": None, "total_nanousd": None, "since": BEGIN}))
    done = novix("endpoints", "costs", "acme/small")
    assert done.exit_code == 1
    assert "is not known" in done.output


def test_a_ledger_that_has_lost_its_beginning_says_so(novix, log, monkeypatch):
    known(log, serving())
    settled(log, entry("acme", "1", 1))
    real = type(log.reader()).bounds

    async def later(self: Any, topic: str, partition: int) -> tuple[int, int]:
        first, end = await real(self, topic, partition)
        return (max(first, 1), end + 1) if topic == LEDGER.name else (first, end)

    monkeypatch.setattr(type(log.reader()), "bounds", later)
    settled(log, entry("acme", "2", 1))
    done = novix("endpoints", "costs", "acme/small", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["whole_ledger"] is False
    assert "lost its oldest" in done.stderr


def test_what_calls_were_like_is_shown_and_what_was_not_measured_is_none(novix, log):
    known(log, serving(measured={"attempts": 4, "succeeded": 3, "call_ms": 600}))
    told = json.loads(novix("endpoints", "show", "acme/small", "--json").stdout)["metrics"]
    assert told == {"latency_ms": 200, "throughput_per_hour": 1.5, "availability": 0.75, "cost_nanousd": 1_000}
    known(log, state_of("pending"))
    told = json.loads(novix("endpoints", "show", "acme/small", "--json").stdout)["metrics"]
    assert told == dict.fromkeys(("latency_ms", "throughput_per_hour", "availability", "cost_nanousd"))


def ordered(log: Any) -> EndpointCommand:
    return EndpointCommand.model_validate_json(log.records[(ENDPOINT_COMMANDS.name, 0)][-1].value)


def test_whom_it_is_for_what_its_container_gets_and_whether_its_logs_are_counted_stand_in_the_order(novix, log):
    told = ("--model", MODEL, "--task", "text-generation", "--instance", "nvidia-l4/x1", "--wait", "0")
    more = ("--only-for", "acme", "--only-for", "beta", "--env", "MAX_INPUT=2048", "--env", "A=b=c", "--count-logs")
    assert novix("endpoints", "create", "acme/small", *told, *more).exit_code == 0
    spec = ordered(log).spec
    assert spec is not None
    assert (spec.tenants, spec.custom.env) == (("acme", "beta"), {"MAX_INPUT": "2048", "A": "b=c"})
    assert spec.monitoring.logs

    known(log, state_of("running", spec))
    update = ("endpoints", "update", "acme/small", "--wait", "0")
    novix(*update, "--only-for", "*", "--env", "A=d", "--no-count-logs")
    changed = ordered(log).spec
    assert changed is not None
    assert (changed.tenants, changed.custom.env) == ((), {"MAX_INPUT": "2048", "A": "d"})
    assert (changed.monitoring.logs, changed.monitoring.metrics) == (False, True)
    assert changed.custom.image == spec.custom.image
    novix(*update, "--max-replicas", "2")
    kept = ordered(log).spec
    assert kept is not None
    assert (kept.tenants, kept.custom, kept.monitoring) == (spec.tenants, spec.custom, spec.monitoring)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--env", "no-equals"), "write NAME=VALUE"),
        (("--env", "=x"), "write NAME=VALUE"),
        (("--env", "HF_TOKEN=abc"), "looks like a secret"),
        (("--only-for", "a/b"), "tenants"),
        (("--only-for", ""), "tenants"),
    ],
)
def test_what_cannot_be_in_a_spec_is_refused_before_it_is_published(novix, log, more: tuple[str, ...], words: str):
    told = ("--model", MODEL, "--task", "text-generation", "--instance", "nvidia-l4/x1", "--wait", "0")
    done = novix("endpoints", "create", "acme/small", *told, *more)
    assert done.exit_code == 2
    assert words in done.output
    assert (ENDPOINT_COMMANDS.name, 0) not in log.records
