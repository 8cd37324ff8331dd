"""The page Dead letters: what it tells, what it hides, and the order to have a job done again."""

import pytest
from console_world import NOON, ms
from live_world import HOSTILE, OURS, pages

from runtime.deadletter import dead_letter
from runtime.ports import LaneId, Outgoing, Record
from schemas import codec, headers
from schemas.failure import FailureKind
from schemas.topics import DLQ, JOBS, TEXT

PROMPT = "canary prompt"


@pytest.fixture
def world(tmp_path):
    with pages(tmp_path) as world:
        yield world


def job(job_id="a1", tenant="acme"):
    return {"id": job_id, "tenant": tenant, "task": "chat-completion", "input": {"messages": [PROMPT]}}


def set_aside(world, value, *, topic=JOBS.name, kind=FailureKind.CONFLICT, told=(), partition=0, second=0):
    """A dead letter as a lane writes it; its place."""
    original = Record(topic, 3, 812, b"key", value, tuple(told), ms(NOON))
    letter = dead_letter(original, LaneId("novix-router", topic, 3), kind, f"because {HOSTILE}", has_result=False)
    stamp = ms(NOON) + second * 1_000
    world.wrote(Outgoing(DLQ.name, letter.key, letter.value, letter.headers, partition, stamp))
    return f"{partition}/{len(world.log.records[DLQ.name, partition]) - 1}"


def assigned(world, job_id="b2", **more):
    value = codec.encode({"job": job(job_id), "submission": 1})
    return set_aside(world, value, topic=TEXT.name, kind=FailureKind.PROVIDER_ERROR, **more)


def orders(world):
    return [record for (topic, _), rows in world.log.records.items() if topic == JOBS.name for record in rows]


def test_the_list_tells_reason_origin_tenant_age_and_whether_it_can_be_driven_again(world):
    place = set_aside(world, codec.encode(job()))
    broken = set_aside(world, b"\xff\x00", kind=FailureKind.UNDECODABLE, partition=1)

    seen = world.get("/letters")

    row = seen.row("acme / a1")
    assert (row[1], row[2], row[4], row[8]) == (place, "1 min", "inference.jobs.v1/3/812", "yes")
    assert row[3].startswith("conflict: because <script>")
    assert seen.row(broken)[8] == "no: it names no job"
    assert PROMPT not in seen.html
    assert seen.is_safe


def test_letters_are_found_by_reason_and_topic_and_paged_by_a_cursor(world):
    for number in range(130):
        assigned(world, f"b{number}", second=number)
    set_aside(world, codec.encode(job()))

    assert "1 dead letter," in world.get("/letters?reason=conflict").text
    assert "130 dead letters," in world.get("/letters?topic=inference.text.v1").text
    first = world.client.get("/api/letters?topic=inference.text.v1").json()
    second = world.client.get("/api/letters", params={"topic": "inference.text.v1", "after": first["next"]}).json()
    places = [(one["partition"], one["offset"]) for one in first["letters"] + second["letters"]]
    assert len(places) == len(set(places)) == 130
    assert second["next"] is None


def test_one_letter_shows_headers_and_hides_the_value_unless_inputs_are_shown(world, tmp_path):
    told = ((("<b>x</b>"), HOSTILE.encode()), ("authorization", b"Bearer hf_secretsecret"))
    place = set_aside(world, codec.encode(job()), told=told)
    seen = world.get(f"/letters/{place}")
    assert {"<b>x</b>", headers.DLQ_TOPIC} <= {row[0].strip() for row in seen.rows if row}
    assert "Hidden" in seen.text
    assert PROMPT not in seen.html
    assert "hf_secretsecret" not in seen.html
    assert seen.is_safe

    (tmp_path / "open").mkdir()
    with pages(tmp_path / "open", capture=True) as shown:
        place = set_aside(shown, codec.encode(job()))
        assert PROMPT in shown.get(f"/letters/{place}").text


def test_a_letter_that_is_not_there_is_not_found(world):
    for place in ("0/99", "7/0", "99999999999999999999/0"):
        assert world.client.get(f"/letters/{place}").status_code == 404


# the order


def test_a_letter_is_driven_again_once_it_was_confirmed_as_the_command_does_and_says_who(world):
    place = assigned(world)
    asked = world.post("/letters/redrive", {"place": place})
    assert "I mean it" in asked.text
    assert orders(world) == []

    done = world.post("/letters/redrive", {"place": place, "sure": "yes"})

    assert "1 of 1 driven again" in done.text
    [record] = orders(world)
    assert (record.key, codec.decode(record.value)) == (b"acme", job("b2"))
    assert headers.first(record.headers, headers.REDRIVE) == place
    assert headers.first(record.headers, headers.REDRIVEN_BY).startswith("novix console by ")


def test_many_are_driven_together_and_each_end_is_told(world):
    places = [assigned(world, "x1"), set_aside(world, b"\xff", partition=1), "5/77"]
    done = world.post("/letters/redrive", {"place": [*places, places[0]], "sure": "yes"})

    assert "1 of 3 driven again" in done.text
    assert "there is no dead letter at 5/77" in done.text
    assert len(orders(world)) == 1


@pytest.mark.parametrize("places", [[], ["nonsense"], ["0/1"] * 1 + [f"0/{n}" for n in range(2, 203)], ["-1/0"]])
def test_an_order_that_names_no_letters_or_too_many_is_refused(world, places):
    answer = world.post("/letters/redrive", {"place": places, "sure": "yes"})
    assert answer.status_code == 400
    assert orders(world) == []


def test_an_order_from_elsewhere_or_without_its_form_is_not_done(world):
    place = assigned(world)
    world.get("/letters")
    for told in (OURS, {"sec-fetch-site": "cross-site"}, {}):
        answer = world.client.post("/letters/redrive", data={"place": place, "sure": "yes"}, headers=told)
        assert answer.status_code == 403
    assert world.client.get("/letters/redrive", params={"place": place, "sure": "yes"}).status_code in (404, 405)
    assert orders(world) == []


def test_a_kafka_that_fails_is_told_by_name_and_without_its_words(world):
    place = assigned(world)

    def fails(_record, _place):
        raise ConnectionError("the password is hunter2")

    world.log.on_publish = fails
    answer = world.post("/letters/redrive", {"place": place, "sure": "yes"})
    assert (answer.status_code, "ConnectionError" in answer.text, "hunter2" in answer.text) == (502, True, False)


def test_pages_without_a_way_to_kafka_name_the_command_instead(tmp_path):
    with pages(tmp_path, kafka=False) as world:
        place = assigned(world)
        assert f"novix dlq redrive {place}" in world.get(f"/letters/{place}").text
        assert world.post("/letters/redrive", {"place": place, "sure": "yes"}).status_code == 503
