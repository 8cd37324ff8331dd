"""Every field that a row of the Hub's lists may have, in every form that is none of its own, over a socket: the row is
kept out with a reason, or what is left of it is read rightly; its neighbours never suffer."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hub_wire import FULL, Wire, asked_for, reply, row

from hub.catalog.rows import read_row
from hub.sync.sync import Wish
from hub.sync.writing import written
from sandbox.hf.hub_known import recorded
from schemas.catalog import CatalogEntry
from schemas.topics import RECORD_LIMIT_BYTES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT_A_TIME = 200
FIELDS = (
    "_id", "sha", "author", "modelId", "description", "tags", "pipeline_tag", "library_name", "sdk", "downloads",
    "downloadsAllTime", "trendingScore", "safetensors", "gguf", "config", "cardData", "baseModels", "gated", "private",
    "disabled", "inference", "inferenceProviderMapping", "securityRepoStatus", "model-index", "siblings", "spaces",
    "widgetData", "transformersInfo", "usedStorage", "mask_token", "evalResults", "childrenModelCount",
    "resourceGroup", "runtime", "xetEnabled", "availableInferenceProviders", "datasetsServerInfo", "authorData",
)  # fmt: skip
"""Of the recorded answers, of the Hub's published document, and of its client."""
FORMS = (
    b"null", b"true", b"false", b"0", b"-1", b"1e400", b"-0.5", b"12345678901234567890123456789", b"NaN", b"-Infinity",
    b'""', b'" "', b'"\\ud83d"', b'"a\\u0000b"', b'"\xff\xfe"', b'"\\u202egnp.exe"', b'"' + b"x" * 20_000 + b'"',
    b"[]", b"[[[[[[]]]]]]", b"[null, 7, {}, \"a\"]", b"{}", b'{"": {"": {}}}',
    b'{"total": -1, "parameters": {"F32": NaN}}',
    b'{"license": ["mit", null], "language": {"en": 1}, "base_model": 5, "model-index": "x"}', b'"2026-11-22"',
    b'"Sun, 22 Nov 2026 10:00:00 GMT"', b"1795219200", b'"auto"', b'"manual"', b'[{"provider": "x", "status": null}]',
    b'{"x": null, "y": {"status": "live", "providerId": [], "task": {}}}', b'{"models": [{"id": "../x"}, null]}',
    b'{"scansDone": true, "filesWithIssues": "none"}', b'{"$oid": "621ffdc036468d709f174338"}',
    b'"' + b"\\\\" * 9_000 + b'"',
)  # fmt: skip
IDS = (
    b"null", b"7", b"[]", b"{}", b'""', b'"../../etc/passwd"', b'"a/b/c"', b'"a b/c"', b'"a/\\ud800"', b'"a/b\\n"',
    b'"\xd0\xb0/cyrillic"', b'"' + b"x" * 5_000 + b'"', b'"-a/b"', b'"a/.."', b'"http://a/b"', b"NaN",
)  # fmt: skip


def as_json(number: int, field: str, form: bytes) -> bytes:
    """A row with one field in one form; what comes later in an object counts."""
    whole = json.dumps(row(number)).encode()
    return whole[:-1] + b', "' + field.encode() + b'": ' + form + b"}"


def paged(rows: list[bytes]) -> Any:
    def answers(target: str) -> bytes:
        if not target.startswith("/api/") or "?" not in target:
            return reply([])
        start = int(asked_for(target, "cursor") or 0)
        path = target.partition("?")[0]
        after = f"{path}?cursor={start + AT_A_TIME}" if start + AT_A_TIME < len(rows) else None
        return reply(b"[" + b",\n".join(rows[start : start + AT_A_TIME]) + b"]", after=after)

    return answers


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
async def test_every_field_in_every_form_costs_itself_at_most(wire: Wire, kind: Any):
    variants = [(field, form) for field in FIELDS for form in FORMS]
    rows = [as_json(number, field, form) for number, (field, form) in enumerate(variants)]
    wire.answers = paged(rows)
    state = await wire.round(Wish(kinds=(kind,), full=True))

    assert (state.state, state.rows, state.refused) == ("complete", len(rows), {}), state.error
    entries = wire.entries
    assert len(entries) == len(rows)
    for number, (field, _) in enumerate(variants):
        entry, plain = entries[f"a/m{number:04}"], row(number)
        assert (entry.likes, entry.kind) == (number, kind), field
        assert entry.last_modified == datetime.fromisoformat(plain["lastModified"])
        assert field == "sha" or entry.revision == plain["sha"]
        assert field == "_id" or entry.hub_id == plain["_id"]
        assert entry.security is None or entry.security.level != "safe"
    assert state.dropped
    assert (await wire.made(wire.states).round(Wish(kinds=(kind,), full=True))).written == 0


