"""The explorer's memory: bounded, searchable, rebuilt from nothing."""

import dataclasses
import sqlite3
import threading
from datetime import timedelta

import pytest
from console_world import NOON, Story
from index_world import AT, decided, dump, entry, everything, filled, index_of, ledger

from console.index.facts import facts_of
from console.index.pruning import DAY_MS, Keep
from console.index.query import Query, parse
from console.index.reading import Index
from console.index.statistics import MAX_POINTS, chosen, percentile
from console.index.store import Store
from runtime.telemetry import encode_spans
from schemas import codec
from schemas.topics import RESULTS


def numbered(count, **told):
    return [Story(job_id=f"j{n}", offset=n, began=NOON + timedelta(seconds=n), **told) for n in range(count)]


def facts(*stories, **options):
    return [facts_of(*record, **options) for story in stories for record in story.records]


@pytest.fixture
def opened(tmp_path):
    """A store and an index over it, with some facts."""
    made = []

    def make(some, **options):
        path = tmp_path / f"{len(made)}.sqlite"
        store = Store(path, **{"now_ms": lambda: AT, **options})
        store.add(some)
        made.extend([store, Index(path)])
        return store, made[-1]

    yield make
    for one in made:
        one.close()


def ids(listed):
    return [job["job_id"] for job in listed.rows]


def test_the_oldest_jobs_go_when_there_are_too_many_and_nothing_of_them_stays(opened, tmp_path):
    stories = numbered(300)
    store, index = opened(facts(*stories), keep=Keep(days=30, jobs=100, spans=6 * 150))
    store.prune()

    assert ids(index.jobs(Query(), limit=1_000)) == [f"j{n}" for n in range(299, 199, -1)]
    assert index.job("default", "j1") == index.records("default", "j1") == []
    assert index.spans(stories[100].trace.trace_id) == []
    assert len(index.spans(stories[150].trace.trace_id)) == 6
    assert index.state()["spans"] == 900
    kept = [record for story in stories[200:] for record in story.records]
    filled(tmp_path / "kept.sqlite", kept, keep=Keep(days=30)).close()
    left, wanted = dump(store.path), dump(tmp_path / "kept.sqlite")
    for table in ("job", "document", "record", "ledger", "identity"):
        assert left[table] == wanted[table]


def test_what_is_too_old_goes_by_age_in_small_steps(opened):
    young = Story(job_id="young", offset=900, began=NOON + timedelta(days=8))
    stories = numbered(500)
    store, index = opened(facts(*stories), keep=Keep(days=3), now_ms=lambda: AT + 9 * DAY_MS)
    first = index.totals().jobs
    store.add(facts(young))

    assert first == 300  # one step after each write, so that none of them is long
    store.prune()
    assert ids(index.jobs(Query())) == ["young"]
    posted = sqlite3.connect(store.path).execute("SELECT count(DISTINCT job) FROM posting").fetchone()[0]
    assert posted == 1


def test_dead_letters_and_alerts_go_by_age(opened):
    store, index = opened([facts_of(*one) for one in everything()], keep=Keep(days=1), now_ms=lambda: AT + 2 * DAY_MS)
    store.prune()

    assert (index.letters().total, index.alerts().total, index.totals().jobs, index.state()["broken"]) == (0, 0, 0, {})
    assert [one["state"] for one in index.breakers()] == ["closed"]  # a state is not old


