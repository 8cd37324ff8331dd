"""`novix dlq` and `novix cancel`: what they say, what they write, and how they end."""

import json

import pytest
from console_world import NOON, Story, ms

from runtime.deadletter import dead_letter
from runtime.ports import LaneId, Outgoing, Record
from schemas import codec, headers
from schemas.control import ControlEvent
from schemas.failure import FailureKind
from schemas.topics import CONTROL, DLQ, JOBS, RETRY_TIERS, TEXT

PROMPT = "canary prompt"
TRACE = (headers.TRACEPARENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def job_of(job_id="a1", tenant="acme"):
    return {"id": job_id, "tenant": tenant, "task": "chat-completion", "input": {"messages": [PROMPT]}}


def set_aside(
    log, value, *, topic=JOBS.name, kind=FailureKind.CONFLICT, told=(), at=NOON, partition=0, has_result=False
):
    """A dead letter as a lane writes it; its place."""
    original = Record(topic, 3, 812, b"key", value, tuple(told), ms(at))
    lane = LaneId("novix-router", topic, 3)
    letter = dead_letter(original, lane, kind, "a reason", has_result=has_result)
    place = log.append(Outgoing(DLQ.name, letter.key, letter.value, letter.headers, partition, ms(at)))
    return f"{place[0]}/{place[1]}"


def from_worker(log, kind=FailureKind.PROVIDER_ERROR, topic=TEXT.name, **more):
    job = job_of(**{name: more.pop(name) for name in ("job_id", "tenant") if name in more})
    told = (TRACE, (headers.IDENTITY, f"{job['tenant']}/{job['id']}/1".encode()))
    return set_aside(
        log, codec.encode({"job": job, "submission": 1}), topic=topic, kind=kind, told=told, has_result=True, **more
    )


def published(log, topic=JOBS.name):
    return [record for (name, _), rows in log.records.items() if name == topic for record in rows]


# list and show


def test_list_tells_place_reason_origin_and_job_and_never_content(novix, log):
    set_aside(log, codec.encode(job_of()))
    from_worker(log, job_id="b2", partition=1)
    set_aside(log, b"\xff\x00", kind=FailureKind.UNDECODABLE, partition=2)

    done = novix("dlq", "list")

    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], row[2], row[3], row[4], row[5]) for row in rows] == [
        ("0/0", "conflict: a reason", JOBS.name, "acme/a1", "no result"),
        ("1/0", "provider_error: a reason", TEXT.name, "acme/b2", "has a result"),
        ("2/0", "undecodable: a reason", JOBS.name, "-", "no result"),
    ]
    assert PROMPT not in done.output + novix("dlq", "list", "--json").output


@pytest.mark.parametrize(
    ("options", "places"),
    [
        (["--reason", "conflict"], ["0/0"]),
        (["--tenant", "other"], ["1/0"]),
        (["--since", "2026-11-22T12:00:01Z"], ["2/0"]),
        (["--until", "2026-11-22T12:00:01"], ["0/0", "1/0"]),
        (["--limit", 2], ["0/0", "1/0"]),
        (["--reason", "conflict", "--tenant", "other"], []),
    ],
)
def test_letters_are_chosen_by_reason_tenant_and_time(novix, log, options, places):
    set_aside(log, codec.encode(job_of()))
    from_worker(log, tenant="other", partition=1)
    set_aside(log, b"nonsense", kind=FailureKind.UNDECODABLE, partition=2, at=NOON.replace(minute=1))

    done = novix("dlq", "list", "--json", *options)

    assert [json.loads(line)["place"] for line in done.stdout.splitlines()] == places


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["list", "--reason", "bad_luck"], "conflict"),
        (["list", "--since", "yesterday"], "15m"),
        (["show", "12"], "PARTITION/OFFSET"),
        (["redrive", "0/x"], "PARTITION/OFFSET"),
        (["redrive", "--rate", "0"], "--rate"),
    ],
)
def test_what_cannot_be_meant_is_bad_usage(novix, log, options, named):
    done = novix("dlq", *options)

    assert done.exit_code == 2
    assert named in done.stderr


