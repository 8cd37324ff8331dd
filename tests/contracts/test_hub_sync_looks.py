"""Closer looks at single models, and the router's list, on a socket: what is not had proves nothing gone."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hub_wire import FULL, Wire, reply, row

from hub.sync.looks import MOST_FAILED
from hub.sync.sync import Wish
from schemas.catalog import CatalogEntry
from schemas.registry import Admission, RegistryRecord
from schemas.topics import REGISTRY

MODELS = Wish(kinds=("model",))
CARD = b"---\nlicense: mit\n---\n# A\n\nIt reads the news aloud for you.\n"
SAID = "It reads the news aloud for you."
SAFE = {"scansDone": True, "filesWithIssues": []}


class Told:
    """Answers by path: the list, and of each model its page and its card; `odd` takes the place of some."""

    def __init__(self, wire: Wire, *names: str) -> None:
        self.rows: dict[str, dict[str, Any]] = {one["id"]: one for one in map(row, range(1, 6))}
        self.cards = dict.fromkeys(self.rows, CARD)
        self.odd: dict[str, bytes] = {}
        self.wire = wire
        wire.answers = self.answer
        events = [Admission(model=name, state="admitted", at=wire.clock.now()) for name in names]
        wire.store.take(
            (REGISTRY.name, f"{event.model}\n{number}", RegistryRecord(event=event).encode(), number)
            for number, event in enumerate(events)
        )

    def answer(self, target: str) -> bytes:
        path = target.partition("?")[0]
        if path in self.odd:
            return self.odd[path]
        if path == "/api/models":
            return reply([{name: told for name, told in one.items() if name != "siblings"}
                          for one in self.rows.values()])  # fmt: skip
        name = path.removeprefix("/api/models/")
        if name in self.rows:
            more = {"securityRepoStatus": SAFE} if "securityStatus" in target else {}
            return reply({**more, **self.rows[name]})
        return reply(self.cards[path.removesuffix("/raw/main/README.md")[1:]])

    async def round(self, wish: Wish = FULL) -> dict[str, CatalogEntry]:
        await self.wire.sync.round(wish)
        return self.wire.entries

    async def a_day_later(self, wish: Wish = FULL) -> dict[str, CatalogEntry]:
        self.wire.clock.at += timedelta(days=1)
        return await self.round(wish)


NO_WORD = {
    "a wall": reply(b"<html>Access denied</html>", status="403 Forbidden"),
    "a ban": reply({"error": "x"}, status="401 Unauthorized"),
    "a login": reply(b"", "location: https://captive.test/login", status="302 Found"),
    "a login here": reply(b"", "location: /login?next=/api", status="307 Temporary Redirect"),
    "a redirect to nowhere": reply(b"", "location: http://[::1", status="307 Temporary Redirect"),
    "HTML": reply(b"<html>maintenance</html>"),
    "an error": reply({"error": "Internal Error"}),
    "a list": reply([]),
    "null": reply(None),
    "another id": reply({"id": "../x"}),
    "a fault": reply(b"", status="500 Internal Server Error"),
}
GONE = {
    "not found": reply({"error": "Repository not found"}, status="404 Not Found"),
    "to the anonymous": reply({"error": "x"}, "x-error-code: RepoNotFound", status="401 Unauthorized"),
    "by its message": reply(
        {"error": "x"}, "x-error-message: Invalid username or password.", status="401 Unauthorized"
    ),
    "renamed": reply(b"", "location: /api/models/new/name", status="307 Temporary Redirect"),
}


@pytest.mark.parametrize("form", NO_WORD)
async def test_a_page_that_says_nothing_of_its_model_takes_nothing_of_it_away(wire: Wire, form: str):
    told = Told(wire, "a/m0001")
    before = (await told.round())["a/m0001"]
    assert before.security is not None
    assert before.description == SAID
    told.odd["/api/models/a/m0001"] = NO_WORD[form]
    count = len(wire.written)

    assert (await told.a_day_later())["a/m0001"] == before
    assert len(wire.written) == count


@pytest.mark.parametrize("form", GONE)
async def test_a_page_that_is_said_not_to_be_there_takes_the_hubs_word_away(wire: Wire, form: str):
    told = Told(wire, "a/m0001")
    await told.round()
    told.odd["/api/models/a/m0001"] = GONE[form]

    assert "a/m0001" not in await told.a_day_later(Wish(kinds=("model",), full=False))


async def test_a_page_that_is_always_broken_holds_back_no_other_look(wire: Wire):
    names = sorted(row(number)["id"] for number in range(1, 6))
    told = Told(wire, *names)
    for name in names[:MOST_FAILED]:
        told.odd[f"/api/models/{name}"] = reply(b"{", status="200 OK")
    first = await told.round()
    looked = {name for name, entry in first.items() if entry.description}
    second = await told.round()

    assert looked == set()
    assert {name for name, entry in second.items() if entry.description} == set(names[MOST_FAILED:])


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Too Many Requests"])
async def test_what_a_card_said_stays_while_the_card_of_the_same_commit_is_not_to_be_had(wire: Wire, status: str):
    told = Told(wire, "a/m0001")
    await told.round()
    told.odd["/a/m0001/raw/main/README.md"] = reply(b"", status=status)
    assert (await told.a_day_later())["a/m0001"].description == SAID
    told.rows["a/m0001"] = row(1, sha="f" * 40)

    assert (await told.a_day_later())["a/m0001"].description is None, "nobody knows what the card of this commit says"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found"])
async def test_a_card_that_is_gated_or_gone_is_none(wire: Wire, status: str):
    told = Told(wire, "a/m0001")
    told.odd["/a/m0001/raw/main/README.md"] = reply(b"", "x-error-code: GatedRepo", status=status)
    entry = (await told.round())["a/m0001"]

    assert entry.description is None
    assert entry.security is not None
    assert entry.likes == 1


@pytest.mark.parametrize(
    "card",
    [
        SAID.encode("utf-16"), b"\xef\xbb\xbf" + CARD, CARD.replace(b"\n", b"\r\n"), CARD.replace(b"\n", b"\r"),
        b"---\nlicense: mit\ntags:\n- one of many tags here\n\n" + SAID.encode(), b"---\n---\n" + SAID.encode(),
        b"\n\n" + CARD, b"\x00\x1b[31m" + CARD.replace(b"---", b"***"),
    ],
)  # fmt: skip
async def test_a_card_in_another_dress_is_read(wire: Wire, card: bytes):
    told = Told(wire, "a/m0001")
    told.cards["a/m0001"] = card

    description = (await told.round())["a/m0001"].description or ""
    assert description.endswith(SAID)
    assert description.isprintable()


async def test_a_card_beyond_measure_is_none_and_its_model_stands(wire: Wire):
    told = Told(wire, "a/m0001")
    told.cards["a/m0001"] = b"word " * 300_000
    entry = (await told.round())["a/m0001"]

    assert entry.description is None
    assert entry.security is not None


async def test_scanners_that_say_the_same_again_write_nothing(wire: Wire):
    told = Told(wire, "a/m0001")
    await told.round()
    count, asked = len(wire.written), len(wire.asked)
    await told.a_day_later()
    looked = [one for one in wire.asked[asked:] if "securityStatus" in one]

    assert looked
    assert len(wire.written) == count


@pytest.mark.parametrize(
    ("status", "level", "done"),
    [
        ({"scansDone": True, "filesWithIssues": []}, "safe", True),
        ({"scansDone": False, "filesWithIssues": []}, "unscanned", False),
        ({"scansDone": True}, "unscanned", None),
        ({"scansDone": True, "filesWithIssues": None}, "unscanned", None),
        ({"scansDone": True, "filesWithIssues": {"a.bin": "unsafe"}}, "unscanned", None),
        ({"scansDone": True, "filesWithIssues": "none"}, "unscanned", None),
        ({"scansDone": "yes", "filesWithIssues": []}, "unscanned", None),
        ({"filesWithIssues": []}, "unscanned", None),
        ({"scansDone": True, "filesWithIssues": [{"path": "a", "level": "brand new"}]}, "caution", True),
        ({"scansDone": True, "filesWithIssues": [None]}, "caution", True),
    ],
)
async def test_only_a_whole_word_of_the_scanners_makes_a_model_safe(wire: Wire, status: Any, level: str, done: Any):
    told = Told(wire, "a/m0001")
    told.rows["a/m0001"]["securityRepoStatus"] = status
    security = (await told.round())["a/m0001"].security

    assert security is not None
    assert (security.level, security.scans_done) == (level, done)


def sized(**sizes: Any) -> list[dict[str, Any]]:
    return [{"rfilename": name, "size": size} for name, size in sizes.items()]


async def test_the_size_of_gguf_weights_is_told_by_their_files_and_outlives_the_next_reading(wire: Wire):
    told = Told(wire, "a/m0001")
    told.rows["a/m0001"] |= {
        "gguf": {"total": 7_000_000_000, "architecture": "llama", "context_length": 4_096},
        "siblings": sized(**{"m.Q4_K_M.gguf": 4_000, "m.Q8_0.gguf": 8_000, "mmproj-m.gguf": 5, "README.md": 9}),
    }
    entry = (await told.round())["a/m0001"]
    assert (entry.size_bytes, entry.parameters, entry.context_tokens) == (4_000, 7_000_000_000, 4_096)
    assert "size_bytes" in next(said.fields for said in entry.said if said.source == "hub")
    count = len(wire.written)
    again = await wire.made(wire.states).round(FULL)

    assert again.written == 0
    assert wire.entries["a/m0001"].size_bytes == 4_000
    assert len(wire.written) == count
    assert all(json.loads(one.value or b"{}").get("size_bytes") is None for one in wire.log
               if one.key == b"model/a/m0002")  # fmt: skip


# The router's list


def routed(*models: Any) -> bytes:
    return reply({"object": "list", "data": list(models)})


def served(name: str, **more: Any) -> dict[str, Any]:
    offer = {"provider": "novita", "status": "live", "pricing": {"input": 1, "output": 2}, "context_length": 9}
    return {"id": name, "providers": [{**offer, **more}]}


async def router_round(wire: Wire, told: bytes) -> Any:
    rows = Told(wire)
    rows.odd["/v1/models"] = told
    report = await wire.made(wire.states, router=wire.base).round(MODELS)
    return next(state for state in report.states if state.source == "router")


async def test_one_row_of_the_router_that_is_no_json_costs_itself(wire: Wire):
    body = b'{"object": "list", "data": [' + json.dumps(served("a/m0001")).encode() + b', {"id": "a/m0002", "providers"'
    body += b': [{"provider": "x", "status": "live", "throughput": NaN}]}, {"id": "a/x" 7}, '
    body += json.dumps(served("a/m0003")).encode() + b"]}"
    state = await router_round(wire, reply(body))

    assert (state.state, state.rows, state.refused, state.dropped) == ("complete", 3, {"no_json": 1}, {"throughput": 1})
    offers = {name: one.served[0].tokens_per_s for name, one in wire.entries.items() if one.served}
    assert offers == {"a/m0001": None, "a/m0002": None, "a/m0003": None}


@pytest.mark.parametrize(
    "told",
    [
        reply(b"<html></html>"), reply([]), reply({"data": {}}), reply({"data": None}), reply({"error": "x"}),
        routed(), routed({"id": 7}, None), routed({"id": "a/m0001", "providers": {}}),
        reply(b'{"object": "list", "data": [{"id": "a/m0001", "providers": [{"prov'),
        reply(b"", status="503 Service Unavailable"), reply(b"", status="401 Unauthorized"),
    ],
)  # fmt: skip
async def test_a_router_that_tells_no_list_is_down_and_what_it_had_said_stays(wire: Wire, told: bytes):
    await router_round(wire, routed(served("a/m0001")))
    await router_round(wire, routed(served("a/m0001")))
    before = wire.entries["a/m0001"].served
    state = await router_round(wire, told)

    assert (state.state, bool(state.error)) == ("failed", True)
    assert wire.entries["a/m0001"].served == before != ()


@pytest.mark.parametrize(
    ("more", "field", "dropped"),
    [
        ({"pricing": {"input": "1.69", "output": 2}}, "input_nanousd_per_mtok", "input"),
        ({"pricing": {"input": -1, "output": 2}}, "input_nanousd_per_mtok", "input"),
        ({"pricing": {"input": 10**9}}, "input_nanousd_per_mtok", "input"),
        ({"pricing": "free"}, "input_nanousd_per_mtok", "pricing"),
        ({"pricing": None}, "input_nanousd_per_mtok", None),
        ({"context_length": "128k"}, "context_tokens", "context_length"),
        ({"context_length": 0}, "context_tokens", None),
        ({"first_token_latency_ms": [1]}, "first_token_ms", "first_token_latency_ms"),
        ({"throughput": True}, "tokens_per_s", "throughput"),
        ({"supports_tools": "yes"}, "tools", "supports_tools"),
    ],
)
async def test_what_is_no_number_of_a_routers_offer_is_unknown_never_zero(wire: Wire, more: Any, field: str,
                                                                          dropped: str | None):  # fmt: skip
    await router_round(wire, routed(served("a/m0001", **more)))
    state = await router_round(wire, routed(served("a/m0001", **more)))
    offer = wire.entries["a/m0001"].served[0]

    assert getattr(offer, field) is None
    assert offer.status == "live"
    assert state.dropped == ({dropped: 1} if dropped else {})


@pytest.mark.parametrize("status", [None, 5, "", "x" * 99, {"live": True}])
async def test_an_offer_of_which_nobody_says_that_it_answers_is_not_called_live(wire: Wire, status: Any):
    await router_round(wire, routed(served("a/m0001", status=status)))
    await router_round(wire, routed(served("a/m0001", status=status)))

    assert wire.entries["a/m0001"].served[0].status == "unknown"


async def test_a_provider_twice_in_one_row_is_one_offer(wire: Wire):
    twice = served("a/m0001")
    twice["providers"] *= 3
    await router_round(wire, routed(twice))
    await router_round(wire, routed(twice))

    assert len(wire.entries["a/m0001"].served) == 1
