"""The page Costs: sums of the ledger, to the nano-dollar, as a table, as JSON and as CSV."""

import csv
import io

import pytest
from console_world import NOON, Story
from live_world import HOSTILE, pages

from runtime.ports import Outgoing
from schemas.decision import DecisionBatch, Reserve
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.topics import DECISIONS, LEDGER

FORMULA = '=HYPERLINK("http://evil.example","x")'


@pytest.fixture
def world(tmp_path):
    with pages(tmp_path) as world:
        yield world


def spent(world, job_id, tenant, *amounts, model="org/small", partition=0):
    """A job that was decided and settled with these charges; negative: it may have been paid."""
    story = Story(job_id=job_id, tenant=tenant)
    story.write(world.log)
    charges = [
        Charge(model=model, provider="groq", nanousd=abs(one), source="estimated" if one < 0 else "computed",
               ambiguous=one < 0, attempt=number)
        for number, one in enumerate(amounts, 1)
    ]  # fmt: skip
    total = sum(map(abs, amounts))
    entry = LedgerEntry(
        kind="settle", tenant=tenant, job_id=job_id, submission=1, decision_id=story.decision.decision_id,
        reserved_nanousd=10_000, cost_nanousd=total, charges=charges, status="succeeded", task="chat-completion",
        at=NOON, by="worker",
    )  # fmt: skip
    batch = LedgerBatch(lane="novix-worker-text.inference.text.v1.0", entries=[entry])
    world.wrote(story.outgoing_decision, story.outgoing_result)
    world.wrote(Outgoing(LEDGER.name, None, batch.model_dump_json().encode(), partition=partition))


def rows(world, by, **more):
    told = world.client.get("/api/costs", params={"by": by, **more}).json()
    return {row["name"]: (row["nanousd"], row["ambiguous_nanousd"]) for row in told["rows"]}, told["total"]


def test_sums_are_those_of_the_ledger_and_what_may_have_been_paid_is_told_apart(world):
    spent(world, "a", "acme", 1_000, -501)
    spent(world, "b", "acme", 7)
    spent(world, "c", "zeta", 1_000_000_000_003, model="org/large")

    by_tenant, total = rows(world, "tenant")

    assert by_tenant == {"acme": (1_508, 501), "zeta": (1_000_000_000_003, 0)}
    assert total["nanousd"] == 1_000_000_001_511
    assert rows(world, "model")[0] == {"org/small": (1_508, 501), "org/large": (1_000_000_000_003, 0)}
    assert rows(world, "tenant", tenant="acme")[1]["nanousd"] == 1_508
    seen = world.get("/costs?by=tenant")
    assert [seen.row("acme")[at] for at in (1, 3)] == ["$0.000001508", "$0.000000501"]
    assert "$1000.000001511" in seen.text


def test_a_job_that_fell_back_counts_with_each_provider_and_once_in_the_total(world):
    """Its first candidate may have charged and did not answer; its quote is one quote, and one job is one job."""
    story = Story(job_id="a", tenant="acme")
    story.write(world.log)
    charges = [
        Charge(model="org/small", provider="groq", nanousd=501, source="estimated", ambiguous=True, attempt=1),
        Charge(model="org/other", provider="together", nanousd=1_000, source="computed", attempt=2),
    ]
    entry = LedgerEntry(
        kind="settle", tenant="acme", job_id="a", submission=1, decision_id="d", reserved_nanousd=10_000,
        cost_nanousd=1_501, charges=charges, status="succeeded", task="chat-completion", at=NOON,
    )  # fmt: skip
    reserve = Reserve(nanousd=10_000, expected_nanousd=900, quoted_nanousd=2_000)
    decision = DecisionBatch(lane="r", decisions=[story.decision.model_copy(update={"reserve": reserve})])
    world.wrote(Outgoing(DECISIONS.name, None, decision.encode(), partition=0), story.outgoing_result)
    batch = LedgerBatch(lane="novix-worker-text.inference.text.v1.0", entries=[entry])
    world.wrote(Outgoing(LEDGER.name, None, batch.encode(), partition=0))

    assert rows(world, "provider")[0] == {"groq": (501, 501), "together": (1_000, 0)}
    assert rows(world, "model")[0] == {"org/small": (501, 501), "org/other": (1_000, 0)}
    for by in ("provider", "model", "tag", "tenant", "day", "status"):
        whole = rows(world, by)[1]
        told = [whole[name] for name in ("jobs", "nanousd", "ambiguous_nanousd", "quoted_nanousd")]
        assert told == [1, 1_501, 501, 2_000], by


def test_a_window_leaves_out_what_was_decided_elsewhere_and_says_its_bounds(world):
    spent(world, "a", "acme", 1_000)
    assert rows(world, "day", since="24h")[0] == {"2026-11-22": (1_000, 0)}
    assert rows(world, "day", since="2026-11-23")[0] == {}
    assert "since 2026-11-23" in world.get("/costs?since=2026-11-23").text
    assert "the last 7 days" in world.get("/costs?since=7d").text


def test_a_window_that_is_none_is_told_and_not_guessed(world):
    seen = world.get("/costs?since=soon&by=nonsense")
    assert "since=soon" in seen.text
    assert seen.is_safe


def test_csv_has_one_line_a_group_in_nanodollars_and_no_formula(world):
    spent(world, "a", "acme", 1_000, model=FORMULA)
    spent(world, "b", "acme", 5, model="+1")
    spent(world, "c", "acme", 6, model='quo"te,comma')

    answer = world.client.get("/costs.csv?by=model")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    head, *lines = csv.reader(io.StringIO(answer.text, newline=""))
    assert head == ["name", "jobs", "paid_nanousd", "of_it_ambiguous_nanousd", "quoted_nanousd"]
    assert {line[0]: line[2] for line in lines} == {f"'{FORMULA}": "1000", "'+1": "5", 'quo"te,comma': "6"}
    assert answer.text.count("\r\n") == 4


def test_each_row_leads_to_its_jobs(world):
    spent(world, "a", "acme", 1_000)
    [address] = [link for link in world.get("/costs?by=tenant&since=24h").links if link.startswith("/?q=")]
    assert "a" in {one["job_id"] for one in world.client.get(address.replace("/?", "/api/jobs?")).json()["jobs"]}


def test_names_of_others_stay_text(world):
    spent(world, "a", "<b>acme</b>".replace("/", "|"), 1_000, model=HOSTILE)
    for by in ("tenant", "model", "provider", "day"):
        assert world.get(f"/costs?by={by}").is_safe
    assert world.get("/costs", {"tenant": HOSTILE, "since": HOSTILE}).is_safe


def test_nothing_spent_is_said(world):
    assert "Nothing was spent" in world.get("/costs").text
