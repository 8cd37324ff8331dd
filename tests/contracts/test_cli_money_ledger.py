"""`novix ledger`: balance, statement, open, ambiguous, release, reconcile."""

import json
import socket
from datetime import UTC, datetime, timedelta

import pytest
from console_world import Story
from money_log import LARGE, NOON, SMALL, account, charge, decided, ended, ms, outgoing_decision, outgoing_end

from console.money import sandbox_bill, watch
from runtime.ports import Outgoing
from schemas import headers
from schemas.accounts import Organisation, Transfer
from schemas.ledger import LedgerBatch
from schemas.topics import DECISIONS, DLQ, LEDGER, RETRY_TIERS, TEXT

PROMPT = "canary prompt"
DONE = decided("done", 9_000, team="red", metadata={"project": "x"}, places=(SMALL, LARGE))
UNSURE = decided("unsure", 7_000, at=NOON + timedelta(hours=1))
FREE = decided("free", 4_000, tenant="other")
OPEN = decided("open", 5_000, team="blue")


def place(log, *decisions):
    for decision in decisions:
        log.append(outgoing_decision(decision, log.partitions))


def end(log, decision, *charges, **more):
    log.append(outgoing_end(ended(decision, *charges, **more), log.partitions))


@pytest.fixture
def spent(log):
    """Two jobs that paid, one that may have, one that did not, one that is open; two tenants."""
    place(log, DONE, UNSURE, FREE, OPEN)
    end(
        log,
        DONE,
        charge(1_200, request_id="r-1"),
        charge(300, LARGE, attempt=2, request_id="r-2", service_tier="batch"),
    )
    end(log, UNSURE, charge(7_000, ambiguous=True, source="estimated"))
    end(log, FREE)
    return log


def told(novix, *words, code=0):
    done = novix("ledger", *words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


# balance and statement


def test_the_ledger_balances_and_says_what_is_open_and_what_may_have_been_paid(novix, spent):
    spent.append(account(Organisation(at=NOON, organisation="org")))
    spent.append(account(Transfer(at=NOON, id="t", organisation="org", tenant="acme", budget="b", nanousd=50_000)))

    found = told(novix, "balance")
    lines = novix("ledger", "balance").stdout.splitlines()

    assert (found["balanced"], found["sum_nanousd"], found["cost_nanousd"], found["open_nanousd"]) == (
        True,
        0,
        8_500,
        5_000,
    )
    assert (found["reserves"], found["settles"], found["releases"], found["transfers"]) == (4, 2, 1, 1)
    assert (found["ambiguous"], found["ambiguous_nanousd"], found["whole_log"]) == (1, 7_000, True)
    assert found["accounts"] == {
        "organisation/org/allotted": -50_000,
        "provider/groq/ambiguous": 7_000,
        "provider/groq/payable": 1_200,
        "provider/together/payable": 300,
        "tenant/acme/budget": 50_000 - 8_500 - 5_000,
        "tenant/acme/reserved": 5_000,
    }
    assert "sum $0.00 over 4 reserves, 2 settles, 1 release, 1 transfer: it balances" in lines


def test_an_entry_that_does_not_add_up_is_told_and_fails(novix, log):
    place(log, DONE)
    end(log, DONE, charge(1_200), cost_nanousd=1_000)

    assert told(novix, "balance", code=1)["faults"] == ["providers are owed 1200 nano-dollars; entries cost 1000"]


def test_an_end_that_is_told_twice_counts_once_and_is_named(novix, spent):
    end(spent, DONE, charge(1_200))
    spent.append(Outgoing(LEDGER.name, b"0", b"no json", partition=0))

    found = told(novix, "balance")

    assert (found["cost_nanousd"], found["repeated_entries"], found["unreadable"]) == (8_500, 1, 1)
    assert "told an end a second time" in novix("ledger", "balance").stderr


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["acme"], [("org/small", 8_200), ("org/large", 300)]),
        (["acme", "--by", "tier"], [("standard", 8_200), ("batch", 300)]),
        (["acme", "--by", "team,tag:project"], [("-", "-", 7_000), ("red", "x", 1_500)]),
        (["--by", "tenant"], [("acme", 8_500), ("other", 0)]),
        (["acme", "--by", "source", "--since", "2026-11-22T12:30:00Z"], [("estimated", 7_000)]),
        (["acme", "--by", "job", "--until", "2026-11-22T12:30:00Z"], [("acme/done/1", 1_500)]),
        (["nobody"], []),
    ],
)
def test_a_statement_sums_by_what_is_asked_for(novix, spent, words, groups):
    found = told(novix, "statement", *words)

    rows = [(*(group[name] for name in found["by"]), group["nanousd"]) for group in found["groups"]]
    assert rows == groups
    assert found["total"]["nanousd"] == sum(row[-1] for row in rows)


