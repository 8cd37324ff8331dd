"""A provider that does its worst, and one worker process: each call ends typed and in time, and nothing else suffers.

All cases run at once against one worker, healthy jobs between them; the tests then look at what came of it.
"""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hostile import PREFIX, RETRY_AFTERS, VALID_BYTES, hostile
from hostile_run import (
    ANSWERS_MB,
    DEADLINE_S,
    HANGS,
    IN_FLIGHT,
    MEMORY_MB,
    PATIENT_S,
    PROMPT,
    Aftermath,
    peak_mb,
)
from proof import Proof, seed_of
from stranger import TOKEN, installation
from verdict import Verdict

from schemas.failure import FailureKind
from schemas.topics import DLQ, TEXT

BREAKER_RESET_S = 1
GRACE_S = 4.0
"""For a busy machine; a call that nothing bounds would take for ever."""
K = FailureKind

CUT = {K.CONNECTION_LOST}
SLOW = {K.TIMEOUT}
WRONG = {K.INVALID_OUTPUT}
HUGE = {K.RESPONSE_TOO_LARGE}
REFUSED = {K.NOT_FOUND}
CASES: dict[str, set[FailureKind]] = {
    "silent": SLOW,
    "drip-head": SLOW,
    "drip-status": SLOW,
    "drip-body": SLOW,
    "drip-1xx": SLOW,
    "storm-1xx": CUT,
    "half-close": CUT,
    "half-close-early": CUT,
    "fin": CUT,
    "reset": CUT,
    "reset-within": CUT,
    "length-more": CUT,
    "length-less": CUT | WRONG,
    "length-twice": CUT,
    "head-2mb": CUT,
    "heads-many": CUT,
    "garbage": CUT,
    "bomb-gzip": HUGE,
    "bomb-deflate": HUGE,
    "bomb-zstd": WRONG,
    "bomb-br": WRONG,
    "bomb-twice": WRONG,
    "length-5gb": HUGE,
    "endless": HUGE,
    "many-values": HUGE,
    "html": WRONG,
    "empty": WRONG,
    "error-inside": {K.PROVIDER_ERROR},
    "wrong-type": WRONG,
    "nan": WRONG,
    "nested": WRONG,
    "null": WRONG,
    "no-choices": WRONG,
    "redirect.metadata": REFUSED,
    "redirect.file": REFUSED,
    "redirect.elsewhere": REFUSED,
    "redirect.relative": REFUSED,
    "redirect.downgrade": REFUSED,
    "echo": {K.REQUEST_REFUSED},
    "unauthorized": {K.UNAUTHORIZED},
    "payment": {K.PAYMENT_REQUIRED},
}
STREAMED: dict[str, set[FailureKind]] = {
    "drip-sse": SLOW,
    "drip-words": SLOW,
    "endless-sse": HUGE,
    "endless-comments": HUGE,
    "endless-line": HUGE,
    "garbage-chunk": {K.STREAM_CUT, K.CONNECTION_LOST},
    "sse-cut": {K.STREAM_CUT},
    "sse-no-end": {K.STREAM_CUT},
    "sse-error": {K.PROVIDER_ERROR},
    "sse-garbage": WRONG,
}
STREAMED_WELL = ("sse-cut-usage", "sse-no-done")
LARGE = "valid-30mb"
"""Cut after its end: nothing of the answer is missing."""
ROWS: dict[int, tuple[str, ...]] = {
    29: HANGS,
    30: (
        "silent", "storm-1xx", "half-close", "half-close-early", "fin", "reset", "reset-within", "length-more",
        "length-less", "length-twice", "head-2mb", "heads-many", "garbage", "garbage-chunk", "sse-cut", "sse-no-end",
    ),
    31: (
        "bomb-gzip", "bomb-deflate", "bomb-zstd", "bomb-br", "bomb-twice", "length-5gb", "endless", "many-values",
        "endless-sse", "endless-comments", "endless-line",
    ),
    32: (
        "html", "empty", "error-inside", "wrong-type", "nan", "nested", "null", "no-choices", "sse-error",
        "sse-garbage",
    ),
    33: ("redirect.metadata", "redirect.file", "redirect.elsewhere", "redirect.relative", "redirect.downgrade"),
}  # fmt: skip
"""Which lies belong to which row of the fault matrix."""


