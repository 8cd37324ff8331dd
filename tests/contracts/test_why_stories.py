"""Golden stories: what `novix why` tells of jobs that a real installation brought to their ends.

Evidence and texts lie under data/why; tests/support/why_ends.py says how they are made.
"""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from console_world import NOON, MemoryLog, MemoryReader, Story, ms
from why_ends import ENDS, FOLDER, read

from console.telling import tell_from_index
from console.telling.aloud import aloud
from console.telling.evidence import Arrival, DeadLetter, Evidence, as_json, milliseconds
from console.telling.gather import EVERYTHING, Gathering, find
from console.telling.indexed import time_of
from console.telling.reach import Reach
from console.telling.screenful import MOST_LINES, WIDTH
from console.telling.story import tell
from runtime.ports import Outgoing
from schemas import codec, headers
from schemas.audit import AuditBatch, AuditEntry
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.topics import AUDIT, DECISIONS, DLQ, JOBS, LEDGER, RESULTS

EACH = pytest.mark.parametrize("end", ENDS)
ROUTER_LANE = "novix-router.inference.jobs.v1."


def evidence(end: str) -> Evidence:
    return read((FOLDER / f"{end}.json").read_text())


@EACH
def test_each_end_is_told_word_for_word_as_it_was_agreed(end: str):
    assert "\n".join(tell(evidence(end))) + "\n" == (FOLDER / f"{end}.txt").read_text()


@EACH
def test_every_story_fits_one_screen_and_says_what_to_do_next_and_how_to_prove_it(end: str):
    lines = tell(evidence(end))

    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.startswith("next ") for line in lines) == 1
    assert any("novix audit prove " in line for line in lines)
    assert any(line.startswith("cost ") for line in lines)


def test_no_file_of_an_end_holds_a_prompt_an_output_or_the_name_of_a_machine():
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert "What do bees make?" not in text
        assert "stub stub" not in text
        assert "hf_canary" not in text


# The explorer's index tells the same


def index_rows(end: str) -> dict[str, Any]:
    """What the explorer's index answers for an end, from the same evidence."""
    found = evidence(end)
    assert found.arrival is not None
    jobs = [
        {
            "tenant": found.tenant, "job_id": found.job_id, "submission": submission, "status": "any", "task": None,
            "asked_model": found.arrival.job.get("model"), "partition": found.arrival.partition,
            "offset": found.arrival.offset, "published_ms": found.arrival.timestamp_ms,
            "decision": found.decision(submission), "result": found.result(submission),
        }
        for submission in found.submissions
    ]  # fmt: skip
    named = ("provider", "priority", "timeout_s", "key_id", "team")
    asked = {name: found.arrival.job[name] for name in named if name in found.arrival.job}
    records = [
        {
            "what": "job", "asked": asked, "topic": JOBS.name, "partition": found.arrival.partition,
            "offset": found.arrival.offset,
            "timestamp_ms": found.arrival.timestamp_ms, "size_bytes": found.arrival.size_bytes, "headers": [],
        },
        *(
            {"what": "result", "submission": submission, "timestamp_ms": at, "headers": []}
            for submission, at in found.written_ms.items()
        ),
        *(
            {
                "what": "dead letter", "partition": one.partition, "offset": one.offset,
                "timestamp_ms": one.timestamp_ms,
                "headers": [
                    [headers.DLQ_MESSAGE, one.message], [headers.DLQ_TOPIC, one.from_topic],
                    *([[headers.HAS_RESULT, "1"]] if one.has_result else []),
                ],
            }
            for one in found.dead_letters
        ),
    ]  # fmt: skip
    money = [
        {"kind": kind, "nanousd": amount, "partition": one.partition, "offset": one.offset, "counted": True,
         "submission": one.submission, "by": one.by}
        for one in found.ledger
        for kind, amount in (
            *((("settle", one.nanousd - one.ambiguous_nanousd),) if one.kind == "settle" else ()),
            *((("ambiguous", one.ambiguous_nanousd),) if one.ambiguous_nanousd else ()),
            ("release", 1_000),
        )
    ]  # fmt: skip
    spans = [
        {
            "name": one.name, "start_ns": round(one.start_ms * 1e6), "end_ns": round(one.end_ms * 1e6),
            "error": one.error, "attributes": one.attributes,
        }
        for one in found.spells
    ]  # fmt: skip
    audit = [
        {
            "at_ms": one.at_ms, "action": one.action, "lane": one.lane, "sequence": one.sequence, "hash": "",
            "partition": one.partition, "offset": one.offset, "detail": one.detail, "span_id": None,
        }
        for one in found.deeds
    ]  # fmt: skip
    return {
        "jobs": jobs, "money": money, "audit": audit, "records": records, "spans": spans, "breakers": found.breakers,
    }  # fmt: skip


@EACH
def test_the_page_tells_what_the_command_tells(end: str):
    rows = index_rows(end)

    assert tell_from_index(rows.pop("jobs"), **rows) == (FOLDER / f"{end}.txt").read_text().splitlines()


