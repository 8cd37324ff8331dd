"""Rounds of the sync against a Hub that harms, by page: what it comes to, and that the next round goes on."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_wire import FULL, SOME, Clock

from hub.sync import sync as syncing
from hub.sync.client import Asker
from hub.sync.store import Store
from hub.sync.sync import Report, Sync, Wish
from runtime.http import ResponseTooLargeError
from runtime.ports import Outgoing
from schemas.catalog import CatalogEntry, SourceState
from schemas.topics import CATALOG

HUB = "https://hub.test"
Answers = Callable[[httpx.Request], httpx.Response]


class World:
    """A sync over a Hub that answers as a function says, until another is put in its place."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.log: list[Outgoing] = []
        self.clock = Clock()
        transport = httpx.MockTransport(self._answer)
        self.store = Store(folder)
        self.sync = Sync(
            self.store, Asker(transport, self.clock), self._publish, self.clock, hub=HUB, router=None,
            full_every=timedelta(days=1),
        )  # fmt: skip

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        assert request.url.host == "hub.test"
        assert not {"authorization", "cookie"} & set(request.headers)
        return self.answers(request)

    async def _publish(self, records: list[Outgoing]) -> None:
        self.log += records

    @property
    def ids(self) -> set[str]:
        """What the catalogue has."""
        found: dict[bytes, bytes | None] = {
            one.key or b"": one.value for one in self.log if one.topic == CATALOG.name
        }  # fmt: skip
        return {CatalogEntry.model_validate_json(value).id for value in found.values() if value is not None}

    async def round(self, wish: Wish = FULL) -> SourceState:
        report: Report = await self.sync.round(wish)
        return next(state for state in report.states if state.source == "hub")


@pytest.fixture
def world(tmp_path: Path):
    made: list[World] = []

    def make(answers: Answers) -> World:
        made.append(World(tmp_path / str(len(made)), answers))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def row(number: int, **more: Any) -> dict[str, Any]:
    stamp = f"2026-11-22T{number % 24:02}:00:00.000Z"
    return {"id": f"a/m{number:04}", "likes": number, "createdAt": stamp, "lastModified": stamp, **more}


def answer(rows: Any, following: str | None = None, status: int = 200, **headers: str) -> httpx.Response:
    body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    link = {} if following is None else {"link": f'<{following}>; rel="next"'}
    return httpx.Response(status, content=body, headers={**link, **headers})


def cursor_of(request: httpx.Request) -> str:
    return request.url.params.get("cursor", "")


def pages(told: dict[str, httpx.Response]) -> Answers:
    """By cursor; each as often as it is asked for."""

    def answers(request: httpx.Request) -> httpx.Response:
        one = told.get(cursor_of(request), answer([], status=404))
        return httpx.Response(one.status_code, content=one.content, headers=one.headers)

    return answers


TWO = {"": answer([row(1), row(2)], "?cursor=b"), "b": answer([row(3)])}
ALL = {"a/m0001", "a/m0002", "a/m0003"}


async def test_a_relative_link_is_followed(world):
    hub = world(pages(TWO))

    assert (await hub.round()).state == "complete"
    assert hub.ids == ALL
    assert hub.asked[-1] == f"{HUB}/api/models?cursor=b"


@pytest.mark.parametrize(
    "following",
    ["https://evil.test/api/models?cursor=b", "http://169.254.169.254/latest", "http://[::1", "//evil.test"],
)
async def test_a_link_to_elsewhere_is_not_followed_its_rows_count_and_nothing_is_taken_for_gone(world, following):
    hub = world(pages(TWO))
    await hub.round()
    hub.answers = pages({"": answer([row(1), row(9)], following)})
    state = await hub.round()

    assert state.state == "failed"
    assert "next page" in state.error
    assert hub.ids == ALL | {"a/m0009"}
    hub.answers = pages(TWO)
    assert (await hub.round()).state == "complete"
    assert hub.ids == ALL


