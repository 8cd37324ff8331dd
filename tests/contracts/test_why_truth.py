"""`novix why` is true to the records: whatever it tells was written, about this job, this submission, in its time."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from console_world import Story, ms
from pages_world import pages_world
from why_ends import ENDS, FOLDER, read
from why_records import Written, comparable

from console.pages.render import job_url
from console.telling import tell_from_index
from console.telling.advice import next_steps, tightest
from console.telling.evidence import Deed, Entry, Evidence, Parked, Spell, as_json, milliseconds, until_of
from console.telling.gather import find
from console.telling.story import slowest, tell
from schemas import codec, headers
from schemas.alerts import Alert
from schemas.breakers import BreakerState
from schemas.topics import ALERTS, BREAKERS, JOBS


def evidence(end: str) -> Evidence:
    return read((FOLDER / f"{end}.json").read_text())


TOLD = [
    {"tenant": "acme", "subject": "acme/month", "state": "firing", "message": "most of it is spent"},
    {"tenant": None, "subject": "groq/lab/PROVIDER", "state": "firing", "message": "its breaker is open"},
]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_gathered_is_what_was_written_of_the_job_and_nothing_of_its_neighbours(end: str):
    """Its records lie among others' in the same batches; breakers and alerts are told of later times as well."""
    wanted = evidence(end)
    wanted.alerts = [
        {**one, "tenant": one["tenant"] and wanted.tenant, "subject": one["subject"].replace("PROVIDER", model)}
        for model in [str((wanted.decisions[0].get("candidates") or wanted.decisions[0]["exclusions"])[0]["model"])[4:]]
        for one in (TOLD if end not in ("budget_refused", "price_unknown") else TOLD[:1])
    ]

    found = asyncio.run(find(Written(wanted).log(), wanted.tenant, wanted.job_id))

    assert found is not None
    told, expected = comparable(found), comparable(wanted)
    for name in expected:
        assert told[name] == expected[name], name
    assert tell(found) == tell(wanted)


def test_the_json_form_has_these_fields_and_no_output():
    """Scripts read it: a field may come, none may go."""
    told = as_json(evidence("invalid_output"))

    assert set(told) >= {
        "tenant", "job_id", "arrival", "decisions", "results", "dead_letters", "deeds", "ledger", "spells", "parked",
        "breakers", "alerts", "wishes", "places", "written_ms", "cut",
    }  # fmt: skip
    assert set(told["arrival"]) == {"partition", "offset", "timestamp_ms", "size_bytes", "job"}
    assert set(told["ledger"][0]) >= {"kind", "nanousd", "ambiguous_nanousd", "submission", "by"}
    assert not {"output", "input"} & {*told["results"][0], *told["arrival"]["job"]}


# Which submission, which wait, whose money


def twice() -> Evidence:
    """A dead letter that was driven again, and then succeeded for another price."""
    found, good = evidence("dead_letter"), evidence("succeeded")
    found.decisions.append({**found.decisions[0], "submission": 2, "complexity": 0.77})
    attempts = [{**good.results[0]["attempts"][0], "submission": 2}]
    found.results.append({**good.results[0], "submission": 2, "attempts": attempts, "cost_nanousd": 77_000})
    found.ledger.append(Entry(0, 99, "settle", 77_000, 0, submission=2))
    return found


def test_the_newest_submission_is_told_with_its_own_decision_money_and_next_step():
    lines = tell(twice())
    text = "\n".join(lines)

    assert [line for line in lines if line.startswith("ledger ")] == [
        "ledger     settled $0.000077: partition 0, offset 99"
    ]
    assert "complexity 0.77" in text
    assert "before     submission 1: failed (request_refused)" in text
    assert "nothing. The answer: novix results --job dead-letter" in text