def test_a_statement_tells_what_is_reserved_and_what_is_not_certain(novix, spent):
    done = novix("ledger", "statement", "acme")

    assert done.stdout.splitlines()[0].split("\t") == ["org/small", "2", "2", "$0.0000082", "$0.000007", "$0.00"]
    assert "total $0.0000085 by 2 jobs in 3 calls; $0.000007 of it may have been paid" in done.stdout
    assert "$0.000005 is reserved by 1 job that did not end" in done.stdout


@pytest.mark.parametrize("words", [["--by", "colour"], ["--since", "yesterday"]])
def test_what_cannot_be_summed_is_bad_usage(novix, log, words):
    assert novix("ledger", "statement", *words).exit_code == 2


# open and ambiguous


def test_open_reservations_tell_where_their_jobs_are(novix, log):
    soon, past = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
    waiting, queued, gone, late = (
        decided(name, deadline=soon if name in ("waiting", "queued") else past, at=NOON + timedelta(seconds=number))
        for number, name in enumerate(("waiting", "queued", "gone", "late"))
    )
    unsettled, aside = (decided(name, deadline=soon, at=NOON + timedelta(minutes=1)) for name in ("unsettled", "aside"))
    place(log, waiting, queued, gone, late, unsettled, aside)
    for told_headers in (
        ((headers.IDENTITY, b"acme/aside/1"),),
        ((headers.IDENTITY, b"acme/gone/1"), (headers.HAS_RESULT, b"1")),
    ):
        log.append(Outgoing(DLQ.name, b"k", PROMPT.encode(), told_headers, partition=2))
    tier = RETRY_TIERS[1][1]
    due = datetime(2026, 11, 22, 13, tzinfo=UTC)
    told_headers = (
        (headers.IDENTITY, b"acme/waiting/1"),
        (headers.NOT_BEFORE, str(ms(due)).encode()),
        (headers.CAUSE, b"rate_limited"),
    )
    log.append(Outgoing(tier.name, b"k", PROMPT.encode(), told_headers))
    log.append(Outgoing(TEXT.name, b"k", PROMPT.encode(), ((headers.IDENTITY, b"acme/queued/1"),)))
    log.append(Outgoing(TEXT.name, b"k", PROMPT.encode(), ((headers.IDENTITY, b"acme/late/1"),)))
    Story("unsettled", "acme", began=NOON + timedelta(minutes=1)).write_result(log)

    found = {one["job"].split("/")[1]: one for one in told(novix, "open", "acme", code=1)}
    done = novix("ledger", "open")

    assert f"waits in {tier.name} until 2026-11-22 13:00:00.000 UTC (rate_limited)" in found["waiting"]["why"]
    assert f"in {TEXT.name}" in found["queued"]["why"]
    assert "its result is written (succeeded), and no settle" in found["unsettled"]["why"]
    assert {name for name, one in found.items() if one["leaked"]} == {"gone", "unsettled", "aside"}
    assert "it was set aside without a result (novix dlq show 2/0)" in found["aside"]["why"]
    assert PROMPT not in done.output
    assert "novix ledger release" in done.stderr


def test_a_result_of_a_moment_ago_is_no_leak_for_the_ledger_was_read_before_it(novix, log):
    now = datetime.now(UTC)
    place(log, decided("fresh", deadline=now + timedelta(hours=1), at=now - timedelta(seconds=5)))
    Story("fresh", "acme", began=now - timedelta(seconds=4)).write_result(log)

    assert [(one["leaked"], one["why"].split(":")[0]) for one in told(novix, "open")] == [(False, "running")]


def test_what_may_wait_beyond_what_was_looked_at_is_not_called_a_leak(novix, log, monkeypatch):
    monkeypatch.setattr(watch, "MOST_BEHIND", 1)
    place(log, decided("late", deadline=datetime.now(UTC) - timedelta(hours=1), at=NOON))
    for name in (b"acme/other/1", b"acme/late/1"):
        log.append(Outgoing(TEXT.name, b"k", PROMPT.encode(), ((headers.IDENTITY, name),)))

    [one] = told(novix, "open")

    assert (one["leaked"], "2 records of a partition are not ended" in one["why"]) == (False, True)


def test_with_nothing_open_all_is_well(novix, log):
    assert told(novix, "open") == []


def test_calls_that_may_have_been_paid_are_listed_by_id(novix, spent):
    done = novix("ledger", "ambiguous")

    [one] = done.stdout.splitlines()
    assert one.split("\t")[0] == "acme/unsure/1"
    assert one.endswith("org/small at groq\tno request id\tat most $0.000007")
    assert told(novix, "ambiguous", "acme")["nanousd"] == 7_000
    assert novix("ledger", "ambiguous", "other").stdout == ""