def test_show_tells_headers_and_sizes_and_the_value_only_when_asked(novix, log):
    place = from_worker(log)

    done, told = novix("dlq", "show", place), novix("dlq", "show", place, "--value", "--json")

    assert done.exit_code == 0
    assert "provider_error: a reason" in done.stdout
    assert f"from:   {TEXT.name}/3/812, set aside by novix-router" in done.stdout
    assert PROMPT not in done.stdout
    assert PROMPT in json.loads(told.stdout)["value"]
    assert json.loads(told.stdout)["headers"][headers.IDENTITY] == "acme/a1/1"


@pytest.mark.parametrize("place", ["0/1", "5/0", "99/0"])
def test_a_place_without_a_letter_ends_with_3(novix, log, place):
    set_aside(log, b"{}")

    assert novix("dlq", "show", place).exit_code == 3
    assert novix("dlq", "redrive", place).exit_code == 3


# redrive


def test_a_redrive_publishes_the_jobs_own_bytes_and_the_letters_place(novix, log):
    value = b'{"id": "a1",  "tenant":"acme", "task":"t", "input":{}}'
    place = set_aside(log, value, told=[TRACE, ("x-mine", b"1"), (headers.SCHEMA, b"1"), (headers.ORIGIN, b"0/1/2")])

    done = novix("dlq", "redrive", place, "--json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["redriven"] == 1
    [sent] = published(log)
    assert (sent.key, sent.value) == (b"acme", value)
    assert [name for name, _ in sent.headers] == ["x-mine", headers.SCHEMA, headers.REDRIVE, headers.REDRIVEN_BY]
    assert headers.first(sent.headers, headers.REDRIVE) == place
    assert (headers.first(sent.headers, headers.REDRIVEN_BY) or "").startswith("novix dlq redrive by ")


@pytest.mark.parametrize("topic", [TEXT.name, *(tier.name for _, tier in RETRY_TIERS)])
def test_of_an_assigned_job_the_job_within_is_published(novix, log, topic):
    place = from_worker(log, topic=topic)

    assert novix("dlq", "redrive", place).exit_code == 0

    [sent] = published(log)
    assert (sent.key, codec.decode(sent.value or b"")) == (b"acme", job_of())
    assert {name for name, _ in sent.headers} == {headers.REDRIVE, headers.REDRIVEN_BY}


def test_what_is_cut_or_names_no_job_is_told_and_the_others_are_driven(novix, log):
    cut = set_aside(log, codec.encode({**job_of("big"), "input": {"x": "y" * 3_000_000}}))
    nameless = set_aside(log, b'{"task": "t"}', kind=FailureKind.UNDECODABLE)
    foreign = set_aside(log, b"{}", topic="inference.results.v1")
    broken = set_aside(log, b"{", topic=TEXT.name)
    good = from_worker(log)

    done = novix("dlq", "redrive", "--yes")

    assert done.exit_code == 1
    assert done.stdout == "1 dead letter driven again (1 provider_error), 4 cannot be\n"
    for place, why in ((cut, "it is cut"), (nameless, "id is missing"), (foreign, "no jobs"), (broken, "no assigned")):
        assert any(place in line and why in line for line in done.stderr.splitlines()), (place, done.stderr)
    assert [headers.first(record.headers, headers.REDRIVE) for record in published(log)] == [good]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(novix, log):
    from_worker(log)
    from_worker(log, job_id="b2", kind=FailureKind.TIMEOUT)

    done = novix("dlq", "redrive", "--dry-run")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "0/0\tacme/a1\tprovider_error",
        "0/1\tacme/b2\ttimeout",
        "2 dead letters would be driven again (1 provider_error, 1 timeout)",
    ]
    assert json.loads(novix("dlq", "redrive", "--dry-run", "--json").stdout)["redriven"] == 0
    assert published(log) == []


