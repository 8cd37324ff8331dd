"""The sync against a Hub of bytes on a socket: bodies that are cut, packed or no JSON, limits, faults amid a list."""

import asyncio
import gzip
import json
import zlib
from datetime import timedelta
from typing import Any

import pytest
from hub_wire import FULL, SOME, STALL, Wire, asked_for, by_cursor, reply, row

from hub.sync import client
from hub.sync import sync as syncing
from hub.sync.sync import Wish

NEXT = "/api/models?cursor=b"
FIRST = reply([row(1), row(2)], after=NEXT)
SECOND = [row(3), row(4)]
ALL = {"a/m0001", "a/m0002", "a/m0003", "a/m0004"}
BODY = json.dumps(SECOND).encode()
GZIP = "content-encoding: gzip"
CHUNKED = "transfer-encoding: chunked"


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n" + end


READ = {
    "plain": reply(BODY),
    "gzip": reply(gzip.compress(BODY), GZIP),
    "deflate": reply(zlib.compress(BODY), "content-encoding: deflate"),
    "chunked": reply(chunked(BODY), CHUNKED),
    "no content type": reply(BODY, "content-type: text/html"),
    "a mark of UTF-8": reply(b"\xef\xbb\xbf" + BODY),
    "blanks around": reply(b"\r\n\t " + BODY + b"\n\n"),
    "escapes": reply(json.dumps([row(3, library_name="\u00fc"), row(4, author="\U0001f600")]).encode()),
    "bytes of latin-1": reply(BODY[:-2] + b', "author": "caf\xe9"}]'),
    "a link of the past": reply(BODY, 'link: </api/models?cursor=>; rel="prev"'),
    "keys twice": reply(BODY.replace(b'"likes": 3', b'"likes": 1, "likes": 3')),
}
NOT_READ = {
    "HTML": reply(b"<html>We are down for maintenance</html>", "content-type: text/html"),
    "nothing": reply(b""),
    "no content": reply(b"", status="204 No Content"),
    "an object": reply({"error": "Internal Error - We're working hard to fix this as soon as possible!"}),
    "UTF-16": reply(BODY.decode().encode("utf-16")),
    "gzip that is none": reply(BODY, GZIP),
    "gzip that is cut": reply(gzip.compress(BODY)[:-20], GZIP),
    "a length that is not kept": reply(BODY[:40], length=len(BODY)),
    "a chunk that is not kept": reply(f"{len(BODY):x}\r\n".encode() + BODY[:40], CHUNKED),
    "no HTTP": b"220 smtp.test ready\r\n",
    "a bomb": reply(gzip.compress(b"[" + b" " * 70_000_000 + b"]"), GZIP),
    "a status of faults": reply(BODY, status="502 Bad Gateway"),
    "a wall": reply(BODY, status="403 Forbidden"),
    "a redirect": reply(BODY, "location: /login", status="302 Found"),
    "a partial answer": reply(BODY, status="206 Partial Content"),
    "a link that is none": reply(BODY, "link: cursor=c"),
    "a link to elsewhere": reply(BODY, "link: <http://169.254.169.254/latest>; rel=next"),
}


@pytest.mark.parametrize("form", READ)
async def test_a_page_in_another_dress_is_read(wire: Wire, form: str):
    wire.answers = by_cursor({"": FIRST, "b": READ[form]})
    state = await wire.round()

    assert (state.state, state.rows, state.refused) == ("complete", 4, {})
    assert set(wire.entries) == ALL


@pytest.mark.parametrize("form", NOT_READ)
async def test_a_page_that_cannot_be_read_costs_no_other_takes_nothing_away_and_is_gone_on_with(wire: Wire, form: str):
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    await wire.round()
    wire.answers = by_cursor({"": reply([row(1, likes=7), row(2)], after=NEXT), "b": NOT_READ[form]})
    state = await wire.round()

    assert state.state == "failed"
    assert state.error
    assert set(wire.entries) == ALL
    assert wire.entries["a/m0001"].likes == 7
    asked = len(wire.asked)
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    again = await wire.made(wire.states).round(FULL)
    assert again.states[-1].state == "complete"
    assert wire.asked[asked:] == [NEXT], "it went on where it was"
    assert set(wire.entries) == ALL