ALERT = {"state": "firing", "message": "told of it", "at": "2026-11-22T22:16:24Z"}
ABOUT = {
    "its tenant": ({"tenant": "acme", "subject": "acme/month"}, True),
    "its provider": ({"tenant": None, "subject": "groq/lab/invalid-output"}, True),
    "another tenant": ({"tenant": "other", "subject": "other/month"}, False),
    "another provider": ({"tenant": None, "subject": "groq/lab/succeeded"}, False),
}
SKEW_S = 60
"""How far clocks of different machines may be apart, for the stories."""


@pytest.mark.parametrize("about", ABOUT)
@pytest.mark.parametrize(
    ("beside", "seconds", "near"),
    [
        ("published", 1 - SKEW_S, True), ("ended", SKEW_S - 1, True), ("published", -2 * SKEW_S, False),
        ("ended", 10 * SKEW_S, False),
    ],
)  # fmt: skip
def test_the_index_tells_the_alerts_that_were_told_about_it_while_it_was_on_its_way(
    about: str, beside: str, seconds: int, near: bool
):
    found, rows, (alert, concerns) = evidence("invalid_output"), index_rows("invalid_output"), ABOUT[about]
    assert found.arrival is not None
    published, ended = found.arrival.timestamp_ms, milliseconds(found.results[0]["completed_at"])
    assert ended is not None
    told = {**ALERT, **alert, "at_ms": {"published": published, "ended": ended}[beside] + seconds * 1000}
    since, until = time_of(rows["jobs"])

    lines = tell_from_index(rows.pop("jobs"), **rows, alerts=[told], everything=True)

    assert any("told of it" in line for line in lines) == (concerns and near)
    assert (since <= told["at_ms"] <= until) == near


def test_the_index_leaves_a_breaker_out_that_has_changed_since():
    """It has the newest state alone, which says nothing of an earlier job."""
    rows = index_rows("breaker_open")
    later = [{**one, "state": "closed", "failures": 0, "at": "2100-01-01T00:00:00Z"} for one in rows.pop("breakers")]
    strange = [{"provider": "groq", "model": "lab/other", "state": "open", "at": "2026-11-22T22:16:19Z"}]

    lines = tell_from_index(rows.pop("jobs"), **rows, breakers=[*later, *strange])

    assert not [line for line in lines if line.startswith("breaker ")]


def test_a_job_that_the_index_does_not_know_has_no_lines():
    assert tell_from_index([]) == []


# What strangers write


HOSTILE = "\x1b]0;owned\x07\u202egnp.exe\nresult     succeeded\r\x9b31m\u2066<script>\ufeff\x00"


def hostile(value: Any, text: str) -> Any:
    """The same document with every text that is no instant and no name of ours replaced."""
    kept = {"kind", "status", "verdict", "state", "action", "reason", "decided_at", "completed_at", "started_at"}
    if isinstance(value, dict):
        return {name: one if name in kept else hostile(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, text) for one in value]
    return text if isinstance(value, str) else value


@EACH
@pytest.mark.parametrize("text", [HOSTILE, "\u202e" * 1_000_000, "A" * 1_000_000, "'; rm -rf / #", ""])
def test_hostile_words_stay_within_the_screen_and_move_no_cursor(end: str, text: str):
    found = evidence(end)
    found.decisions, found.results = hostile(found.decisions, text), hostile(found.results, text)
    found.breakers, found.alerts = hostile(found.breakers, text), [{"message": text, "state": text, "at": text}]
    found.tenant = found.job_id = text
    assert found.arrival is not None
    found.arrival = Arrival(0, 0, 0, 1, hostile(found.arrival.job, text))
    found.dead_letters = [DeadLetter(0, 0, 0, text, text, has_result=True)] * 20

    for lines in (tell(found), tell(found, everything=True)):
        assert all(line.isprintable() and len(line) <= WIDTH for line in lines)
    assert len(tell(found)) <= MOST_LINES
    assert all(line.isprintable() and len(line) < 100_000 for line in aloud(found))
    assert len(codec.encode(as_json(found))) < 1_000_000
    assert "\x1b" not in codec.encode(as_json(found)).decode()


@pytest.mark.parametrize("junk", [None, 7, "x", [], [7, None], {"a": 1}, True, -1, 1e300, "9" * 400])
def test_a_story_is_told_whatever_stands_in_the_fields(junk: Any):
    """Every field of decision and result in turn is something else: a story all the same."""
    for end in ("invalid_output", "budget_refused"):
        whole = evidence(end)
        for at, told in enumerate((whole.decisions[0], whole.results[0])):
            for name in told:
                if name == "submission":
                    continue
                found = evidence(end)
                (found.decisions if at == 0 else found.results)[0] = {**told, name: junk}
                assert len(tell(found)) <= MOST_LINES, name


