"""Answers as they come: `novix run --stream` and `novix publish --stream`."""

import json
from datetime import UTC, datetime

import pytest
from console_world import Story

from console.lines import outgoing_of
from console.pieces import Shown
from console.screen import Screen
from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import DELTAS, JOBS

HONEY = {"choices": [{"message": {"role": "assistant", "content": "Honey, and wax."}}]}


def delta(job, number, text, attempt=1):
    told = {"tenant": "default", "job_id": job, "attempt": attempt, "number": number, "text": text}
    return Outgoing(DELTAS.name, f"default/{job}".encode(), codec.encode(told))


def streaming(*pieces, **told):
    """Router and worker in one line: each job that asks for pieces gets these, then its result."""

    def answer(record, place):
        job = codec.decode(record.value)
        made = [delta(job["id"], *piece) for piece in pieces] if job.get("stream") else []
        story = Story(job_id=job["id"], offset=place[1], output=HONEY, began=datetime.now(UTC), **told)
        return [*made, story.outgoing_result]

    return answer


def jobs(log):
    return [row.value for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows]


def test_run_asks_for_pieces_and_ends_with_the_whole_answer(novix, log):
    log.on_publish = streaming((0, "Honey"), (1, ", and"))

    done = novix("run", "--stream", "What do bees make?")

    assert done.exit_code == 0, done.stderr
    assert done.stdout == "Honey, and wax.\n"
    assert codec.decode(jobs(log)[0])["stream"] is True


def test_without_stream_nothing_is_asked_for(novix, log):
    log.on_publish = streaming((0, "never"))

    assert novix("run", "What do bees make?").stdout == "Honey, and wax.\n"
    assert "stream" not in codec.decode(jobs(log)[0])


def test_in_json_the_pieces_come_as_their_records_are_and_the_result_is_the_last_line(novix, log):
    log.on_publish = streaming((0, "Honey"), (1, ", and"))

    done = novix("run", "--stream", "--json", "What do bees make?")

    *pieces, result = map(json.loads, done.stdout.splitlines())
    assert [piece["text"] for piece in pieces] == ["Honey", ", and"]
    assert result["output"] == HONEY


@pytest.mark.parametrize(
    ("deltas", "written"),
    [
        ([], "Honey.\n"),
        ([(1, "Hon"), (1, "ey.")], "Honey.\n"),
        ([(1, "Hon")], "Honey.\n"),
        ([(1, "ey.")], "ey.\nHoney.\n"),
        ([(1, "Wax"), (2, "Hon")], "Wax\nHoney.\n"),
        ([(2, "Hon"), (1, "late"), (2, "ey.")], "Honey.\n"),
        ([(1, "Honey. And more")], "Honey. And more\nHoney.\n"),
        ([("x", 5), (1, None)], "Honey.\n"),
    ],
)
def test_whatever_pieces_come_the_last_that_is_written_is_the_whole_answer(capsys, deltas, written):
    shown = Shown(Screen())

    for attempt, text in deltas:
        shown.take({"attempt": attempt, "text": text})
    shown.finish("Honey.")

    assert capsys.readouterr().out == written


def test_a_pieces_control_characters_do_not_reach_the_terminal(capsys):
    shown = Shown(Screen())

    shown.take({"attempt": 1, "text": "\x1b]0;title\x07ok"})
    shown.finish("\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}ok!")

    assert capsys.readouterr().out == "\ufffd]0;title\ufffdok!\n"


def test_publish_shows_pieces_and_results_until_all_are_there(novix, log):
    log.on_publish = streaming((0, "Honey"))
    lines = [{"id": job, "task": "chat-completion", "input": {}} for job in ("a", "b")]

    done = novix("publish", "-", "--stream", stdin="\n".join(map(json.dumps, lines)))

    assert done.exit_code == 0, done.stderr
    assert all(codec.decode(value)["stream"] is True for value in jobs(log))
    assert sum(line.startswith("succeeded") for line in done.stdout.splitlines()) == 2
    assert done.stdout.endswith("2 jobs published\n")


def test_publish_tells_the_result_of_an_id_that_was_used_before_but_not_an_earlier_refusal(novix, log):
    log.on_publish = streaming(status="rejected")
    novix("publish", "-", "--stream", stdin='{"id":"a"}')
    log.on_publish = streaming()
    novix("publish", "-", "--stream", stdin='{"id":"b"}')
    again = novix("publish", "-", "--stream", stdin='{"id":"a"}')
    log.on_publish = None  # a duplicate gives no second result
    duplicate = novix("publish", "-", "--stream", "--timeout", "5", stdin='{"id":"b"}')

    assert [one.exit_code for one in (again, duplicate)] == [0, 0], duplicate.stderr
    assert "succeeded" in duplicate.stdout
    assert "rejected" not in again.stdout


def test_publish_that_streams_fails_with_its_jobs_and_does_not_wait_for_ever(novix, log):
    log.on_publish = streaming(status="failed")
    failed = novix("publish", "-", "--stream", stdin='{"id":"a"}')
    log.on_publish = None
    silent = novix("publish", "-", "--stream", "--timeout", "0.05", stdin='{"id":"b"}')

    assert (failed.exit_code, silent.exit_code) == (1, 3)
    assert "within 0.05 s" in silent.stderr


def test_what_a_job_says_itself_of_pieces_stands_and_its_bytes_stay_behind_ours():
    said = b'{"stream": false, "id": "a"}'

    assert outgoing_of(said, stream=True).value == said
    assert outgoing_of(b' {"id": "a", "x": 12345678901234567890123}', stream=True).value == (
        b'{"stream":true,"id": "a", "x": 12345678901234567890123}'
    )
    assert outgoing_of(b'{"id": "a"}').value == b'{"id": "a"}'
