"""`novix prices`: what holds, what held, what waits; and the operator's word."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from price_world import GROQ, MODEL, NOVITA, event, tokens

from router.prices.poller import record_of
from runtime.ports import Outgoing
from schemas.prices import PriceEvent
from schemas.topics import PRICES

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
DOLLAR = 10**9


def tell(log, *told: PriceEvent) -> None:
    for one in told:
        outgoing = record_of(one)
        ms = int(one.seen_at.timestamp() * 1000)
        log.append(Outgoing(outgoing.topic, outgoing.key, outgoing.value, (), 0, ms))


def events(log) -> list[PriceEvent]:
    return [PriceEvent.model_validate_json(one.value) for one in log.records.get((PRICES.name, 0), [])]


@pytest.fixture
def told(log):
    tell(
        log,
        event(tokens(DOLLAR // 2, 2 * DOLLAR), NOW - 2 * HOUR, provider=NOVITA),
        event(tokens(DOLLAR, 4 * DOLLAR), NOW - 2 * HOUR, provider=GROQ),
        event(tokens(DOLLAR // 4, DOLLAR), NOW - HOUR, provider=NOVITA, moved_ppm=500_000),
        event(tokens(999 * DOLLAR, DOLLAR), NOW - HOUR / 2, provider=NOVITA, state="held", reason="grew by far"),
    )
    log.append(Outgoing(PRICES.name, b"x", b"no json", (), 0))
    return log


def test_the_price_that_holds_is_shown_with_its_source_and_what_waits(novix, told):
    done = novix("prices", MODEL)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [f"{GROQ}/{MODEL}", f"{NOVITA}/{MODEL}"]
    assert rows[1][2:4] == ["0.25 in/Mtok, 1 out/Mtok", "router"]
    assert rows[1][5] == "another waits for approval"
    assert "approve" in done.stderr


def test_a_part_of_a_models_name_finds_it_and_a_provider_narrows_it(novix, told):
    [line] = json.loads(novix("prices", "ORG/mod", "--provider", GROQ, "--json").stdout)
    assert line["price"]["input_nanousd_per_million_tokens"] == DOLLAR
    assert novix("prices", MODEL, "--provider", "nobody").exit_code == 3


def test_a_price_is_what_it_was_at_an_instant(novix, told):
    """A61."""
    then = (NOW - HOUR - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    [line] = json.loads(novix("prices", "show", MODEL, "--provider", NOVITA, "--at", then, "--json").stdout)
    assert line["price"]["input_nanousd_per_million_tokens"] == DOLLAR // 2
    assert novix("prices", MODEL, "--at", "yesterday-ish").exit_code == 2


def test_the_history_has_every_statement_with_what_became_of_it(novix, told):
    rows = [line.split("\t") for line in novix("prices", "--history", MODEL, "--provider", NOVITA).stdout.splitlines()]
    assert [row[5] for row in rows] == ["accepted", "accepted", "held"]
    assert [row[6] for row in rows] == ["-", "50 %", "-"]
    assert rows[2][8] == "grew by far"


def test_the_catalogues_prices_are_shown_where_nobody_has_said_anything(novix, log):
    lines = json.loads(novix("prices", "openai/gpt-oss-20b", "--json").stdout)
    assert {line["provider"] for line in lines} >= {"groq", "fireworks-ai"}
    assert all(line["price"] is not None and line["valid_from"] is None for line in lines)


def test_the_spread_of_a_model_names_its_cheapest_and_its_dearest(novix, told):
    """U28."""
    [line] = novix("prices", "spread", MODEL).stdout.splitlines()
    assert line.split("\t") == [MODEL, "2", f"{NOVITA} 0.4375", f"{GROQ} 1.75", "4.00x"]


def test_an_approval_is_a_new_statement_with_the_same_price(novix, told):
    done = novix("prices", "approve", f"{NOVITA}/{MODEL}")
    assert done.exit_code == 0, done.stderr
    *_, held, approved = events_but_the_unreadable(told)
    assert (approved.price, approved.source, approved.state) == (held.price, "router", "accepted")
    assert approved.by.startswith("novix prices approve by ")
    assert approved.valid_from >= NOW
    assert novix("prices", "approve", f"{NOVITA}/{MODEL}").exit_code == 3


def events_but_the_unreadable(log) -> list[PriceEvent]:
    records = [one for one in log.records[PRICES.name, 0] if one.value != b"no json"]
    return [PriceEvent.model_validate_json(one.value) for one in records]


def test_a_price_of_zero_holds_as_free_once_it_is_approved(novix, log):
    tell(log, event(tokens(0, 0), NOW, state="held", reason="zero"))
    assert json.loads(novix("prices", MODEL, "--json").stdout)[0]["price"] is None
    assert "free" in novix("prices", "approve", f"{NOVITA}/{MODEL}").stdout
    assert events(log)[-1].price.is_free


def test_what_was_never_a_price_cannot_be_approved(novix, log):
    tell(log, event(None, NOW, state="held", reason="the price of input is negative: -1 dollars"))
    done = novix("prices", "approve", f"{NOVITA}/{MODEL}")
    assert done.exit_code == 3
    assert "negative" in done.stderr


def test_the_operators_word_is_written_exactly_and_withdrawn_again(novix, told):
    done = novix("prices", "set", f"{NOVITA}/{MODEL}", "--input", "0.000000001", "--output", "1.1", "--json")
    said = json.loads(done.stdout)
    assert (said["source"], said["price"]["input_nanousd_per_million_tokens"]) == ("operator", 1)
    assert said["price"]["output_nanousd_per_million_tokens"] == 1_100_000_000
    assert said["moved_ppm"] > 100_000
    assert novix("prices", "unset", f"{NOVITA}/{MODEL}").exit_code == 0
    assert events_but_the_unreadable(told)[-1].price is None
    assert novix("prices", "unset", f"{NOVITA}/{MODEL}").exit_code == 3


def test_what_is_withdrawn_does_not_come_back_with_a_day_that_had_been_named_for_it(novix, log):
    name = f"{NOVITA}/{MODEL}"
    assert novix("prices", "set", name, "--input", "1", "--from", "2126-01-01T00:00:00Z").exit_code == 0
    assert novix("prices", "unset", name).exit_code == 0
    assert json.loads(novix("prices", MODEL, "--at", "2126-01-02T00:00:00Z", "--json").stdout) == []


def test_a_word_with_a_day_of_the_past_holds_from_now_on_against_an_earlier_one(novix, log):
    name = f"{NOVITA}/{MODEL}"
    assert novix("prices", "set", name, "--input", "1").exit_code == 0
    assert novix("prices", "set", name, "--input", "2", "--from", "2026-01-01T00:00:00Z").exit_code == 0
    [line] = json.loads(novix("prices", MODEL, "--json").stdout)
    assert line["price"]["input_nanousd_per_million_tokens"] == 2 * DOLLAR


def test_a_price_by_the_image_of_a_provider_that_nobody_lists_can_be_said(novix, log):
    """U19: what has no public price gets one in its own unit."""
    assert novix("prices", "set", "fal-ai/org/picture", "--image", "0.04", "--tier", "batch").exit_code == 0
    [said] = events(log)
    assert (said.price.nanousd_per_image, said.service_tier, said.price.service_tier) == (40_000_000, "batch", "batch")


@pytest.mark.parametrize(
    "arguments",
    [
        ["novita"], ["/org/model", "--input", "1"], ["novita/org/model"], ["novita/org/model", "--input", "-1"],
        ["novita/org/model", "--input", "nan"], ["novita/org/model", "--input", "0"],
        ["novita/org/model", "--input", "1", "--free"], ["novita/org/model", "--input", "1000001"],
        ["novita/org/model", "--input", "0.0000000001"], ["novita/org/model", "--input", "1", "--from", "soon"],
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused_before_anything_is_written(novix, log, arguments):
    done = novix("prices", "set", *arguments)
    assert done.exit_code == 2, done.output
    assert events(log) == []


def entry(provider: str, inp: object, out: object) -> dict[str, object]:
    return {"provider": provider, "status": "live", "pricing": {"input": inp, "output": out}}


def test_a_list_that_somebody_fetched_is_judged_and_its_news_are_written_once(novix, told, tmp_path):
    """The bad ones among them are held and the old price stays: 999 dollars was told before and still waits."""
    entries = [
        entry(NOVITA, 999, 1),
        entry(GROQ, 1, 0),
        entry("together", 1, 3),
        entry("nscale", -1, 3),
        entry("x", 0, 0),
    ]
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"data": [{"id": MODEL, "providers": entries}]}))

    tried = novix("prices", "import", file, "--dry-run")
    assert len(told.records[PRICES.name, 0]) == 5
    done = novix("prices", "import", file)

    rows = {row[0].partition("/")[0]: row[1:] for row in (line.split("\t") for line in done.stdout.splitlines())}
    assert tried.stdout == done.stdout
    assert done.exit_code == 1
    assert {name: row[1] for name, row in rows.items()} == {
        GROQ: "held", "together": "accepted", "nscale": "held", "x": "held"
    }  # fmt: skip
    assert "negative" in rows["nscale"][2]
    assert len(told.records[PRICES.name, 0]) == 9
    again = novix("prices", "import", file)
    assert (again.exit_code, again.stdout) == (0, "")


@pytest.mark.parametrize("body", ["", "[]", '{"data": []}', "\0"])
def test_what_is_no_list_is_refused_by_name(novix, log, tmp_path, body):
    file = tmp_path / "models.json"
    file.write_text(body)
    done = novix("prices", "import", file)
    assert done.exit_code == 2
    assert "models.json" in done.stderr
    assert novix("prices", "import", tmp_path / "none.json").exit_code == 2