def test_long_lists_are_cut_and_say_with_which_command_they_are_whole():
    found = evidence("invalid_output")
    attempts = found.results[0]["attempts"]
    found.results[0]["attempts"] = [{**attempts[0], "attempt": number} for number in range(1, 17)]

    short, whole = tell(found), tell(found, everything=True)

    assert len(short) <= MOST_LINES
    assert any(line.strip() == "and 12 more: novix why invalid-output --tenant acme --all" for line in short)
    assert sum(line.startswith("attempt ") for line in whole) == 16


# Little is read


class Counting(MemoryLog):
    """A log that counts the records it gives out, by topic."""

    def __init__(self) -> None:
        super().__init__()
        self.given: Counter[str] = Counter()

    def reader(self) -> "CountingReader":
        return CountingReader(self)


class CountingReader(MemoryReader):
    async def read(self, topic, partition, start, end):
        async for record in super().read(topic, partition, start, end):
            self.log.given[topic] += 1  # type: ignore[attr-defined]
            yield record


def busy(log: MemoryLog, others: int, story: Story, at: int) -> None:
    """`others` jobs a second apart, and the story's own one among them as the `at`-th."""
    for number in range(others):
        began = NOON + timedelta(seconds=number)
        name = story.job_id if number == at else f"other{number}"
        one = Story(job_id=name, began=began).write(log)
        log.append(Outgoing(RESULTS.name, f"default/{story.job_id}".encode() + b"x", b"{}", partition=0,
                            timestamp_ms=ms(began)))  # fmt: skip
        for topic, value in (
            (AUDIT, AuditBatch(lane=f"{ROUTER_LANE}{one.home}", sequence=number, previous="", hash="", entries=[
                AuditEntry(at=began, action="job.assigned", tenant="default", job_id=name, submission=1)])),
            (LEDGER, LedgerBatch(lane="x", entries=[LedgerEntry(
                kind="settle", tenant="default", job_id=name, submission=1, decision_id=f"d-{name}-1",
                reserved_nanousd=9, cost_nanousd=5, status="succeeded", at=began)])),
        ):  # fmt: skip
            key = f"{ROUTER_LANE}{one.home}".encode()
            partition = None if topic is AUDIT else one.home
            log.append(Outgoing(topic.name, key, value.encode(), partition=partition, timestamp_ms=ms(began) + 40))


def test_a_job_among_many_is_found_with_few_records_read_and_no_topic_read_whole():
    """Its neighbours within the clocks' skew are read, and from the end back to it; nothing before it."""
    log, others, at = Counting(), 1_500, 1_350
    busy(log, others, Story(), at)
    gathering = Gathering(Reach(log), "default", "a1")

    found = asyncio.run(gathering.all())

    assert found is not None
    assert (len(found.results), len(found.decisions), len(found.deeds), len(found.ledger)) == (1, 1, 1, 1)
    assert found.arrival is not None
    assert gathering.reach.records == log.given.total()
    for topic in (JOBS, DECISIONS, AUDIT, LEDGER):
        assert log.given[topic.name] <= 1_000, topic.name
    assert log.given[RESULTS.name] <= 1_000


def test_a_job_that_nobody_knows_ends_the_search_at_its_bound_and_a_wider_one_finds_it():
    log = MemoryLog()
    busy(log, 700, Story(), 3)

    assert asyncio.run(find(log, "default", "a1", look_back=50)) is None
    assert asyncio.run(find(log, "default", "a1", look_back=EVERYTHING)) is not None


def test_a_second_submission_that_has_not_ended_is_found_behind_many_others():
    log = MemoryLog()
    Story(status="rejected").write(log)
    again = Story(submission=2, began=NOON + timedelta(hours=1)).write(log)
    for key in [key for key in log.records if key[0] == RESULTS.name]:
        log.records[key] = [row for row in log.records[key] if b'"submission":2' not in (row.value or b"")]
    busy(log, 700, Story(job_id="b1", began=NOON + timedelta(hours=2)), 0)

    found = asyncio.run(find(log, "default", "a1"))

    assert found is not None
    assert found.submissions == [1, 2]
    assert "assigned, no result yet" in tell(found)[0]
    assert again.tenant == "default"


def test_a_dead_letter_of_late_is_told_beside_the_first_jobs_result():
    log = MemoryLog()
    Story().write(log)
    told = ((headers.IDENTITY, b"default/a1/1"), (headers.DLQ_MESSAGE, b"conflict: the id was used before"))
    log.append(Outgoing(DLQ.name, b"default", b"{}", told, timestamp_ms=ms(NOON) + 86_400_000))

    found = asyncio.run(find(log, "default", "a1"))

    assert found is not None
    assert "conflict: the id was used before" in "\n".join(tell(found))


def test_the_json_form_has_every_fact_but_neither_input_nor_output():
    log = MemoryLog()
    Story(prompt="my secret prompt").write(log)
    found = asyncio.run(find(log, "default", "a1"))
    assert found is not None

    told = json.dumps(as_json(found))

    assert "my secret prompt" not in told
    assert "Hello there." not in told
    assert '"task": "chat-completion"' in told