async def test_a_link_to_elsewhere_does_not_matter_where_an_incremental_reading_has_read_enough(world):
    hub = world(pages({"": answer([row(20)])}))
    await hub.round()
    hub.answers = pages({"": answer([row(21), row(1)], "https://evil.test/")})

    assert (await hub.round(SOME)).state == "complete"


async def test_a_list_that_goes_in_a_circle_ends_and_says_so(world):
    circle = {"": answer([row(1)], "?cursor=b"), "b": answer([row(2)], "?cursor=c"), "c": answer([row(3)], "?cursor=b")}
    hub = world(pages(circle))
    state = await hub.round()

    assert state.state == "failed"
    assert "no end" in state.error
    assert len(hub.asked) == 3
    assert hub.ids == ALL


async def test_a_list_of_empty_pages_without_end_ends(world):
    def endless(request: httpx.Request) -> httpx.Response:
        return answer([], f"?cursor={len(hub.asked)}")

    hub = world(endless)

    assert (await hub.round()).state == "failed"
    assert len(hub.asked) == syncing.MOST_EMPTY


async def test_an_empty_page_amid_the_list_is_no_end_of_it(world):
    hub = world(pages({"": answer([row(1)], "?cursor=b"), "b": answer([], "?cursor=c"), "c": answer([row(2)])}))

    assert (await hub.round()).state == "complete"
    assert hub.ids == {"a/m0001", "a/m0002"}


async def test_a_cursor_that_the_hub_has_forgotten_is_no_dead_end(world):
    down = {**TWO, "b": answer([], status=400)}
    hub = world(pages(down))
    assert (await hub.round()).state == "failed"
    hub.answers = pages({"": answer([row(1), row(2)], "?cursor=z"), "z": answer([row(3)])})
    state = await hub.round()

    assert (state.state, state.rows) == ("complete", 3)
    assert hub.ids == ALL


async def test_a_reading_that_stands_at_a_broken_page_begins_anew_after_a_day(world):
    hub = world(pages({**TWO, "b": answer(b"<html>maintenance</html>")}))
    await hub.round()
    hub.answers = pages({"": answer([row(1), row(4)], "?cursor=b"), "b": answer(b"<html></html>")})
    assert (await hub.round()).state == "failed"
    assert "a/m0004" not in hub.ids
    hub.clock.at += timedelta(days=1)
    assert (await hub.round()).state == "failed"

    assert "a/m0004" in hub.ids


async def test_one_row_that_is_no_json_costs_itself_and_is_counted(world):
    deep = b'{"id": "a/deep", "cardData": ' + b'{"x":' * 3_000 + b"1" + b"}" * 3_001
    body = b"[" + json.dumps(row(1)).encode() + b"," + deep + b', {"id": "a/m0002", "likes": NaN}, 7]'
    hub = world(pages({"": answer(body, "?cursor=b"), "b": answer([row(3)])}))
    state = await hub.round()

    assert state.state == "complete"
    assert state.refused == {"too_deep": 1, "not_an_object": 1}
    assert (state.rows, state.dropped) == (5, {"likes": 1})
    assert hub.ids == ALL


async def test_a_page_that_broke_off_once_is_asked_for_again(world):
    whole = json.dumps([row(1), row(2)]).encode()

    def once(request: httpx.Request) -> httpx.Response:
        return answer(whole[:-9] if len(hub.asked) == 1 else whole)

    hub = world(once)
    state = await hub.round()

    assert (state.state, state.rows, state.refused, len(hub.asked)) == ("complete", 2, {}, 2)


async def test_what_stood_on_a_page_that_always_breaks_off_is_not_taken_for_gone(world):
    hub = world(pages(TWO))
    await hub.round()
    cut = json.dumps([row(1), row(2)]).encode()[:-9]
    hub.answers = pages({"": answer(cut, "?cursor=b"), "b": answer([row(3), row(4)])})
    state = await hub.round()

    assert (state.state, state.refused, state.gone) == ("complete", {"page_cut": 1}, 0)
    assert "broke off" in state.error
    assert hub.ids == ALL | {"a/m0004"}
    hub.answers = pages({"": answer([row(1), row(3), row(4)])})
    assert (await hub.round()).gone == 1


