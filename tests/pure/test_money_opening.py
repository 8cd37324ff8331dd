"""What a lane knows of money when it opens: from the log, and from a snapshot."""

import asyncio

import pytest
from books_world import LANE, NOON, TENANT, World, batch, budget, charge, decision, entry, job, ledger_record, said

from router.accounts import Accounts
from router.fold import UnreadableDecisions
from router.money.books import Books
from router.money.opening import LostLog, UnreadableLedger
from router.money.snapshots import AT_FIRST, FORM
from runtime.ports import Outgoing, Record
from schemas import codec
from schemas.accounts import AccountRecord, Tenant
from schemas.decision import DecisionBatch
from schemas.ledger import LedgerBatch
from schemas.snapshot import Snapshot
from schemas.topics import BUDGETS, DECISIONS, LEDGER, SNAPSHOTS

# the log


def test_an_opened_lane_knows_what_was_committed_and_nothing_else():
    world = World(budget("all"))
    world.decide("a1", 300)
    world.decide("a2", 200)
    world.end(entry("a1", charge(120)))
    world.books.reserve(decision(world.accounts, "a3", 50))

    opened = world.reopened()

    assert [line.spent_nanousd for line in opened.purse(job(), NOON).lines] == [120]
    assert [(one.identity, one.nanousd) for one in opened.open_jobs(NOON)] == [("acme/a2", 200)]
    assert (opened.sequence, opened.sealed([], 3), opened.sequence) == (2, 3, 5)
    assert opened.ledger_next == world.log.ends[LEDGER.name, 0]
    assert (opened.describe()["since"], opened.describe()["snapshot"]) == (None, None)


def test_a_decision_of_the_time_before_there_was_money_reserves_nothing():
    world = World(budget("all"))
    old = {name: value for name, value in decision(world.accounts).items() if name not in ("reserve", "team", "key_id")}
    out = batch(0, [old])
    assert DecisionBatch.model_fields["sequence"].default == 0
    world.log.commit([out])

    assert world.reopened().describe()["open"] == 0


def test_a_decision_without_a_version_of_the_accounts_is_counted_as_they_are_now():
    world = World(Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Tokyo"), budget("t", tag=("a", "b"), window="hour"))
    world.decide("a1", versions={}, metadata={"a": "b"})

    assert world.held("t", metadata={"a": "b"}) == (0, 100)


def test_an_end_that_was_written_with_an_earlier_time_than_its_decision_waits_for_it():
    world = World(budget("all"))
    later = Outgoing(LEDGER.name, b"0", LedgerBatch(lane="w", entries=[entry("a1", charge(9))]).encode(), partition=0)
    world.log.commit([later], timestamp_ms=1_000)
    world.log.commit([batch(1, [decision(world.accounts, "a1", 100)])], timestamp_ms=2_000)

    world.books = world.reopened()

    assert (world.held(), world.books.reports.unknown) == ((9, 0), 0)


def test_of_two_ends_of_one_decision_the_first_in_the_log_counts_whichever_times_they_were_written_with():
    """As it did in the lane's last owner, which read them in this order."""
    world = World(budget("all"))
    for told, at in ((9, 1_000), (80, 3_000)):
        ended = LedgerBatch(lane="w", entries=[entry("a1", charge(told))]).encode()
        world.log.commit([Outgoing(LEDGER.name, b"0", ended, partition=0)], timestamp_ms=at)
    world.log.commit([batch(1, [decision(world.accounts, "a1", 100)])], timestamp_ms=2_000)

    world.books = world.reopened()

    assert (world.held(), world.books.reports.repeated) == ((9, 0), 1)


def test_a_log_whose_beginning_is_gone_says_since_when_ends_are_known():
    world = World(budget("all"))
    world.log.append(batch(1, [decision(world.accounts, "a1")]))
    world.log.append(batch(2, [decision(world.accounts, "a2")]), timestamp_ms=1_000)
    del world.log.records[DECISIONS.name, 0][0]

    opened = world.reopened()

    assert opened.describe()["since"] == "1970-01-01T00:00:01+00:00"


def test_batches_that_are_gone_are_counted():
    world = World()
    world.log.commit([batch(number, [decision(world.accounts, f"a{number}")]) for number in (1, 2, 5)])

    assert world.reopened().describe()["lost_batches"] == 2


@pytest.mark.parametrize(
    "value", [b"{", b"[]", b'{"decisions":[{"reserve":{"nanousd":1},"verdict":"assigned"}]}', None]
)
def test_a_lane_does_not_open_on_decisions_that_no_router_wrote(value: bytes | None):
    world = World()
    world.log.commit([Outgoing(DECISIONS.name, b"0", value, partition=0)])

    with pytest.raises(UnreadableDecisions, match=rf"^{DECISIONS.name}/0/0 is no decision batch"):
        world.reopened()


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"lane":"w","entries":[{"kind":"settle"}]}'])
def test_a_lane_does_not_open_on_a_ledger_that_no_lane_wrote(value: bytes):
    world = World(budget("all"))
    world.log.commit([Outgoing(LEDGER.name, b"0", value, partition=0)])

    with pytest.raises(UnreadableLedger, match=rf"^{LEDGER.name}/0/0 is no ledger batch"):
        world.reopened()