@pytest.fixture(scope="module")
def running(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """A worker without a router: its jobs are written where a router would write them."""
    folder = tmp_path_factory.mktemp("hostile")
    with (
        hostile(party=IN_FLIGHT) as provider,
        installation(
            broker.bootstrap,
            folder,
            start=False,
            NOVIX_HF_ROUTER_URL=provider.url,
            NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT),
            NOVIX_MAX_IN_FLIGHT_BYTES=str(ANSWERS_MB * 1024 * 1024),
            NOVIX_MAX_RETRIES="1",
            NOVIX_BACKOFF_FACTOR_S="0.05",
            NOVIX_BACKOFF_MAX_S="2",
            NOVIX_READ_TIMEOUT_S="2",
            NOVIX_BREAKER_FAIL_MAX="3",
            NOVIX_BREAKER_WINDOW="0",
            NOVIX_BREAKER_RESET_S=str(BREAKER_RESET_S),
            NOVIX_BULKHEAD_SHARE="1",
            NOVIX_LEARN_LIMITS="false",
            NOVIX_RETRY_BUDGET="1000",
            NOVIX_LOG_LEVEL="debug",
            NOVIX_PROBE_S="0",
        ) as novix,
    ):
        novix.system.worker.start()
        running = Aftermath(novix, provider)
        running_of(running, "healthy.first")  # deadlines count from now: the lanes are open
        yield running


@pytest.fixture(scope="module")
def aftermath(running: Aftermath) -> Aftermath:
    """Every case once, and healthy jobs between them; nothing is on its way any more."""
    cases = [*((name, False) for name in (*CASES, LARGE)), *((name, True) for name in (*STREAMED, *STREAMED_WELL))]
    records = []
    for at, (name, stream) in enumerate(cases):
        records += [running.job(name, stream=stream), running.job(f"healthy.{at % 5}#{at}", stream=at % 2 == 1)]
    running.write(*records)
    running.until(*CASES, LARGE, *STREAMED, *STREAMED_WELL, *(f"healthy.{at % 5}#{at}" for at in range(len(cases))))
    return running


@pytest.mark.parametrize("name", [*CASES, *STREAMED])
def test_each_lie_ends_as_the_failure_that_it_is_and_within_its_deadline(aftermath: Aftermath, name: str):
    ends_as_it_is(aftermath, name)


@pytest.fixture(scope="module")
def verdict(aftermath: Aftermath) -> Verdict:
    """What the offline checker says once all lies have been told."""
    return aftermath.verdict()


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.row(row)) for row in ROWS])
def test_a_row_of_lies_leaves_nothing_for_the_checker_to_complain_of(
    aftermath: Aftermath, verdict: Verdict, proof: Proof, row: int
):
    told = Counter(aftermath.results[name]["error"]["kind"] for name in ROWS[row])
    proof.judged(verdict, jobs=len(ROWS[row]), note=", ".join(f"{count} {kind}" for kind, count in told.items()))

    assert not verdict.complaints, str(verdict)
    for name in ROWS[row]:
        ends_as_it_is(aftermath, name)
    assert aftermath.provider.strayed == []


def ends_as_it_is(aftermath: Aftermath, name: str) -> None:
    """Typed, tried, and in time."""
    expected, result = {**CASES, **STREAMED}[name], aftermath.results[name]

    assert result["status"] == "failed"
    assert result["error"]["kind"] in expected, result["error"]
    assert result["attempts"], "nothing was tried"
    for attempt in result["attempts"]:
        ended = datetime.fromisoformat(attempt["started_at"]) + timedelta(milliseconds=attempt["duration_ms"])
        span = DEADLINE_S if name in HANGS else PATIENT_S
        assert ended <= published(result) + timedelta(seconds=span + GRACE_S)