def test_the_newest_wish_and_the_newest_wait_of_an_open_job_are_told():
    found = evidence("retried")
    found.results, found.wishes = [], [{"by": "the first"}, {"by": "the second"}]
    found.deeds = [deed for deed in found.deeds if deed.action in ("job.assigned", "job.postponed")]
    found.parked = [Parked("inference.retry.5s.v1", 0, at, 0, at * 1_000, "overloaded") for at in (1, 2)]

    text = "\n".join(tell(found))

    assert "the second" in text
    assert "the first" not in text
    assert "next       wait: it goes back to its workers at 1970-01-01 00:00:02.000 UTC" in text


def test_a_job_that_came_back_from_its_retry_topic_does_not_wait_there_any_more():
    found = evidence("retried")
    found.results = []
    assert found.deeds[-1].action != "job.postponed"

    assert "none yet: it waits for a worker, or is being worked on" in "\n".join(tell(found))


def test_the_budget_to_raise_is_the_one_with_the_least_left():
    rows = [
        ["wide", "2026-11", 900, 0, 0, True],
        ["tight", "2026-11", 500, 400, 90, True],
        ["soft", "x", 1, 1, 0, False],
    ]

    assert tightest({"held": {"purse": rows}}) == "tight"


def test_a_gated_model_is_the_one_that_was_asked_last():
    found = evidence("gated_model")
    first = found.results[0]["attempts"][0]
    found.results[0]["attempts"] = [{**first, "model": "lab/open"}, {**first, "model": "lab/gated"}]

    assert next_steps(found)[0].endswith("https://huggingface.co/lab/gated")


def test_a_ceiling_that_is_too_low_is_told_with_one_that_is_high_enough():
    found = evidence("price_unknown")
    message = "max_cost_nanousd is 1; the cheapest of 2 offers, m at p, needs a ceiling of 4160 nano-dollars"
    found.decisions[0]["message"] = message
    found.results[0]["error"] = {"kind": "price_ceiling", "message": message}

    assert next_steps(found)[0].endswith("with a max_cost_nanousd of at least 4160")


@pytest.mark.parametrize("told", ["money", "attempts"])
def test_what_may_not_have_been_charged_is_never_told_as_paid_for_certain(told: str):
    """Whichever of the two says it."""
    found = evidence("cancelled")
    if told == "money":
        found.results[0]["attempts"] = []
    else:
        del found.results[0]["money"]

    lines = tell(found)

    assert "cancelled, at most $0.001776" in lines[0]
    assert any(line.startswith("cost       at most $0.001776") for line in lines)


def spent(total: int, /, **timing: int) -> Evidence:
    """A job of the given times, published and ended by our clocks."""
    found = evidence("succeeded")
    ended = milliseconds(found.results[0]["completed_at"])
    assert ended is not None
    found.results[0] |= {"timing_ms": {"total": total, **timing}, "attempts": [], "received": {}}
    found.spells, found.deeds = [], []
    return found


def wait(found: Evidence, name: str, length: int, *, before: int = 0) -> None:
    """A wait that ended so long before the job did."""
    ended = milliseconds(found.results[0]["completed_at"])
    assert ended is not None
    found.spells.append(Spell(f"wait {name}", ended - before - length, ended - before))


def test_most_of_the_time_is_named_by_the_wait_that_took_it():
    found = spent(1_000, queued=100, waiting=850, calling=50)
    wait(found, "slot", 250, before=700)
    wait(found, "retry", 600)
    wait(found, "slot", 50_000, before=90_000)  # of another submission

    assert slowest(found, 1) == (
        "most of it, 600 ms, waiting for the next attempt: the provider's Retry-After, else a backoff"
    )
    waited = [line for line in tell(found) if line.startswith("waited ")]
    assert [line.split()[1] for line in waited] == ["600", "250"]