async def test_an_incremental_reading_over_a_page_that_broke_off_is_made_once_more(world):
    hub = world(pages({"": answer([row(1)])}))
    newest = (await hub.round()).newest
    cut = json.dumps([row(9), row(8)]).encode()[:-9]
    hub.answers = pages(
        {"": answer(cut, "?cursor=b"), "b": answer([row(1), {**row(0), "lastModified": "2026-11-20T00:00:00Z"}])}
    )
    assert (await hub.round(SOME)).newest == newest
    hub.answers = pages({"": answer([row(9), row(8)], "?cursor=b"), "b": answer([row(1)])})
    await hub.round(SOME)

    assert {"a/m0008", "a/m0009"} <= hub.ids


async def test_a_page_that_is_cut_and_names_no_next_one_is_a_source_that_is_down(world):
    hub = world(pages({"": answer(json.dumps([row(1), row(2)]).encode()[:-9])}))
    state = await hub.round()

    assert (state.state, state.rows) == ("failed", 1)
    assert hub.ids == {"a/m0001"}


async def test_a_page_that_is_too_large_is_read_in_smaller_ones(world):
    """A gzip bomb, or a thousand cards of a megabyte."""

    def large(request: httpx.Request) -> httpx.Response:
        if int(request.url.params["limit"]) > 10:
            raise ResponseTooLargeError(67_108_864, request=request)
        return answer([row(1), row(2), row(3)])

    hub = world(large)

    assert (await hub.round()).state == "complete"
    assert hub.ids == ALL
    assert len(hub.asked) == 3


async def test_a_row_that_is_too_large_by_itself_is_a_source_that_is_down_and_not_asked_for_for_ever(world):
    def large(request: httpx.Request) -> httpx.Response:
        raise ResponseTooLargeError(67_108_864, request=request)

    hub = world(large)
    state = await hub.round()

    assert state.state == "failed"
    assert "67108864" in state.error
    assert len(hub.asked) == 4


async def test_a_hub_that_says_that_it_has_nothing_empties_no_catalogue_however_often(world, monkeypatch):
    monkeypatch.setattr(syncing, "FEW", 2)
    hub = world(pages(TWO))
    await hub.round()
    hub.answers = pages({"": answer([])})
    for _ in range(3):
        assert "stay" in (await hub.round()).error
    assert hub.ids == ALL


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"retry-after": "9" * 40 + " Nov 2026 1:1:1"}, {"retry-after": "-1"}, {"ratelimit": "garbage;;r=;t="},
        {"ratelimit": '"api";r=0;t=99999999999'}, {"ratelimit": '"api";r=-1;t=1.5'}, {"ratelimit": "r=0" * 5_000},
    ],
)  # fmt: skip
async def test_a_limit_with_headers_that_are_none_is_waited_out_for_a_moment(world, headers):
    def limited(request: httpx.Request) -> httpx.Response:
        return answer([row(1)]) if len(hub.asked) > 2 else answer({}, status=429, **headers)

    hub = world(limited)
    began = hub.clock.at
    assert (await hub.round()).state == "complete"

    assert timedelta(seconds=1) <= hub.clock.at - began <= timedelta(minutes=1)


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 418, 500, 502, 504])
async def test_a_status_that_is_no_answer_fails_the_kind_and_no_other(world, status):
    def models_down(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/models":
            return answer([row(1)], status=status, location="https://evil.test/")
        return answer([row(2)])

    hub = world(models_down)
    report = await hub.sync.round(Wish())

    told = {state.kind: state.state for state in report.states if state.source == "hub"}
    assert told == {"model": "failed", "dataset": "complete", "space": "complete"}