def test_a_record_of_the_ledger_that_cannot_be_read_is_passed_over_once_it_was_told():
    world = World(budget("all"))
    world.decide("a1")

    with pytest.raises(UnreadableLedger):
        world.books.fold_ledger(Record(LEDGER.name, 0, 0, None, b"{", (), 0))
    assert world.books.fold_ledger(Record(LEDGER.name, 0, 1, None, None, (), 0)) == []
    assert len(world.books.fold_ledger(ledger_record(entry("a1"), offset=2))) == 1


def test_a_lane_that_moves_to_a_process_which_is_behind_counts_as_its_last_owner_did():
    """The zone and the labels of the decision's version decide, and the new process has not heard of them yet."""
    world = World(Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Tokyo"), budget("t", tag=("a", "b"), window="hour"))
    world.log.counts[BUDGETS.name] = 1
    for event in (Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Tokyo"), budget("t", tag=("a", "b"), window="hour")):
        world.log.append(Outgoing(BUDGETS.name, b"", AccountRecord(event=event).encode(), partition=0))
    world.decide("a1", metadata={"a": "b"})

    behind = Accounts()
    world.books = asyncio.run(Books.open(LANE, world.log, behind, NOON))

    assert behind.version == world.accounts.version
    assert world.held("t", metadata={"a": "b"}) == (0, 100)
    assert [one.window for one in world.books.purse(job(metadata={"a": "b"}), NOON).lines] == ["2026-11-22T21"]


def test_a_lane_that_opens_after_its_tenant_has_moved_counts_in_the_windows_of_each_decisions_own_zone():
    tokyo, utc = (Tenant(at=NOON, tenant=TENANT, time_zone=zone) for zone in ("Asia/Tokyo", "UTC"))
    world = World(tokyo, budget("all", window="hour"))
    world.decide("a1")
    said(world.accounts, utc)

    world.books = world.reopened()
    world.end(entry("a1", charge(30)))

    assert world.held() == (0, 0)
    said(world.accounts, tokyo)
    assert (world.line().window, world.held()) == ("2026-11-22T21", (30, 0))


def test_a_label_that_a_budget_names_once_more_is_known_since_it_was_named_first():
    """A budget of it was raised after the job was decided: what that reserved is still its own."""
    world = World(budget("prod", 100, tag=("env", "prod")), budget("red", 100, team="red"))
    world.decide("a1", metadata={"env": "prod"}, team="red")
    said(world.accounts, budget("prod", 300, tag=("env", "prod")), budget("red", 300, team="red"))

    world.books = world.reopened()

    assert (world.held("prod", metadata={"env": "prod"}), world.held("red", team="red")) == ((0, 100), (0, 100))


# snapshots


def filled() -> World:
    """Something of everything, in several parts."""
    world = World(budget("all"), budget("red", team="red"), budget("prod", tag=("env", "prod"), window="month"))
    for number in range(30):
        world.decide(f"a{number}", 10, team="red" if number % 2 else None, metadata={"env": "prod"})
    world.end(*(entry(f"a{number}", charge(number)) for number in range(0, 20, 3)), entry("a1", by="ops"), entry("a2"))
    world.end(entry("a5", charge(3, ambiguous=True)), entry("lost", charge(8)))
    return world


def same(one: Books, other: Books) -> None:
    asker = job(team="red", metadata={"env": "prod"})
    assert one.purse(asker, NOON) == other.purse(asker, NOON)
    assert one.open_jobs(NOON) == other.open_jobs(NOON)
    assert {**one.describe(), "snapshot": ""} == {**other.describe(), "snapshot": ""}
    assert list(one._ended) == list(other._ended)
    assert one._tenants[TENANT].sums == other._tenants[TENANT].sums
    assert list(one._tenants[TENANT].sums) == list(other._tenants[TENANT].sums)
    assert list(one._tenants[TENANT].payers) == list(other._tenants[TENANT].payers)


def test_a_snapshot_is_the_fold_that_it_stands_for():
    world = filled()
    parts = world.snapshot(2_000)
    assert len(parts) > 2
    assert [part.key for part in parts] == [f"0/{number}".encode() for number in range(len(parts))]
    assert all(len(part.value or b"") <= 2_000 for part in parts)
    read = [Snapshot.model_validate_json(part.value or b"") for part in parts]
    assert {one.snapshot_id for one in read} == {read[0].snapshot_id}
    assert [(one.part, one.parts, one.form) for one in read] == [(n, len(parts), FORM) for n in range(len(parts))]

    opened = world.reopened()

    assert opened.describe()["snapshot"] == read[0].snapshot_id
    same(opened, world.books)


def test_what_may_have_been_paid_counts_by_its_own_place_after_a_snapshot_too():
    world = World(Tenant(at=NOON, tenant=TENANT, ambiguous="estimate"), budget("all"))
    places = (("m/a", "groq", 30), ("m/b", "together", 7))
    candidates = [{"model": model, "provider": at, "estimate_nanousd": each} for model, at, each in places]
    world.decide("a1", candidates=candidates)
    world.snapshot()

    world.books = world.reopened()
    world.end(entry("a1", charge(90, ("m/b", "together"), ambiguous=True)))

    assert world.held() == (7, 0)


def test_a_lane_that_opens_from_a_snapshot_reads_no_decision_before_it():
    world = filled()
    asyncio.run(world.books.mark(0, world.log, 60))
    world.snapshot()
    world.decide("b1", 10)
    world.log.reads = 0

    opened = world.reopened()

    assert world.log.reads == 2, "the snapshot and the one decision behind it"
    assert opened.sequence == world.books.sequence
    same(opened, world.books)


def test_a_lane_that_writes_no_decision_of_its_own_reads_as_little_of_them_at_its_next_opening():
    world = filled()
    world.books = world.reopened()
    world.snapshot()
    world.log.reads = 0

    opened = world.reopened()

    assert world.log.reads == 1, "the snapshot"
    same(opened, world.books)


def test_since_when_ends_are_known_is_told_of_in_a_snapshot_too():
    world = World(budget("all"))
    world.log.append(batch(1, [decision(world.accounts, "a1")]))
    world.log.append(batch(2, [decision(world.accounts, "a2")]), timestamp_ms=1_000)
    del world.log.records[DECISIONS.name, 0][0]
    world.books = world.reopened()
    world.snapshot()

    assert world.reopened().describe()["since"] == "1970-01-01T00:00:01+00:00"


def test_what_is_noted_and_in_no_transaction_is_in_no_snapshot():
    world = World(budget("all"))
    world.decide("a1", 10)
    world.books.reserve(decision(world.accounts, "a2", 20))
    world.snapshot()

    assert [one.identity for one in world.reopened().open_jobs(NOON)] == ["acme/a1"]
    assert world.held() == (0, 30)


def test_the_last_batch_that_a_snapshot_holds_is_not_folded_again_behind_it():
    world = World(budget("all"))
    world.decide("a1")
    world.end(entry("a1", charge(40)))
    world.snapshot()

    world.books = world.reopened()

    assert (world.held(), world.books.describe()["open"]) == ((40, 0), 0)


def test_a_snapshot_is_found_however_many_records_lie_behind_it():
    world = filled()
    world.snapshot()
    for _ in range(AT_FIRST * 3):
        world.log.append(Outgoing(SNAPSHOTS.name, b"0/7", b"{}", partition=0))

    assert world.reopened().describe()["snapshot"] is not None


def test_sums_beyond_what_json_holds_stop_no_decision_and_no_snapshot():
    """A provider that claims a million dollars a call, ten thousand times."""
    world = World(budget("all", 10**15))
    claimed = [charge(10**15, ambiguous=True)]
    for number in range(100):
        world.end(*(entry(f"x{number}-{n}", *claimed) for n in range(100)))
    world.decide("a1", 5)

    line = world.line()
    assert (line.spent_nanousd, line.available_nanousd) == (2**63 - 1, 0)
    assert b"9223372036854775807" in line.told().plain()
    world.snapshot()
    assert world.reopened().purse(job(), NOON) == world.books.purse(job(), NOON)


@pytest.mark.parametrize("damage", ["torn", "form", "rows", "unreadable"])
def test_a_snapshot_that_cannot_be_read_leaves_the_log_to_be_folded_from_its_beginning(damage: str):
    world = filled()
    world.snapshot(2_000)
    place = SNAPSHOTS.name, 0
    records = world.log.records[place]
    if damage == "torn":
        del records[1]
    else:
        changed = []
        for record in records:
            document = codec.decode(record.value or b"")
            if damage == "rows":
                document["state"]["rows"] = [["spent", "nobody", 0, "m", "p", {"2026-11": 1}]]
            document["form"] = FORM + 1 if damage == "form" else FORM
            value = b"{" if damage == "unreadable" else codec.encode(document)
            changed.append(Record(*place, record.offset, record.key, value, (), 0))
        world.log.records[place] = changed

    opened = world.reopened()

    assert opened.describe()["snapshot"] is None
    same(opened, world.books)


def test_the_newest_whole_snapshot_is_read_where_a_later_one_is_torn():
    world = filled()
    world.snapshot(2_000)
    world.decide("b1", 10)
    later = world.snapshot(2_000)
    world.log.records[SNAPSHOTS.name, 0].remove(later[-1])

    opened = world.reopened()

    assert opened.describe()["snapshot"] == Snapshot.model_validate_json(
        world.log.records[SNAPSHOTS.name, 0][0].value or b""
    ).snapshot_id  # fmt: skip
    same(opened, world.books)


@pytest.mark.parametrize("topic", [DECISIONS.name, LEDGER.name])
def test_a_lane_does_not_open_where_the_log_ends_before_its_snapshot(topic: str):
    world = filled()
    asyncio.run(world.books.mark(0, world.log, 60))
    world.snapshot()
    world.log.ends[topic, 0] = 1
    world.log.records[topic, 0] = []

    with pytest.raises(LostLog, match="end at 1; a snapshot was taken at"):
        world.reopened()


def test_a_snapshot_is_due_after_so_many_decisions():
    world = World()
    world.decide("a1")
    assert not world.books.due(2)
    world.decide("a2")
    assert world.books.due(2)
    world.snapshot()
    assert not world.books.due(2)