@pytest.mark.parametrize(
    ("total", "timing", "waits"),
    [
        (1_000, {"queued": 400, "routed": 300, "calling": 300}, {}),
        (999, {"queued": 999}, {}),
        (1_000, {"waiting": 900, "calling": 100}, {"slot": 450, "retry": 450}),
    ],
)
def test_nothing_took_most_of_a_time_that_was_short_or_shared(
    total: int, timing: dict[str, int], waits: dict[str, int]
):
    found = spent(total, **timing)
    for name, length in waits.items():
        wait(found, name, length)

    assert slowest(found, 1) is None


def test_a_rest_in_retry_topics_lasts_from_where_it_left_until_it_is_back():
    """Postponed, postponed once more by the first tier's lane into the next, returned: one way of 5 s."""
    found = spent(6_000, waiting=5_000)
    told = [
        (0, "job.postponed", {"tier": "a"}),
        (3_000, "job.postponed", {"tier": "b"}),
        (5_000, "job.returned", {"from": "b"}),
    ]
    found.deeds = [Deed(at, action, detail, "lane", 1, 0, 0, 1) for at, action, detail in told]

    assert any("5.00 s in b (1 time" in line for line in tell(found))


def test_a_time_that_is_not_over_has_no_end():
    assert until_of([(1, 5), (2, None)]) is None
    assert until_of([(1, 5), (2, 9)]) == 9


# The explorer's page


def test_the_page_of_a_job_tells_what_its_record_asked_and_what_was_told_around_it(tmp_path: Path):
    story = Story(status="failed")
    began = ms(story.began)
    job = {**story.job, "priority": "high", "key_id": "ci", "provider": "groq"}
    breaker = BreakerState(provider="hf-inference", model="org/small", state="open", failures=5,
                           because="5 failures in a row", at=story.began, by="w")  # fmt: skip
    alerts = [
        Alert(alert_id=str(at), rule="r", on="breaker", subject="hf-inference/org/small", value=1, threshold=1,
              unit="x", message=f"told {at}", at=story.began + timedelta(milliseconds=at))
        for at in (-60_200, -60_000, 60_000, 120_000)
    ]  # fmt: skip
    with pages_world(tmp_path) as world:
        world.records(
            (JOBS.name, story.home, story.offset, began, codec.encode(job)),
            (BREAKERS.name, 0, 1, began + 500, breaker.encode(), b"hf-inference/org/small"),
            *((ALERTS.name, 0, at, ms(one.at), one.encode()) for at, one in enumerate(alerts)),
            *(one for one in story.records if one[0] != JOBS.name),
        )
        text = world.client.get(job_url(story.tenant, story.job_id)).text

    assert "breaker    of org/small at hf-inference, then open" in text
    assert "priority high, key ci" in text
    assert "told -60000" in text
    assert "told 60000" in text
    assert "told -60200" not in text
    assert "told 120000" not in text


def test_the_index_tells_where_an_open_job_waits_and_each_end_of_its_money_once():
    found = evidence("retried")
    assert found.arrival is not None
    decision = found.decisions[0]
    job = {"tenant": "acme", "job_id": "retried", "submission": 1, "decision": decision, "result": None,
           "partition": 0, "offset": 2, "published_ms": found.arrival.timestamp_ms}  # fmt: skip
    parked = {"what": "retry", "topic": "inference.retry.60s.v1", "partition": 2, "offset": 9, "submission": 1,
              "headers": [[headers.NOT_BEFORE, "5000"], [headers.CAUSE, "overloaded"]]}  # fmt: skip
    end = {"kind": "settle", "nanousd": 7, "partition": 0, "offset": 1, "submission": 1, "counted": True}

    waits = tell_from_index([job], records=[parked])
    ended = tell_from_index([{**job, "result": found.results[0]}], money=[end, {**end, "offset": 2, "counted": False}])

    told = "waits in inference.retry.60s.v1 partition 2, offset 9 until 1970-01-01 00:00:05.000 UTC (overloaded)"
    assert told in " ".join(" ".join(waits).split())
    assert [line for line in ended if line.startswith("ledger ")] == [
        "ledger     settled $0.000000007: partition 0, offset 1"
    ]