async def test_a_row_without_an_id_is_kept_out_with_its_reason_wherever_it_stands(wire: Wire):
    bad = [as_json(500 + number, "id", form) for number, form in enumerate(IDS)]
    good = [json.dumps(row(number)).encode() for number in range(len(IDS))]
    wire.answers = paged(
        [one for pair in zip(good, bad, strict=True) for one in pair] + [b"null", b"[1]", b'"x"', b"3"]
    )
    state = await wire.round(FULL)

    assert state.state == "complete"
    assert state.refused == {"no_id": 4, "bad_id": len(IDS) - 4, "not_an_object": 4}
    assert set(wire.entries) == {f"a/m{number:04}" for number in range(len(IDS))}


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-11-22T10:00:00.000Z", True), ("2026-11-22T10:00:00Z", True), ("2026-11-22T12:00:00+02:00", True),
        ("2026-11-22T10:00:00.123456Z", True), ("20261122T100000Z", True), ("2026-11-22T10:00:00", False),
        ("2026-11-22", False), ("Sun, 22 Nov 2026 10:00:00 GMT", False), (1_795_341_600, False), ("", False),
        (1_795_341_600_000, False), ("2026-11-31T10:00:00Z", False), ("2026-11-22T25:00:00Z", False),
        ("0000-00-00T00:00:00Z", False), ("+275760-09-13T00:00:00Z", False), ({"$date": "2026-11-22T10:00:00Z"}, False),
    ],
)  # fmt: skip
async def test_a_day_in_another_form_is_read_or_left_out_and_counted(wire: Wire, told: Any, read: bool):
    wire.answers = paged([json.dumps(row(1, lastModified=told)).encode(), json.dumps(row(2)).encode()])
    state = await wire.round(FULL)
    found = wire.entries["a/m0001"].last_modified

    assert state.state == "complete"
    assert (found is not None) is read
    assert found is None or found.replace(microsecond=0) == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert state.dropped == ({} if read else {"lastModified": 1})


@pytest.mark.parametrize(
    ("told", "gated"),
    [
        (False, "no"), (True, "manual"), ("auto", "auto"), ("manual", "manual"), (None, None), ("yes", None), (1, None),
        ([], None), ("Auto", None),
    ],
)  # fmt: skip
async def test_who_must_be_asked_is_known_or_unknown_and_never_guessed_free(wire: Wire, told: Any, gated: str | None):
    wire.answers = paged([json.dumps(row(1, gated=told, disabled=told, private=told)).encode()])
    await wire.round(FULL)
    entry = wire.entries["a/m0001"]

    assert entry.gated == gated
    assert entry.disabled is entry.private is (told if isinstance(told, bool) else None)


# Recorded answers, each with one field taken away or put in another form

LOST: tuple[Any, ...] = (None, "x", -1, [], {}, [None], {"x": [{}]}, True, 10**30)
KEPT = ("hub_id", "revision", "downloads", "likes", "library", "created_at", "last_modified", "gated", "inference")
_NAMED = {
    "_id": "hub_id", "sha": "revision", "downloads": "downloads", "likes": "likes", "library_name": "library",
    "createdAt": "created_at", "lastModified": "last_modified", "gated": "gated", "inference": "inference",
    "sdk": "library",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({one["id"] for one in recorded() if len(one) > 10}))
def test_a_recorded_model_that_loses_a_field_loses_nothing_else(name: str):
    told = next(one for one in recorded() if one["id"] == name)
    whole = read_row("model", told, NOW)
    assert isinstance(whole, CatalogEntry)
    for field in told.keys() - {"id"}:
        without = {key: value for key, value in told.items() if key != field}
        for odd in (without, *({**told, field: value} for value in LOST)):
            entry = read_row("model", odd, NOW, dropped=Counter())
            assert isinstance(entry, CatalogEntry), (field, odd.get(field))
            changed = {one for one in KEPT if getattr(entry, one) != getattr(whole, one)}
            assert changed <= {_NAMED.get(field)}, (field, odd.get(field))


# What stands beyond what an entry keeps


def test_a_licence_and_foreign_code_behind_a_thousand_languages_are_not_lost():
    """Speech models list a thousand languages as tags, and the licence behind them."""
    tags = [
        "transformers",
        *(f"l{number}" for number in range(1_200)),
        "custom_code",
        "license:cc-by-nc-4.0",
        "medical",
    ]
    dropped: Counter[str] = Counter()
    entry = read_row("model", {"id": "a/b", "tags": tags}, NOW, dropped=dropped)

    assert isinstance(entry, CatalogEntry)
    assert (entry.license, entry.domains) == ("CC-BY-NC-4.0", ("medical",))
    assert entry.security is not None
    assert entry.security.custom_code is True
    assert len(entry.tags) == 256
    assert dropped["tags"] == 1


def test_a_data_set_says_its_tasks_and_languages_by_its_tags_too():
    tags = ["task_categories:summarization", "task_categories:nonsense", "language:de", "language:pt-br", "region:us"]
    entry = read_row("dataset", {"id": "a/b", "tags": tags}, NOW)

    assert isinstance(entry, CatalogEntry)
    assert (entry.tasks, entry.languages) == (("summarization",), ("de", "pt-BR"))


def test_no_entry_is_larger_than_a_record_may_be():
    """Whatever somebody writes into a card: a record that Kafka refuses would end every round at its page."""
    wide = "\U0001f600" * 256
    told = {
        "id": "a" * 96 + "/" + "b" * 96, "author": wide, "library_name": wide, "pipeline_tag": wide, "inference": wide,
        "description": wide * 100, "tags": [wide[:250] + f"{number:06}" for number in range(5_000)],
        "model-index": [{"results": [{"dataset": {"name": wide}, "task": {"type": wide},
                                      "metrics": [{"type": wide, "value": n}]} for n in range(500)]}],
        "inferenceProviderMapping": [{"provider": wide[:60] + str(n), "providerId": wide, "task": "conversational",
                                      "status": wide[:32]} for n in range(500)],
        "securityRepoStatus": {"scansDone": True, "filesWithIssues": [{"path": wide, "level": "unsafe"}] * 500},
        "safetensors": {"parameters": {wide[:30] + f"{n:02}": 10**18 for n in range(32)}},
        "cardData": {"license": [wide[:128]] * 8, "language": [f"en-{n:03}" for n in range(256)],
                     "base_model": ["c" * 96 + "/" + f"{n:096}" for n in range(32)]},
    }  # fmt: skip
    entry = read_row("model", told, NOW)

    assert isinstance(entry, CatalogEntry)
    assert 500_000 < len(written(entry)) < RECORD_LIMIT_BYTES - 100_000
