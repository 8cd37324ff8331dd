"""The whole way on a real broker, as a stranger sees it: plain producers in, a plain read_committed consumer out."""

import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from stranger import TOKEN, Stranger, encoded
from system import PARTITIONS, chat

from schemas import headers
from schemas.topics import DLQ, JOBS, RESULTS, TEXT

SICK = "openai/gpt-oss-20b"
SLOW = "Qwen/Qwen3-32B"
STALLED = "google/gemma-4-31B-it"
QUOTING = "zai-org/GLM-4.7"
RESTING = "meta-llama/Llama-3.3-70B-Instruct"
CANARY = "the-canary-sings-at-dawn-in-the-mine"
IN_FLIGHT = 4


def behave(novix: Stranger, model: str, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": model, **how})


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


# Publishing, however it is done


@pytest.mark.parametrize(
    ("key", "partitioner"),
    [(b"", "random"), (b"0", "murmur2_random"), (b"whatever", "consistent_random"), (None, "fnv1a_random")],
    ids=["no key", "a key of the producer's own", "librdkafka's default partitioner", "another partitioner"],
)
def test_a_job_is_served_once_wherever_its_producer_put_it(novix: Stranger, tenant: str, key, partitioner):
    jobs = [chat(f"spread-{number}", tenant) for number in range(12)]
    if key == b"":
        places = novix.write([(None, encoded(job), []) for job in jobs], partitioner)
    else:
        places = novix.publish(*jobs, key=key, partitioner=partitioner)
    results = novix.results_of(tenant)

    assert Counter(result["job_id"] for result in results) == Counter(job["id"] for job in jobs)
    assert {result["status"] for result in results} == {"succeeded"}
    received = {result["job_id"]: (result["received"]["partition"], result["received"]["offset"]) for result in results}
    assert received == dict(zip((job["id"] for job in jobs), places, strict=True))


def test_a_job_away_from_home_is_forwarded_once(novix: Stranger, tenant: str):
    away = (novix.home(tenant) + 1) % PARTITIONS
    [place] = novix.write([(None, encoded(chat("away", tenant)), [("mine", b"kept")])], partition=away)
    result = novix.result("away", tenant)
    novix.quiet()

    copies = [record for record in novix.read(JOBS.name) if f'"{tenant}"'.encode() in (record.value or b"")]
    assert [record.partition for record in sorted(copies, key=lambda one: one.header("novix-origin") or "")] == [
        away,
        novix.home(tenant),
    ]
    forwarded = next(record for record in copies if record.partition != away)
    assert forwarded.header("mine") == "kept"
    assert (result["received"]["partition"], result["received"]["offset"]) == place
    assert result["received"]["topic"] == JOBS.name


def test_the_three_required_fields_are_enough(novix: Stranger):
    job = {
        "id": uuid.uuid4().hex,
        "task": "chat-completion",
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
    }
    novix.write([(None, encoded(job), [])])

    result = novix.result(job["id"], "default")

    assert result["status"] == "succeeded", result
    assert result["asked"] == {"model": "auto", "provider": "auto"}
    assert result["served"]["model"]
    assert result["cost_source"] == "computed"
    assert result["cost_nanousd"] > 0


def test_a_result_carries_all_that_the_contract_names(novix: Stranger, tenant: str):
    result = novix.run(chat("whole", tenant, provider="auto", metadata={"team": "search"}))
    record = next(found for found in novix.read(RESULTS.name) if found.key == f"{tenant}/whole".encode())

    assert set(result) >= {
        "job_id", "tenant", "submission", "status", "task", "output", "error", "asked", "served", "adapted", "usage",
        "cost_nanousd", "cost_source", "attempts", "timing_ms", "received", "decision_id", "trace_id", "completed_at",
    }  # fmt: skip
    assert result["output"]["choices"][0]["message"]["content"].startswith("stub")
    # 8 + 18 // 4 prompt tokens and 12 of output, at 50 and 100 nano-dollars a token.
    assert result["usage"] == {"input_tokens": 12, "output_tokens": 12}
    assert result["cost_nanousd"] == 12 * 50 + 12 * 100
    assert record.header(headers.IDENTITY) == f"{tenant}/whole/1"
    assert (record.header(headers.TRACEPARENT) or "").split("-")[1] == result["trace_id"]
    assert datetime.fromisoformat(result["completed_at"]).tzinfo is not None


# Identity


def test_two_tenants_may_use_the_same_id(novix: Stranger, tenant: str):
    jobs = [chat("same", tenant), chat("same", tenant + "-b")]
    novix.publish(*jobs)

    assert [len(novix.results_of(one["tenant"])) for one in jobs] == [1, 1]


def test_the_same_id_again_gives_one_result_and_one_call(novix: Stranger, tenant: str):
    job = chat("twice", tenant)
    again = dict(reversed(job.items()))  # the same content in another order
    novix.publish(job, job)
    novix.publish(again)
    novix.write([(None, json.dumps(job, indent=2).encode(), [])], partition=(novix.home(tenant) + 1) % PARTITIONS)

    assert [result["submission"] for result in novix.results_of(tenant)] == [1]
    assert novix.system.calls()[f"{tenant}/twice"] == 1


def test_the_same_id_with_other_content_is_a_dead_letter(novix: Stranger, tenant: str):
    first, other = chat("reused", tenant), chat("reused", tenant, text="Something else.")
    novix.publish(first)
    [(partition, offset)] = novix.publish(other)

    assert [result["status"] for result in novix.results_of(tenant)] == ["succeeded"]
    [letter] = [found for found in novix.letters_of("reused") if tenant.encode() in (found.value or b"")]
    assert letter.value == encoded(other)
    assert letter.key == tenant.encode()
    assert (letter.header("__dlq.errors.message") or "").startswith("conflict")
    assert letter.header("__dlq.errors.topic") == JOBS.name
    assert letter.header("__dlq.errors.partition") == str(partition)
    assert letter.header("__dlq.errors.offset") == str(offset)
    assert letter.header("novix.has_result") is None


def test_a_rejected_id_may_be_sent_again(novix: Stranger, tenant: str):
    refused = novix.run(chat("mended", tenant, max_cost_nanousd=1))
    novix.publish(chat("mended", tenant))
    mended = novix.result("mended", tenant, submission=2)

    assert (refused["status"], refused["error"]["kind"], refused["submission"]) == ("rejected", "price_ceiling", 1)
    assert mended["status"] == "succeeded"
    assert Counter(result["submission"] for result in novix.results_of(tenant)) == {1: 1, 2: 1}


# Deadline and price


def test_a_deadline_that_has_passed_costs_no_call(novix: Stranger, tenant: str):
    result = novix.run(chat("late", tenant, deadline=soon(-1)))

    assert (result["status"], result["error"]["kind"]) == ("expired", "deadline_passed")
    assert result["cost_nanousd"] == 0
    assert novix.system.calls()[f"{tenant}/late"] == 0


def test_a_deadline_ends_the_retries(novix: Stranger, tenant: str):
    behave(novix, RESTING, status=503, headers={"retry-after": "30"})
    result = novix.run(chat("hurry", tenant, model=RESTING, timeout_s=2))

    assert (result["status"], result["error"]["kind"]) == ("failed", "overloaded")
    assert novix.system.calls()[f"{tenant}/hurry"] == 1
    assert result["timing_ms"]["total"] < 30_000


def test_a_price_ceiling_refuses_before_any_call_and_names_the_price_it_would_take(novix: Stranger, tenant: str):
    result = novix.run(chat("dear", tenant, max_cost_nanousd=100))

    assert (result["status"], result["error"]["kind"]) == ("rejected", "price_ceiling")
    assert "100" in result["error"]["message"]
    assert novix.system.calls()[f"{tenant}/dear"] == 0
    # 16 tokens of output and the prompt: the job says how many it wants, so all of them must be paid for.
    needed = int(result["error"]["message"].split(" needs ")[1].split(" ")[0])
    assert novix.run(chat("dear-2", tenant, max_cost_nanousd=needed))["status"] == "succeeded"
    assert novix.run(chat("dear-3", tenant, max_cost_nanousd=needed - 1))["status"] == "rejected"


# A provider that fails


def test_retry_after_is_believed(novix: Stranger, tenant: str):
    behave(novix, SICK, fail_first=1, fail_status=429, fail_headers={"retry-after": "2"})
    result = novix.run(chat("throttled", tenant, model=SICK, provider="groq"))

    assert result["status"] == "succeeded"
    first, second = result["attempts"]
    assert (first["kind"], first["upstream_status"], first["cost_nanousd"]) == ("rate_limited", 429, 0)
    assert second["waited_ms"] >= 2_000
    assert result["cost_nanousd"] == second["cost_nanousd"] > 0


def test_a_provider_that_always_fails_is_called_six_times(novix: Stranger, tenant: str):
    behave(novix, SICK, status=503)
    result = novix.run(chat("doomed", tenant, model=SICK, provider="groq"))

    assert (result["status"], result["error"]["kind"]) == ("failed", "overloaded")
    assert result["error"]["retryable"] is True
    assert result["error"]["upstream_status"] == 503
    assert [attempt["attempt"] for attempt in result["attempts"]] == [1, 2, 3, 4, 5, 6]
    assert novix.system.calls()[f"{tenant}/doomed"] == 6
    assert [one["status"] for one in novix.results_of(tenant)] == ["failed"]
    [letter] = [found for found in novix.read(DLQ.name) if f'"{tenant}"'.encode() in (found.value or b"")]
    assert letter.header("novix.has_result") == "true"
    assert letter.header("__dlq.errors.topic") == TEXT.name
    assert json.loads(letter.value or b"")["job"]["id"] == "doomed"


def test_a_refused_request_is_called_once(novix: Stranger, tenant: str):
    behave(novix, SICK, status=400)
    result = novix.run(chat("refused", tenant, model=SICK, provider="groq"))

    assert (result["status"], result["error"]["kind"]) == ("failed", "request_refused")
    assert novix.system.calls()[f"{tenant}/refused"] == 1


def test_a_provider_that_stalls_is_a_timeout_that_may_have_been_charged(novix: Stranger, tenant: str):
    behave(novix, STALLED, stall=True)
    result = novix.run(chat("stalled", tenant, model=STALLED, timeout_s=3))

    assert result["attempts"][0]["kind"] == "timeout"
    assert result["attempts"][0]["ambiguous"] is True
    assert 1_000 <= result["attempts"][0]["duration_ms"] < 3_000
    assert result["cost_nanousd"] == sum(attempt["cost_nanousd"] for attempt in result["attempts"]) > 0
    assert result["cost_source"] == "estimated"


def test_a_stalled_call_delays_no_other_job_of_its_partition(novix: Stranger, tenant: str):
    behave(novix, STALLED, stall=True)
    novix.publish(
        chat("hangs", tenant, model=STALLED, timeout_s=4), *(chat(f"quick-{number}", tenant) for number in range(10))
    )
    results = novix.until(
        lambda all_of_them: sum((one.key or b"").startswith(tenant.encode()) for one in all_of_them) >= 11
    )

    mine = [found.json["job_id"] for found in results if (found.key or b"").startswith(tenant.encode())]
    assert mine[-1] == "hangs"


def test_no_more_calls_are_in_flight_than_the_setting_allows(novix: Stranger, tenant: str):
    novix.quiet()
    novix.system.stub("/admin/reset", {})
    behave(novix, SLOW, delay_ms=60)
    novix.publish(*(chat(f"slow-{number}", tenant, model=SLOW) for number in range(40)))

    assert len(novix.results_of(tenant)) == 40
    assert novix.system.stub("/admin/stats")["most_in_flight"] == IN_FLIGHT


def test_a_provider_that_quotes_prompt_and_token_makes_neither_travel(novix: Stranger, tenant: str):
    """The prompt is on the topics that carry the job itself, and nowhere else; the token is nowhere."""
    behave(novix, QUOTING, status=400, echo=True)
    result = novix.run(chat("quoted", tenant, text=CANARY, model=QUOTING))
    novix.run(chat("quoted-2", tenant, text=CANARY))
    novix.run(chat("quoted-3", tenant, text=CANARY, timeout_s="soon"))

    assert result["error"]["upstream_status"] == 400
    assert TOKEN in novix.system.stub("/admin/tokens")
    assert novix.leaks(CANARY, besides=(JOBS.name, TEXT.name, DLQ.name)) == []
    assert novix.leaks(TOKEN) == []


def test_a_new_token_in_the_file_is_used_without_a_restart(novix: Stranger, tenant: str):
    novix.run(chat("before", tenant))
    fresh = f"hf_{uuid.uuid4().hex}"
    (novix.folder / "token").write_text(fresh + "\n")
    try:
        for number in range(100):  # it is looked at from time to time, not at each call
            novix.run(chat(f"after-{number}", tenant))
            if fresh in novix.system.stub("/admin/tokens"):
                break
        assert novix.system.stub("/admin/tokens")[-1] == fresh
    finally:
        (novix.folder / "token").write_text(TOKEN)


# Streaming


def test_a_streamed_chat_is_put_together_and_its_first_token_is_timed(novix: Stranger, tenant: str):
    behave(novix, SLOW, delay_ms=200)
    job = chat("streamed", tenant, model=SLOW)
    job["input"]["stream"] = True
    result = novix.run(job)

    assert result["status"] == "succeeded", result
    assert result["output"]["choices"][0]["message"]["content"] == "stub " * 12
    assert result["output"]["choices"][0]["finish_reason"] == "stop"
    assert result["usage"]["output_tokens"] == 12
    assert result["cost_source"] == "computed"
    assert result["timing_ms"]["first_token"] <= result["timing_ms"]["calling"] - 100
