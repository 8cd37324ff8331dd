"""`novix why`: finding a job in the topics and telling its story."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from console_world import NOON, MemoryLog, Story, ms

from console.telling.aloud import aloud
from console.telling.gather import find
from console.telling.story import tell
from runtime.ports import Outgoing
from schemas import codec, headers
from schemas.decision import BudgetHeld, DecisionBatch, Reserve
from schemas.result import Money
from schemas.topics import DECISIONS, DLQ, JOBS


def told(log, tenant="default", job_id="a1"):
    found = asyncio.run(find(log, tenant, job_id))
    return None if found is None else "\n".join(tell(found))


def joined(text):
    """A story's lines without their wrapping."""
    return text.replace("\n" + " " * 11, " ")


def test_a_finished_jobs_story_names_decision_attempts_waits_cost_and_trace():
    log = MemoryLog()
    placed = Story().write(log)

    text = told(log)

    for words in (
        "job        a1 of tenant default: succeeded, $0.000001234, 820 ms after publication",
        f"jobs partition {placed.home}, offset {placed.offset}",
        "policy brief/1, complexity 0.31",
        "1. org/small at hf-inference: expected $0.0000009, at most $0.000004 (price: novix-sandbox)",
        "org/large at auto: price_ceiling: at least 5,000",
        "max_tokens 64 (as the job itself asks), temperature 0.8",
        "820 ms: 15 ms until it was routed, 22 ms queued for the worker, 200 ms waiting, 540 ms in calls, 43 ms "
        "for the rest",
        "waited     200 ms for slot, breaker or next attempt",
        "1. org/small at hf-inference: rate_limited (429) after 40 ms, $0.00",
        "2. org/small at hf-inference: answered (200) after 500 ms, having waited 200 ms, $0.000001234, request req-2",
        "cost       $0.000001234 (usage times price), input_tokens 12, output_tokens 5",
        f"trace      {placed.trace.trace_id}",
    ):
        assert words in joined(text), words


def test_money_is_told_quoted_reserved_and_paid_with_who_priced_it_and_which_budgets_it_counts_against():
    log = MemoryLog()
    story = Story()
    budget = BudgetHeld(id="all", window="2026-11", limit_nanousd=9_000, spent_nanousd=1_000, reserved_nanousd=2_000)
    reserve = Reserve(nanousd=4_000, expected_nanousd=900, quoted_nanousd=1_500, budgets=[budget])
    versions = {"prices": "812"}
    decision = story.decision.model_copy(update={"reserve": reserve, "versions": versions})
    paid = Money(
        quoted_nanousd=1_500,
        reserved_nanousd=4_000,
        paid_nanousd=1_234,
        ambiguous_nanousd=34,
        priced_by="brief/1 prices@812",
    )
    result = story.result.model_copy(update={"money": paid})
    batch = DecisionBatch(lane="lane", decisions=[decision])
    log.append(replace(story.outgoing_decision, value=batch.encode()))
    log.append(replace(story.outgoing_result, value=result.encode()))

    text = told(log)

    for words in (
        "reserved   $0.000004, expected $0.0000009, quoted $0.0000015",
        "budget     all (hard) in 2026-11: of $0.000009, $0.000001 spent and $0.000002 reserved by others: $0.000006 "
        "left before this job",
        "model auto at provider auto",
        "quoted $0.0000015, reserved $0.000004, paid at most $0.000001234 ($0.0000012 for certain), $0.000002766 given "
        "back",
        "policy brief/1, complexity 0.31 of 1; 2026-11-22 12:00:00.020 UTC by the versions: prices 812",
    ):
        assert words in joined(text), text