@pytest.mark.parametrize("name", STREAMED_WELL)
def test_a_stream_that_is_cut_after_its_end_is_a_whole_answer(aftermath: Aftermath, name: str):
    result = aftermath.results[name]

    assert result["status"] == "succeeded"
    assert result["output"]["choices"][0]["message"]["content"] == "Hello"
    assert result["usage"]["output_tokens"] == 2


def test_an_answer_of_thirty_megabytes_is_kept_in_the_store_and_the_result_names_it(aftermath: Aftermath):
    result = aftermath.results[LARGE]

    assert result["status"] == "succeeded"
    assert result["output"]["$ref"]["media_type"] == "application/json"
    assert result["output"]["$ref"]["bytes"] > VALID_BYTES
    assert len(json.dumps(result)) < 10_000


def test_a_call_that_hangs_is_ended_by_nothing_but_its_deadline_and_is_told_to_be_ambiguous(aftermath: Aftermath):
    for name in HANGS:
        assert any(attempt["ambiguous"] for attempt in aftermath.results[name]["attempts"])
        assert aftermath.results[name]["cost_nanousd"] > 0


def test_healthy_jobs_are_served_meanwhile_and_wait_for_none_of_the_others(aftermath: Aftermath):
    healthy = [at for at, name in enumerate(aftermath.order) if name.startswith("healthy")]
    hangs = [aftermath.order.index(name) for name in HANGS]

    assert {aftermath.results[aftermath.order[at]]["status"] for at in healthy} == {"succeeded"}
    assert max(healthy) < min(hangs)


@pytest.fixture(scope="module")
def storm(aftermath: Aftermath) -> list[dict[str, Any]]:
    """Hundreds of jobs whose deadline passes while they wait, connect, send or are answered."""
    dice = random.Random(seed_of(34))
    names = [f"{'silent' if at % 3 else 'healthy'}.storm#{at}" for at in range(300)]
    for start in range(0, len(names), 60):
        some = names[start : start + 60]
        aftermath.write(*(aftermath.job(one, timeout=timedelta(seconds=dice.uniform(0.005, 0.4))) for one in some))
    return list(aftermath.until(*names).values())


def test_a_storm_of_deadlines_cancels_calls_and_each_ends_in_its_one_result(storm: list[dict[str, Any]]):
    kinds = Counter(result["error"]["kind"] if result["error"] else "none" for result in storm)

    assert set(kinds) <= {"none", K.DEADLINE_PASSED, K.TIMEOUT, K.CONNECT_FAILED, K.BREAKER_OPEN}
    assert kinds[K.TIMEOUT] > 0, "some were cancelled in their call"


@pytest.mark.row(34)
def test_every_call_fits_into_the_pool_at_once_when_all_is_over(
    aftermath: Aftermath, storm: list[dict[str, Any]], proof: Proof
):
    """The server answers none of them before all of them are there."""
    names = [f"rendezvous.{at % 6}#{at}" for at in range(IN_FLIGHT)]
    aftermath.write(*(aftermath.job(name, timeout=timedelta(seconds=30)) for name in names))

    assert {result["status"] for result in aftermath.until(*names).values()} == {"succeeded"}
    assert aftermath.provider.arrived == IN_FLIGHT, "each was called once"
    judged(aftermath, proof, jobs=len(storm) + len(names))


def test_memory_stays_within_its_bound(aftermath: Aftermath):
    assert peak_mb(aftermath.novix.system.worker) < MEMORY_MB


def test_no_redirect_was_followed_and_the_token_reached_the_provider_alone(aftermath: Aftermath):
    assert aftermath.provider.strayed == []
    assert set(aftermath.provider.tokens) == {TOKEN}


def test_neither_token_nor_prompt_is_where_it_should_not_be(aftermath: Aftermath):
    assert aftermath.novix.leaks(TOKEN) == []
    assert aftermath.novix.leaks(PROMPT, besides=(TEXT.name, DLQ.name)) == []