def test_a_list_is_narrowed_by_each_field(opened):
    other = Story(job_id="no%_t", tenant="other", status="rejected", offset=77)
    failed = Story(job_id="f1", status="failed", offset=80, began=NOON + timedelta(minutes=5))
    store, index = opened(
        [*facts(*numbered(3), other), *(facts_of(*r) for r in [decided(failed, 5), failed.records[3]])]
    )
    store.add([facts_of(*ledger(0, entry(failed)))])
    trace = numbered(3)[1].trace.trace_id

    for line, found in {
        "status=rejected": ["no%_t"],
        "tenant=other": ["no%_t"],
        "status=succeeded tenant=other": [],
        "%_": ["no%_t"],
        "ORG/SMALL": ["j2", "j1", "j0"],
        "org j1": ["j1"],
        "job=j1": ["j1"],
        trace: ["j1"],
        "team=red": ["f1"],
        "tag.project=alpha": ["f1"],
        "tag.project=beta": [],
        "error_kind=price_ceiling tenant=default": ["f1"],
        "model=org/small": ["j2", "j1", "j0"],
        "model=auto": ["f1", "j2", "j1", "j0", "no%_t"],
        "provider=hf-inference": ["j2", "j1", "j0"],
        "task=chat-completion status=failed": ["f1"],
        "min=820ms": ["f1", "j2", "j1", "j0", "no%_t"],
        "min=821ms": [],
        "max=1s status=failed": ["f1"],
        "cost>=$0.000001234": ["j2", "j1", "j0"],
        "cost>$0.000001234": [],
        "cost<$0.000001": ["f1", "no%_t"],
        "since=2026-11-22T12:00:02": ["f1", "j2"],
        "until=2026-11-22T12:00:01": ["j0", "no%_t"],
        f"inference.jobs.v1/{failed.home}/1": ["j1"],
        f"inference.text.v1/{failed.home}/2": ["j2"],
        "inference.jobs.v1/0/999": [],
        "nothing.v1/0/1": [],
        "http.response.status_code=429": ["j2", "j1", "j0", "no%_t"],
        "error=true messaging.kafka.offset=2": ["j2"],
        "novix.job.id=j2": ["j2"],
        "service.name=novix j0": ["j0"],
        "x=y": [],
    }.items():
        assert ids(index.jobs(parse(line, AT))) == found, line


def test_a_span_that_names_no_job_finds_the_jobs_of_its_trace(opened):
    """A producer's own spans in the same trace; and a job of another trace is not found."""
    story, other = Story(), Story(job_id="b2", offset=8)
    own = dataclasses.replace(
        story.spans[0], span_id="aa" * 8, name="checkout", attributes={"shop.cart": "77"}, links=(("1" * 32, "2" * 16),)
    )
    record = ("inference.spans.v1", 3, 1, AT, encode_spans("shop", [own]))
    _, index = opened([*facts(story, other), facts_of(*record)])

    assert ids(index.jobs(parse("shop.cart=77"))) == ids(index.jobs(parse("name=checkout service=shop"))) == ["a1"]
    told = {span["span_id"]: span for span in index.spans(story.trace.trace_id)}
    assert len(told) == 7
    assert (told["aa" * 8]["service"], told["aa" * 8]["kind"]) == ("shop", "internal")
    assert told["aa" * 8]["links"] == [{"trace_id": "1" * 32, "span_id": "2" * 16}]
    assert told["aa" * 8]["resource"]["service.name"] == "shop"