# release


def last_entry(log, home):
    return LedgerBatch.model_validate_json(log.records[LEDGER.name, home][-1].value).entries[-1]


def test_a_leaked_reservation_is_given_back_at_its_home_with_who_and_why(novix, log):
    past = datetime.now(UTC) - timedelta(hours=1)
    leaked = decided("leaked", at=past, deadline=past + timedelta(seconds=1))
    place(log, leaked)
    [home] = [partition for topic, partition in log.records if topic == DECISIONS.name]

    done = novix("ledger", "release", "acme/leaked", "--reason", "its topic was deleted")

    entry = last_entry(log, home)
    assert "released acme/leaked/1: $0.00 spent, $0.000005 of the reserve given back" in done.stdout
    assert (entry.kind, entry.decision_id, entry.status, entry.reserved_nanousd) == (
        "release", leaked.decision_id, "expired", 5_000,
    )  # fmt: skip
    assert entry.by.startswith("novix ledger release by ")
    assert entry.by.endswith(": its topic was deleted")
    assert told(novix, "open") == []
    assert novix("ledger", "release", "acme/leaked", "--reason", "again").exit_code == 3


def test_a_reservation_whose_result_is_there_is_settled_with_what_it_cost(novix, log):
    story = Story("unsettled", "acme")
    place(log, decided("unsettled", deadline=datetime.now(UTC) + timedelta(hours=1)))
    story.write_result(log)

    entry = told(novix, "release", "acme/unsettled/1", "--reason", "its settle is missing")

    assert (entry["kind"], entry["cost_nanousd"], entry["status"]) == ("settle", 1_234, "succeeded")
    assert [(one["attempt"], one["request_id"]) for one in entry["charges"]] == [(2, "req-2")]
    assert told(novix, "balance")["cost_nanousd"] == 1_234


def test_a_job_that_may_still_be_ended_is_left_alone_unless_forced(novix, log):
    place(log, decided("running", deadline=datetime.now(UTC) + timedelta(hours=1)))

    refused = novix("ledger", "release", "acme/running", "--reason", "why not")
    forced = told(novix, "release", "acme/running", "--reason", "I know", "--force")

    assert (refused.exit_code, "may still be ended by its worker" in refused.stderr) == (3, True)
    assert (forced["kind"], forced["status"]) == ("release", "failed")


@pytest.mark.parametrize("reason", ["", "x" * 201, "two\nlines"])
def test_a_release_needs_a_reason_in_one_line(novix, spent, reason):
    before = len(spent.records[LEDGER.name, 0]) if (LEDGER.name, 0) in spent.records else 0

    assert novix("ledger", "release", "acme/open", "--reason", reason).exit_code == 2
    assert before == (len(spent.records[LEDGER.name, 0]) if (LEDGER.name, 0) in spent.records else 0)


def test_of_several_submissions_one_must_be_named(novix, log):
    place(log, decided("twice"), decided("twice", submission=2))

    done = novix("ledger", "release", "acme/twice", "--reason", "x", "--force")

    assert (done.exit_code, "acme/twice/1, acme/twice/2" in done.stderr) == (3, True)


# reconcile


BILL = [
    {"inference_id": "r-1", "at": NOON.isoformat(), "model": "org/small", "provider": "groq", "trace": "acme/done",
     "task": "chat-completion", "cost_nanousd": 1_200},
    {"inference_id": "r-2", "at": NOON.isoformat(), "model": "org/large", "provider": "together", "trace": "acme/done",
     "task": "chat-completion", "cost_nanousd": 300},
]  # fmt: skip


def bill(tmp_path, rows):
    with (tmp_path / "bill.csv").open("w", newline="") as file:
        sandbox_bill.write(rows, file)
    return tmp_path / "bill.csv"


def test_the_sandboxs_own_bill_reconciles_to_nothing_but_what_nobody_can_know(novix, spent, tmp_path):
    file = bill(tmp_path, BILL)

    strict = told(novix, "reconcile", file, code=1)
    accepted = novix("ledger", "reconcile", file, "--accept", "ambiguous")
    known = told(novix, "reconcile", file, "--until", "2026-11-22T12:30:00Z")

    assert [(one["kind"], one["job"], one["nanousd"]) for one in strict["differences"]] == [
        ("ambiguous_not_billed", "acme/unsure/1", -7_000)
    ]
    assert strict["matched"] == {"request_id": 2, "job": 0, "time": 0}
    assert accepted.exit_code == 0
    assert (known["agrees"], known["difference_nanousd"], known["differences"]) == (True, 0, [])