def test_a_redrive_of_many_wants_to_be_meant(novix, log):
    from_worker(log)

    done = novix("dlq", "redrive", "--reason", "provider_error")

    assert done.exit_code == 2
    assert "1 dead letter would be driven again: say --yes" in done.stderr
    assert published(log) == []


def test_where_there_is_nothing_to_drive_it_ends_with_3(novix, log):
    assert novix("dlq", "redrive", "--yes").exit_code == 3
    assert novix("dlq", "redrive", "--tenant", "nobody").exit_code == 3


def test_several_thousand_leave_in_groups_and_what_comes_meanwhile_is_left(novix, log):
    for number in range(3_000):
        from_worker(log, job_id=f"j{number}", partition=number % 6)
    log.on_publish = lambda record, place: [Outgoing(DLQ.name, b"k", b"failed again", (), 5)]

    done = novix("dlq", "redrive", "--yes", "--rate", 100_000, "--json")

    assert json.loads(done.stdout)["redriven"] == 3_000
    assert len({codec.decode(record.value or b"")["id"] for record in published(log)}) == 3_000
    assert log.batches >= 3_000 / 200


# cancel


def test_cancel_writes_a_wish_for_the_newest_submission_keyed_by_job(novix, log):
    Story(status="rejected").write(log)
    log.append(Story(submission=2).outgoing_decision)

    done = novix("cancel", "a1", "--json")

    assert (done.exit_code, json.loads(done.stdout)) == (
        0, {"tenant": "default", "job_id": "a1", "submission": 2, "state": "it is on its way"},
    )  # fmt: skip
    [wish] = published(log, CONTROL.name)
    event = ControlEvent.model_validate_json(wish.value or b"")
    assert (wish.key, event.tenant, event.job_id, event.submission) == (b"default/a1", "default", "a1", 2)
    assert event.by.startswith("novix cancel by ")


def test_cancel_of_a_job_that_is_not_known_yet_still_holds(novix, log):
    done = novix("cancel", "later", "--tenant", "acme")

    assert (done.exit_code, done.stdout) == (
        0,
        "asked to cancel acme/later, submission 1: it has not been routed yet\n",
    )
    assert len(published(log, CONTROL.name)) == 1


def test_cancel_of_a_job_that_has_ended_writes_nothing_unless_it_must(novix, log):
    Story().write(log)

    done = novix("cancel", "a1")

    assert done.exit_code == 1
    assert "has ended as succeeded" in done.stderr
    assert published(log, CONTROL.name) == []
    assert novix("cancel", "a1", "--force").exit_code == 0
    assert len(published(log, CONTROL.name)) == 1


def test_an_earlier_submission_can_be_named(novix, log):
    log.append(Story(submission=2).outgoing_decision)

    novix("cancel", "a1", "--submission", 1)

    assert codec.decode(published(log, CONTROL.name)[0].value)["submission"] == 1


@pytest.mark.parametrize(("status", "code"), [("cancelled", 0), ("succeeded", 1)])
def test_cancel_can_wait_for_the_result_and_says_whether_it_was_in_time(novix, log, status, code):
    log.append(Story().outgoing_decision)
    log.on_publish = lambda record, place: [Story(status=status).outgoing_result]

    done = novix("cancel", "a1", "--wait", "--timeout", 5)

    assert done.exit_code == code
    assert done.stdout.startswith(status)


def test_cancel_that_waits_in_vain_ends_with_3_and_the_wish_stands(novix, log):
    done = novix("cancel", "a1", "--wait", "--timeout", 0.05)

    assert done.exit_code == 3
    assert "the wish stands" in done.stderr
    assert len(published(log, CONTROL.name)) == 1


def test_a_name_that_no_job_can_have_is_refused(novix, log):
    done = novix("cancel", "a1", "--tenant", "a/b")

    assert done.exit_code == 2
    assert published(log, CONTROL.name) == []