def test_pages_follow_each_other_without_a_gap_however_the_list_grows(opened):
    store, index = opened(facts(*numbered(25), Story(job_id="same", offset=99, began=NOON + timedelta(seconds=9))))
    first = index.jobs(Query(), limit=10)
    store.add(facts(Story(job_id="new", offset=500, began=NOON + timedelta(hours=1))))

    second = index.jobs(Query(), limit=10, after=first.next)
    third = index.jobs(Query(), limit=10, after=second.next)

    assert ids(first) + ids(second) + ids(third) == [
        *[f"j{n}" for n in range(24, 8, -1)], "same", *[f"j{n}" for n in range(8, -1, -1)],
    ]  # fmt: skip
    assert (first.total, first.total_exact, third.next) == (26, True, None)
    for cursor in ("", "x", "AAAA", "W10", "[]", "é", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LCJhIiwiYiIsMV0"):
        assert ids(index.jobs(Query(), limit=1, after=cursor)) == ["new"]


def test_percentiles_are_nearest_rank():
    assert [percentile(range(1, 101), at) for at in (50, 95, 99)] == [50, 95, 99]
    assert [percentile([7], at) for at in (50, 99)] == [7, 7]
    assert percentile([1, 2], 50) == 1
    assert percentile([], 50) is None


def test_points_are_few_and_the_slowest_are_among_them():
    took, numbers = [(n * 7_919) % 100_003 for n in range(30_000)], list(range(30_000))

    shown = chosen(took, numbers)

    assert len(shown) <= MAX_POINTS
    assert {number for _, number in sorted(zip(took, numbers, strict=True), reverse=True)[:200]} <= set(shown)
    assert shown == sorted(shown)
    assert chosen(took[:MAX_POINTS], numbers[:MAX_POINTS]) == list(range(MAX_POINTS))


def test_statistics_are_of_what_the_query_finds(opened):
    _, index = opened(facts(*numbered(9), Story(job_id="x", status="rejected", offset=77)))

    told = index.statistics(Query(status="succeeded"))

    assert (told.n, told.exact, told.p50_ms, told.p99_ms) == (9, True, 820, 820)
    assert (told.cost_nanousd, told.by_status, len(told.points)) == (9 * 1_234, {"succeeded": 9}, 9)
    empty = index.statistics(Query(tenant="nobody"))
    assert (empty.n, empty.p50_ms, empty.points) == (0, None, [])


def test_costs_are_what_the_ledger_says_and_an_end_that_is_told_again_counts_once(opened):
    story, second = Story(), Story(job_id="b2", tenant="other", offset=8)
    unsure = {"model": "m", "provider": "p", "nanousd": 70, "source": "estimated", "ambiguous": True, "attempt": 1}
    sure = {"model": "org/small", "provider": "hf-inference", "nanousd": 30, "source": "computed", "attempt": 2}
    records = [
        decided(story, 50),
        decided(second, 51, team=None, metadata={}),
        ledger(0, entry(story, kind="release", cost_nanousd=0, charges=[])),
        ledger(1, entry(story, cost_nanousd=100, charges=[unsure, sure])),
        ledger(2, entry(story, cost_nanousd=5_000)),
        ledger(3, entry(second), home=1),
    ]
    _, index = opened([*facts(story, second), *(facts_of(*one) for one in records)])

    groups = ("tenant", "team", "model", "provider", "tag", "day", "task", "status")
    rows = {by: [dataclasses.astuple(row) for row in index.costs(by=by)] for by in groups}

    assert rows == {
        "tenant": [("other", 1, 1_234, 1_500, 0), ("default", 1, 100, 1_500, 70)],
        "team": [("", 1, 1_234, 1_500, 0), ("red", 1, 100, 1_500, 70)],
        "model": [("org/small", 2, 1_264, 3_000, 0), ("m", 1, 70, 1_500, 70)],
        "provider": [("hf-inference", 2, 1_264, 3_000, 0), ("p", 1, 70, 1_500, 70)],
        "tag": [("n=1", 1, 100, 1_500, 70), ("project=alpha", 1, 100, 1_500, 70)],
        "day": [("2026-11-22", 2, 1_334, 3_000, 70)],
        "task": [("chat-completion", 2, 1_334, 3_000, 70)],
        "status": [("succeeded", 2, 1_334, 3_000, 70)],
    }
    assert [row.nanousd for row in index.costs(by="day", tenant="default")] == [100]
    assert index.costs(by="day", since_ms=AT + 21) == index.costs(by="model", until_ms=AT) == []
    money = [(row["kind"], row["nanousd"], row["counted"]) for row in index.money("default", "a1")]
    assert money == [
        ("reserve", 4_000, True), ("release", 4_000, True),
        ("ambiguous", 70, True), ("settle", 30, True), ("release", 3_900, True),
        ("settle", 1_234, False), ("settle", 3_766, False),
    ]  # fmt: skip


def test_a_job_is_found_by_its_trace_and_by_its_records(tmp_path):
    story = Story()
    index = index_of(tmp_path / "s.sqlite", [(*record, None, ()) for record in story.records])

    assert index.by_trace(story.trace.trace_id) == [{"tenant": "default", "job_id": "a1", "submission": 1}]
    for topic in ("inference.jobs.v1", "inference.text.v1"):  # the second is known from its span alone
        assert index.by_record(topic, story.home, story.offset) == [{"tenant": "default", "job_id": "a1"}]
    assert index.by_record("inference.jobs.v1", story.home, 999) == index.by_record("x", -1, 2**70) == []
    index.close()


def test_dead_letters_alerts_breakers_and_prices_are_told(tmp_path):
    index = index_of(tmp_path / "s.sqlite", everything())

    letters = index.letters()
    assert [(one["partition"], one["offset"], one["kind"]) for one in letters.rows] == [
        (1, 1, "no reason given"),
        (1, 0, "conflict"),
    ]
    assert (letters.rows[1]["tenant"], letters.rows[1]["job_id"], letters.rows[1]["place"]) == ("default", "r1", "1/0")
    assert index.letters(reason="conflict", topic="inference.jobs.v1").total == 1
    assert index.letters(reason="gone").rows == []
    assert index.letter(1, 0)["headers"][1] == ["__dlq.errors.message", "conflict: other content"]
    assert index.letter(9, 9) is None
    assert [one["rule"] for one in index.alerts().rows] == ["spend"]
    assert [(one["key"], one["state"]) for one in index.breakers()] == [("p/m", "closed")]
    assert [one["key"] for one in index.prices()] == ["p/m/standard"]
    first = index.letters(limit=1)
    assert [one["offset"] for one in index.letters(limit=1, after=first.next).rows] == [0]
    index.close()


def test_changes_grows_when_anything_is_written(opened):
    store, index = opened(facts(Story()))
    before = index.changes()

    store.add(facts(Story(job_id="b2", offset=8)))

    assert index.changes() == index.changes() > before


def test_a_store_keeps_its_id_and_a_damaged_one_begins_anew(tmp_path):
    path = tmp_path / "s.sqlite"
    first = filled(path, numbered(1)[0].records)
    first.close()
    again = filled(path, [])
    assert again.id == first.id
    again.close()
    other = filled(path, [], capture=True)
    assert other.id != first.id  # what was hidden then is wanted now: everything is read again
    other.close()

    path.write_bytes(b"no database" * 1_000)
    anew = filled(path, [])
    index = Index(path)

    assert anew.id not in (first.id, other.id)
    assert index.totals().jobs == 0
    assert path.stat().st_mode & 0o777 == 0o600
    index.close()
    anew.close()


def test_a_batch_that_fails_leaves_nothing_behind(opened):
    store, index = opened([])

    def broken():
        yield facts_of(*Story().records[0])
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        store.add(broken())

    assert index.totals().jobs == 0


def test_pages_read_while_a_batch_is_written(opened):
    """Several threads ask while another writes: each sees whole batches, none fails."""
    store, index = opened(facts(*numbered(10)))
    seen, faults = set(), []

    def read():
        try:
            for _ in range(20):
                seen.add(index.totals().jobs)
                index.jobs(parse("error=true"), limit=5)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for batch in range(1, 5):
        store.add(facts(*(Story(job_id=f"b{batch}-{n}", offset=batch * 100 + n) for n in range(10))))
    for thread in threads:
        thread.join()

    assert faults == []
    assert {count % 10 for count in seen} == {0}


def test_strange_texts_are_asked_for_without_harm(opened):
    _, index = opened(facts(Story()))

    for text in ("\ud800", "\0", "%", "'; DROP TABLE job; --", "x" * 500):
        assert index.job(text, text) == index.by_trace(text) == index.spans(text) == index.records(text, text) == []
        assert index.letters(reason=text).rows == index.money("default", text) == index.audit(text, "a1") == []
        assert index.costs(by="tenant", tenant=text) == []
    assert index.jobs(Query(text="\\ % _ '", tenant="default")).rows == []
    assert index.totals().jobs == 1


def test_an_integer_that_no_file_takes_is_left_out(opened):
    result = codec.decode(Story().records[3][4])
    result |= {"cost_nanousd": 2**64 - 1, "timing_ms": {"total": 2**63, "queued": 2**62, "routed": 2**62}}

    _, index = opened([facts_of(RESULTS.name, 0, 0, AT, codec.encode(result))])

    [row] = index.jobs(Query()).rows
    assert (row["cost_nanousd"], row["total_ms"], row["wait_ms"]) == (0, None, 2**62)