def test_every_difference_of_a_bill_is_named_by_line_job_and_request_id(novix, spent, tmp_path):
    paid = {**BILL[0], "inference_id": "late", "at": (NOON + timedelta(hours=1)).isoformat(), "trace": "acme/unsure",
            "cost_nanousd": 6_500}  # fmt: skip
    file = bill(
        tmp_path, [{**BILL[0], "cost_nanousd": 1_300}, BILL[1], BILL[1], {**BILL[0], "inference_id": "x"}, paid]
    )

    found = told(novix, "reconcile", file, code=1)
    lines = novix("ledger", "reconcile", file).stdout.splitlines()

    assert [(one["kind"], one["line"], one["nanousd"]) for one in found["differences"]] == [
        ("billed_not_ours", 5, 1_200),
        ("billed_twice", 4, 300),
        ("other_amount", 2, 100),
        ("ambiguous_billed", 6, -500),
    ]
    assert found["difference_nanousd"] == 1_100
    assert "difference $0.0000011" in lines
    assert any(line.startswith("billed_twice\tline 4\tacme/done\tr-2\t") for line in lines)


def test_one_provider_may_be_compared_alone(novix, spent, tmp_path):
    found = told(novix, "reconcile", bill(tmp_path, BILL), "--provider", "together")

    assert (found["rows"], found["charges"], found["agrees"]) == (1, 1, True)


@pytest.mark.parametrize(
    ("content", "words", "named"),
    [
        (b"colour,taste\n1,2\n", [], "no column for cost"),
        (b"id,cost\nr,1\nr,free\n", [], "line 3, column 'cost': 'free' is no amount"),
        (b"Call,Due\nr,1.0\n", ["--columns", "request_id=Call,cost=Owed"], "no column 'Owed' for cost"),
        (b"id,cost\nr,1\n\xff\xfe,1\n", [], "line 3: no UTF-8"),
        (b"\xff\xfei", [], "no UTF-16"),
        (b"", [], "the bill is empty"),
        (b"id,cost\n", ["--decimal", "dot"], "--decimal 'dot'"),
        (b"id,cost\n", ["--accept", "anything"], "--accept 'anything'"),
    ],
)
def test_a_file_that_is_no_bill_is_refused_with_line_and_column(novix, log, tmp_path, content, words, named):
    (tmp_path / "bill.csv").write_bytes(content)

    done = novix("ledger", "reconcile", tmp_path / "bill.csv", *words)

    assert (done.exit_code, named in done.stderr) == (2, True), done.stderr


def test_amounts_that_are_all_a_hundred_times_ours_are_probably_cents(novix, spent, tmp_path):
    (tmp_path / "bill.csv").write_text("id,amount\nr-1,0.00012\nr-2,0.00003\n")

    wrong = novix("ledger", "reconcile", tmp_path / "bill.csv")
    right = told(novix, "reconcile", tmp_path / "bill.csv", "--columns", "cost_cents=amount", "--accept", "ambiguous")

    assert (wrong.exit_code, "--columns cost_cents=amount" in wrong.stderr) == (1, True)
    assert (right["agrees"], right["sums"].keys()) == (True, {"ambiguous_not_billed"})


EXCEL = (
    "sep=;\r\n"
    "Request ID;Created At;Provider;Amount (cents)\r\n"
    "r-1;2026-11-22T12:00:00Z;Groq;0,00012\r\n"
    "r-2;2026-10-22T12:00:00Z;Groq;1.234,5\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_bill_from_a_spreadsheet_is_read_and_what_the_options_leave_out_is_told(novix, spent, tmp_path, encoding):
    (tmp_path / "bill.csv").write_bytes(EXCEL.encode(encoding))
    words = [tmp_path / "bill.csv", "--decimal", "comma", "--provider", "groq", "--since", "2026-11-01"]

    found = told(novix, "reconcile", *words, "--until", "2026-11-22T12:30:00Z")
    lines = novix("ledger", "reconcile", *words, "--accept", "ambiguous").stdout

    assert (found["agrees"], found["rows"], found["matched"]["request_id"]) == (True, 1, 1)
    assert (found["rows_left_out"], found["left_out_nanousd"]) == (1, 12_345_000_000)
    assert "cost_cents is 'Amount (cents)'" in lines
    assert "1 row left out by your options: $12.345" in lines


def test_a_bill_that_is_not_there_and_a_sandbox_that_is_none_are_told(novix, log, tmp_path):
    assert novix("ledger", "reconcile", tmp_path / "none.csv").exit_code == 2
    assert "novix up" in novix("ledger", "bill", tmp_path / "out.csv").stderr


def test_a_sandbox_that_does_not_answer_is_told_in_words(novix, log, tmp_path, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        monkeypatch.setenv("NOVIX_SANDBOX_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        done = novix("ledger", "bill", tmp_path / "out.csv")

    assert (done.exit_code, "gave no bill" in done.stderr) == (1, True), done.stderr