def test_a_story_is_told_aloud_in_whole_sentences_without_prompt_or_output():
    log = MemoryLog()
    story = Story(prompt="my secret prompt")
    story.write(log)
    paid = Money(reserved_nanousd=4_000, paid_nanousd=1_234, ambiguous_nanousd=34)
    Story(submission=2, status="rejected", began=NOON + timedelta(seconds=9)).write(log)
    found = asyncio.run(find(log, "default", "a1"))
    found.results[0]["money"] = paid.model_dump()

    sentences = aloud(found)
    text = " ".join(sentences)

    assert all(sentence[0].isupper() or sentence.startswith(("org/", "$")) for sentence in sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
    for words in (
        "org/small at hf-inference answered, 820 ms after it was published.",
        "The producer of job a1 of tenant default published it last at 2026-11-22 12:00:09.000 UTC and leaves the",
        "Attempt 1, org/small at hf-inference, failed after 40 ms (rate limited).",
        "Attempt 2, org/small at hf-inference, was answered after 500 ms.",
        "It cost $0.000001234, reckoned from the usage that the provider reports and the price, of the $0.000004 that "
        "was reserved; $0.000002766 came back.",
        "Of that, $0.000000034 counts for calls that may have been paid although no answer came.",
        "It ended as rejected, 820 ms after it was published, and nobody answered.",
    ):
        assert words in text, text
    assert "my secret prompt" not in text
    assert "Hello there." not in text


def test_a_failure_is_told_aloud_with_its_reason_and_what_to_do_once():
    log = MemoryLog()
    Story(status="failed").write(log)
    Story(job_id="a2", status="rejected").write(log)

    failed, refused = (" ".join(aloud(asyncio.run(find(log, "default", name)))) for name in ("a1", "a2"))

    assert "It ended as failed, 820 ms after it was published, and nobody answered. The reason: too dear." in failed
    assert [told.count("What to do: ") for told in (failed, refused)] == [1, 1]


def test_neither_prompt_nor_output_is_in_the_story():
    log = MemoryLog()
    Story(prompt="my secret prompt").write(log)

    text = told(log)

    assert "my secret prompt" not in text
    assert "Hello there." not in text


def test_a_job_that_nobody_knows_has_no_story():
    log = MemoryLog()
    Story().write(log)

    assert told(log, job_id="a2") is None
    assert told(log, tenant="other") is None


def test_a_job_that_waits_for_the_router_is_found_in_its_topic_even_away_from_home():
    log = MemoryLog()
    job = Story().job
    away = (Story().home + 1) % log.partitions
    log.append(Outgoing(JOBS.name, None, codec.encode(job), partition=away))

    text = told(log)

    assert "published, not decided yet" in text
    assert f"jobs partition {away}, offset 0" in text


def test_a_job_that_waits_for_a_worker_shows_its_decision():
    log = MemoryLog()
    Story().write(log)
    for key in [key for key in log.records if key[0] == "inference.results.v1"]:
        del log.records[key]

    text = told(log)

    assert "assigned, no result yet" in text
    assert "policy brief/1" in text


def test_a_result_whose_partition_moved_when_the_topic_grew_is_found():
    log = MemoryLog()
    placed = Story().write(log)
    [key] = [key for key in log.records if key[0] == "inference.results.v1"]
    [record] = log.records.pop(key)
    elsewhere = (key[1] + 1) % log.partitions
    log.records[(key[0], elsewhere)] = [replace(record, partition=elsewhere)]

    assert "succeeded" in told(log)
    assert placed.tenant == "default"


def test_a_producers_clock_an_hour_ahead_hides_nothing():
    """The job's own timestamp lies after its decision; the search begins where our own clock says."""
    log = MemoryLog()
    ahead = replace(Story(), began=NOON)
    placed = ahead.write(log)
    result = codec.decode(placed.result.encode())
    result["received"]["timestamp_ms"] = ms(NOON + timedelta(hours=1))
    result["timing_ms"] = {}
    for key, rows in log.records.items():
        if key[0] == "inference.results.v1":
            rows[0] = replace(rows[0], value=codec.encode(result))

    assert "policy brief/1" in told(log)


def test_every_submission_of_an_id_is_told_in_order():
    log = MemoryLog()
    Story(status="rejected").write(log)
    Story(submission=2, began=NOON + timedelta(seconds=5)).write(log)

    found = asyncio.run(find(log, "default", "a1"))
    short, whole = tell(found), tell(found, everything=True)

    assert short[0].startswith("job        a1 of tenant default: succeeded")
    assert any(line.startswith("before     submission 1: rejected (price_ceiling), $0.00") for line in short)
    assert whole.index("submission 1") < whole.index("submission 2")
    assert "price_ceiling (sent again unchanged, it would fail)" in joined("\n".join(whole))


def test_a_dead_letter_is_told_with_its_reason():
    log = MemoryLog()
    Story().write(log)
    told_why = (
        (headers.IDENTITY, b"default/a1/1"),
        (headers.DLQ_MESSAGE, b"the id was used before with other content"),
        (headers.DLQ_TOPIC, b"inference.jobs.v1"),
        (headers.HAS_RESULT, b"1"),
    )
    log.append(Outgoing(DLQ.name, b"default", b"{}", told_why))
    log.append(Outgoing(DLQ.name, b"default", b"{}", ((headers.IDENTITY, b"default/a11/1"),)))

    text = told(log)

    assert text.count("set aside") == 1
    assert "beside its result" in text
    assert "the id was used before with other content" in text


def test_undecodable_records_on_the_way_are_passed_over():
    log = MemoryLog()
    for partition in range(log.partitions):
        for topic in (JOBS.name, DECISIONS.name, "inference.results.v1", DLQ.name):
            log.append(Outgoing(topic, b"default/a1", b"\xff{", partition=partition))
    Story().write(log)

    assert "policy brief/1" in told(log)


def test_control_characters_of_strangers_do_not_reach_the_terminal():
    log = MemoryLog()
    story_ = Story()
    job = {**story_.job, "model": "\x1b]0;owned\x07\nresult     succeeded"}
    log.append(Outgoing(JOBS.name, b"default", codec.encode(job)))

    text = told(log)

    assert "\x1b" not in text
    assert not any(line.startswith("result     succeeded") for line in text.splitlines())