def test_the_worker_lived_through_it_and_rebuilt_no_lane(aftermath: Aftermath):
    worker = aftermath.novix.system.worker
    assert worker.child is not None
    assert worker.child.poll() is None
    text = (aftermath.novix.folder / "worker.log").read_text()
    assert not [word for word in ("handler failed", "lane.rebuilt", "lane.stopped", "Traceback") if word in text]


@pytest.mark.row(25)
def test_a_refusal_with_a_hint_is_followed_as_far_as_it_is_to_be_believed(running: Aftermath, proof: Proof):
    """More than NOVIX_BACKOFF_MAX_S is not waited for; what is no hint leaves it to our own backoff."""
    results = running_of(running, *(f"retryafter.{name}" for name in RETRY_AFTERS if name != "storm"))
    too_long = {f"retryafter.{name}" for name in ("hour", "huge", "two-hours-as-date")}

    for name, result in results.items():
        kinds = [attempt["kind"] for attempt in result["attempts"]]
        if name in too_long:
            assert (result["status"], kinds) == ("failed", [K.RATE_LIMITED])
        else:
            assert (result["status"], kinds) == ("succeeded", [K.RATE_LIMITED, None])
    first, second = running.provider.at["retryafter.one"]
    assert second - first >= 1.0
    judged(running, proof, jobs=len(results))


@pytest.mark.row(25)
def test_a_storm_of_refusals_opens_no_breaker(running: Aftermath, proof: Proof):
    """Each of forty jobs is refused once; three failures that count would open it."""
    names = [f"retryafter.storm#{at}" for at in range(40)]
    results = running_of(running, *names)

    assert {result["status"] for result in results.values()} == {"succeeded"}
    kinds = {attempt["kind"] for result in results.values() for attempt in result["attempts"]}
    assert kinds == {None, K.RATE_LIMITED}
    breakers = [found.json for found in running.novix.read("novix.breakers.v1") if found.value]
    stormed = [one for one in breakers if one["model"] == f"{PREFIX}retryafter.storm"]
    assert [one for one in stormed if one["state"] == "open"] == []
    judged(running, proof, jobs=len(results))


@pytest.mark.row(26)
def test_an_ill_provider_is_asked_by_one_trial_call_at_a_time_and_the_jobs_drain_when_it_heals(
    running: Aftermath, proof: Proof
):
    provider = running.provider
    for at in range(2):
        running_of(running, f"ill#first-{at}")  # one after another: two calls each, and the third opens the breaker
    names = [f"ill#{at}" for at in range(20)]
    running.write(*(running.job(name, timeout=timedelta(seconds=40)) for name in names))
    while provider.calls["ill"] < 6:
        time.sleep(0.05)
    provider.healed.set()
    healed_at = time.monotonic()
    results = running.until(*names)
    recovery_s = time.monotonic() - healed_at

    assert provider.ill_most_after_first == 1
    trials = provider.at["ill"][3:6]
    assert all(later - earlier > BREAKER_RESET_S * 0.9 for earlier, later in itertools.pairwise(trials))
    endings = Counter(result["status"] for result in results.values())
    assert endings["succeeded"] >= len(names) - 2, "who made the trial calls that failed"
    assert all(result["error"]["kind"] == K.OVERLOADED for result in results.values() if result["error"])
    judged(running, proof, jobs=len(results), recovery_s=recovery_s)


def judged(running: Aftermath, proof: Proof, *, jobs: int, recovery_s: float | None = None) -> None:
    """What the offline checker says of the whole run so far."""
    verdict = running.verdict()
    proof.judged(verdict, jobs=jobs, recovery_s=recovery_s)
    assert not verdict.complaints, str(verdict)


def running_of(running: Aftermath, *names: str) -> dict[str, dict[str, Any]]:
    running.write(*(running.job(name, timeout=timedelta(seconds=20)) for name in names))
    return running.until(*names)


def published(result: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(result["received"]["timestamp_ms"] / 1000, UTC)