async def test_a_process_that_was_killed_amid_a_list_goes_on_at_its_page_and_writes_nothing_twice(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(syncing, "TELL_EVERY_S", 0.0)
    wire.answers = by_cursor({"": FIRST, "b": STALL})
    task = asyncio.create_task(wire.sync.round(FULL))
    while not wire.states.get("hub/model") or len(wire.asked) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.states["hub/model"].cursor == wire.base + NEXT
    asked = len(wire.asked)
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    report = await wire.made(wire.states).round(FULL)

    assert (report.states[-1].state, report.states[-1].rows) == ("complete", 4)
    assert wire.asked[asked:] == [NEXT]
    assert sorted(wire.written) == sorted(f"model/{name}" for name in ALL)


@pytest.mark.parametrize(
    ("headers", "waited_s"),
    [
        (["retry-after: 30"], 30), (["retry-after: Mon, 23 Nov 2026 12:00:45 GMT"], 45),
        (['ratelimit: "api";r=0;t=17'], 17), (['ratelimit: "resolvers";r=9;t=300, "api";r=0;t=17'], 17),
        (['ratelimit: "api";r=0;t=17', "retry-after: 0"], 17), (["retry-after: 0"], 0.5), ([], 0.5),
        (["retry-after: soon"], 0.5),
        (['ratelimit-policy: "fixed window";"api";q=500;w=300', 'ratelimit: "api";r=0;t=299'], 299),
    ],
)  # fmt: skip
async def test_a_limit_is_waited_out_as_the_answer_asks(wire: Wire, headers: list[str], waited_s: float):
    limited = reply({"error": "We had to rate limit your IP"}, *headers, status="429 Too Many Requests")
    wire.answers = lambda target: limited if len(wire.asked) == 1 else reply([row(1)])
    began = wire.clock.at
    state = await wire.round()

    assert state.state == "complete"
    assert abs((wire.clock.at - began) - timedelta(seconds=waited_s)) < timedelta(seconds=0.01)


async def test_a_window_that_an_answer_uses_up_is_waited_out_before_the_next_call(wire: Wire):
    wire.answers = by_cursor({"": reply([row(1)], 'ratelimit: "api";r=0;t=40', after=NEXT), "b": reply([row(2)])})
    began = wire.clock.at
    await wire.round()

    assert wire.clock.at - began == timedelta(seconds=40)


async def test_a_fault_amid_a_list_is_tried_again(wire: Wire):
    broken = [reply(b"", status="500 Internal Server Error"), reply(b"", status="504 Gateway Timeout"), b""]
    wire.answers = lambda target: (
        FIRST if not asked_for(target, "cursor") else broken.pop() if broken else reply(SECOND)
    )  # fmt: skip

    assert (await wire.round()).state == "complete"
    assert len(wire.asked) == 5


async def test_an_answer_that_never_ends_is_given_up(wire: Wire, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "CALL_S", 0.2)
    monkeypatch.setattr(client, "TRIES", 2)
    wire.answers = by_cursor({"": FIRST, "b": STALL})
    state = await wire.round()

    assert state.state == "failed"
    assert state.cursor == wire.base + NEXT


async def test_the_same_rows_under_an_address_that_is_new_each_time_are_no_list_without_end(wire: Wire):
    wire.answers = lambda target: reply(
        [row(1), row(2)], after=f"/api/models?cursor={len(wire.asked)}" if len(wire.asked) < 30 else None
    )  # fmt: skip
    state = await wire.round()

    assert state.state == "failed"
    assert "no end" in state.error
    assert len(wire.asked) == 2


async def test_pages_without_end_whose_rows_nobody_can_read_end(wire: Wire):
    wire.answers = lambda target: reply([{"name": "x"}] * 3, after=f"/api/models?cursor={len(wire.asked)}")
    state = await wire.round()

    assert state.state == "failed"
    assert f"{syncing.MOST_EMPTY} pages" in state.error
    assert state.refused["no_id"] >= 3


async def test_a_hub_whose_rows_have_another_form_empties_no_catalogue(wire: Wire, monkeypatch: pytest.MonkeyPatch):
    """All rows are there, and none can be read: that is no word on what is gone."""
    monkeypatch.setattr(syncing, "FEW", 1)
    wire.answers = by_cursor({"": reply([row(1), row(2), row(3), row(4)])})
    await wire.round()
    wire.answers = by_cursor({"": reply([{"repoId": f"a/m{number:04}"} for number in range(4)])})
    for _ in range(3):
        state = await wire.round()
        assert (state.refused, state.gone) == ({"no_id": 4}, 0)
        assert "4 of 4 rows" in state.error
    assert set(wire.entries) == ALL


async def test_a_look_at_some_rows_loses_nothing_of_a_full_reading_that_goes_on_later(wire: Wire):
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    await wire.round()
    wire.answers = by_cursor({"": FIRST, "b": reply(b"", status="400 Bad Request")})
    assert (await wire.round()).state == "failed"
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    await wire.sync.round(Wish(kinds=("model",), full=True, limit=1))
    state = await wire.round()

    assert (state.state, state.gone, state.rows) == ("complete", 0, 4)
    assert set(wire.entries) == ALL


async def test_another_hub_is_read_from_its_beginning(wire: Wire):
    """Down to the youngest change of the last one, nearly all of it would be passed over."""
    wire.answers = by_cursor({"": reply([row(20)])})
    await wire.round()
    wire.answers = by_cursor({"": reply([row(1), row(2)])})
    report = await wire.made(wire.states, hub=wire.base.replace("127.0.0.1", "localhost")).round(
        Wish(kinds=("model",))
    )  # fmt: skip
    state = report.states[-1]

    assert (state.full, state.state) == (True, "complete"), state.error
    assert {"a/m0001", "a/m0002"} <= set(wire.entries)


# What is written


async def test_downloads_alone_are_met_by_a_full_reading_and_write_that_one_entry(wire: Wire):
    rows: list[dict[str, Any]] = [row(number, downloads=10) for number in range(5)]
    wire.answers = lambda target: reply(rows[::-1])
    await wire.round()
    rows[2] = {**rows[2], "downloads": 11}
    count = len(wire.written)
    await wire.round(Wish(kinds=("model",), full=True))

    assert wire.written[count:] == ["model/a/m0002"]
    assert wire.entries["a/m0002"].downloads == 11
    await wire.round(FULL)
    await wire.round(SOME)
    assert len(wire.written) == count + 1


async def test_a_repository_that_goes_between_two_pages_is_gone_with_the_reading_after(wire: Wire):
    wire.answers = by_cursor({"": FIRST, "b": reply(SECOND)})
    await wire.round()
    wire.answers = by_cursor({"": FIRST, "b": reply([row(4)])})
    state = await wire.round()

    assert (state.state, state.gone) == ("complete", 1)
    assert wire.log[-2].key == b"model/a/m0003"
    assert wire.log[-2].value is None
    assert set(wire.entries) == ALL - {"a/m0003"}


async def test_a_repository_twice_on_a_page_and_on_two_is_one_entry(wire: Wire):
    wire.answers = by_cursor({"": reply([row(1), row(2), row(2)], after=NEXT), "b": reply([row(2), row(3), row(4)])})
    state = await wire.round()

    assert (state.state, state.rows) == ("complete", 6)
    assert sorted(wire.written) == sorted(f"model/{name}" for name in ALL)
