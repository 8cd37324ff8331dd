"""The stream that says that something changed: little, bounded, and gone when the process ends."""

from itertools import repeat

import pytest
from starlette.testclient import TestClient

from console.pages import streams
from console.pages.app import create_app
from console.pages.context import Context


class Told:
    """An index whose count of changes is told beforehand; after the last one the process ends."""

    def __init__(self, *counts):
        self.counts = list(counts)

    def changes(self):
        return self.counts.pop(0)

    def is_over(self):
        return not self.counts


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(streams, "LEAST_PAUSE_S", 0.0)


def streamed(index, query=""):
    app = create_app(Context(index=index, describe=dict, ending=index.is_over))
    return TestClient(app, base_url="http://127.0.0.1").get(f"/events/jobs{query}")


def test_each_change_is_one_event_and_no_change_is_none():
    answer = streamed(Told(5, 5, 6, 6, 9))

    events = [block for block in answer.text.split("\n\n") if block.startswith("event:")]
    assert events == ["event: changed\ndata: 6", "event: changed\ndata: 9"]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"


def test_what_changed_between_the_page_and_its_stream_is_an_event_at_once():
    answer = streamed(Told(5, 6), "?since=4")

    events = [block for block in answer.text.split("\n\n") if block.startswith("event:")]
    assert events == ["event: changed\ndata: 5", "event: changed\ndata: 6"]
    assert "event:" not in streamed(Told(5, 5), "?since=5").text
    assert "event:" not in streamed(Told(5, 5), "?since=soon").text


def test_a_long_silence_is_broken_by_a_comment(monkeypatch):
    monkeypatch.setattr(streams, "LEAST_PAUSE_S", 0.001)
    monkeypatch.setattr(streams, "ALIVE_EVERY_S", 0.003)

    answer = streamed(Told(*repeat(1, 8)))

    assert answer.text.count(": still here") == 2
    assert "event:" not in answer.text


def test_more_streams_than_there_may_be_are_asked_to_come_again(monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 0)

    answer = streamed(Told(1, 2))

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"


def test_a_stream_that_has_ended_leaves_room_for_the_next(monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 1)
    index = Told(1, 2)
    client = TestClient(
        create_app(Context(index=index, describe=dict, ending=index.is_over)), base_url="http://127.0.0.1"
    )

    first = client.get("/events/jobs")
    index.counts = [3, 4]
    second = client.get("/events/jobs")

    assert (first.status_code, second.status_code) == (200, 200)
    assert "data: 4" in second.text
