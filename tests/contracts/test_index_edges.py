"""The explorer's memory at its edges: equal times, exact bounds, what is over a limit, and links both ways."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
from console_world import NOON, Story, ms
from index_world import AT, audited, decided, dump, entry, filled, ledger

from console.index import lists, statistics
from console.index.pruning import DAY_MS, Keep
from console.index.query import Query, parse
from console.index.reading import Index
from console.index.store import Store
from runtime.telemetry import encode_spans
from schemas.topics import DLQ, SPANS


@pytest.fixture
def opened(tmp_path):
    """A store that has taken these records, and an index over it."""
    made = []

    def make(records, **options):
        store = filled(tmp_path / f"{len(made)}.sqlite", records, **options)
        made.extend([store, Index(store.path)])
        return store, made[-1]

    yield make
    for one in made:
        one.close()


def ids(listed):
    return [row["job_id"] for row in listed.rows]


def of(*stories):
    return [record for story in stories for record in story.records]


def test_rows_of_one_instant_are_told_once_each_page_after_page(opened):
    """Each page ends among rows of the same millisecond."""
    records = of(*(Story(job_id=f"j{n}", tenant=f"t{n % 2}", offset=n) for n in range(7)))
    letters = [(DLQ.name, n % 2, n, AT, b"{}", None, ()) for n in range(7)]
    _, index = opened([*records, *letters])

    def walked(ask):
        told, after = [], None
        while True:
            page = ask(after)
            told += [(row.get("job_id"), row["partition"], row["offset"]) for row in page.rows]
            after = page.next
            if after is None:
                return told

    for step in (1, 2, 3):
        jobs = walked(lambda after, step=step: index.jobs(Query(), limit=step, after=after))
        assert [job_id for job_id, *_ in jobs] == ["j0", "j2", "j4", "j6", "j1", "j3", "j5"]
        found = walked(lambda after, step=step: index.letters(limit=step, after=after))
        assert [place for _, *place in found] == [[0, 0], [0, 2], [0, 4], [0, 6], [1, 1], [1, 3], [1, 5]]


def test_bounds_of_time_taken_and_cost_are_inclusive_and_their_strict_signs_are_not(opened):
    _, index = opened(of(Story()))  # 820 ms, 1,234 nano-dollars

    lines = ("min=820ms", "max=820ms", "duration>=820ms", "duration<=820ms", "cost>=$0.000001234", "cost<=$0.000001234",
             "cost=$0.000001234", "duration>819ms", "duration<821ms")  # fmt: skip
    assert [line for line in lines if ids(index.jobs(parse(line))) != ["a1"]] == []
    strict = ("min=821ms", "max=819ms", "duration>820ms", "duration<820ms", "cost>$0.000001234", "cost<$0.000001234")
    assert [line for line in strict if ids(index.jobs(parse(line))) != []] == []


def test_an_attribute_is_found_whatever_its_value_is_written_in(opened):
    story = Story()
    values = {"a.quote": 'say "hi" = <b>\\', "a.words": "größer 日本 ид", "a.number": 12, "a.float": 0.1, "a.yes": True}
    first = replace(story.spans[0], attributes={**story.spans[0].attributes, **values})
    _, index = opened([*of(story), (SPANS.name, 0, 99, AT, encode_spans("novix", [first]), None, ())])

    for line in ('a.quote="say \\"hi\\" = <b>\\\\"', 'a.words="größer 日本 ид"', "a.number=12", "a.float=0.1",
                 "a.yes=true"):  # fmt: skip
        assert ids(index.jobs(parse(line))) == ["a1"], line
    for line in ('a.words="größer 日本 ии"', "a.number=1", "a.yes=True", "a.quote=say"):
        assert ids(index.jobs(parse(line))) == [], line


def test_statistics_over_too_many_hits_are_of_the_newest_and_say_so_and_show_the_slowest_of_all(opened, monkeypatch):
    monkeypatch.setattr(statistics, "LOOKED_AT", 4)
    monkeypatch.setattr(statistics, "SLOWEST", 1)
    stories = [Story(job_id=f"j{n}", offset=n, began=NOON + timedelta(seconds=n)) for n in range(6)]
    topic, partition, offset, at_ms, value = stories[0].records[3]
    slow = (topic, partition, offset, at_ms, value.replace(b'"total":820', b'"total":90000'))
    store, index = opened([*of(*stories[1:5])])
    told = index.statistics(Query())
    assert (told.n, told.exact, told.oldest_ms, told.newest_ms) == (4, True, AT + 1_000, AT + 4_000)

    filled(store.path, [*stories[0].records[:3], slow, *of(stories[5])]).close()

    told = index.statistics(parse("tenant=default"))
    assert (told.n, told.exact, told.oldest_ms, told.p99_ms) == (4, False, AT + 2_000, 820)
    assert [point.job_id for point in told.points] == ["j0", "j2", "j3", "j4", "j5"]
    assert index.statistics(parse("max=1s")).points[0].job_id != "j0"
    monkeypatch.setattr(lists, "COUNTED", 4)
    listed = index.jobs(Query(), limit=1)
    assert (listed.total, listed.total_exact) == (4, False)


def test_jobs_without_a_result_cost_what_the_ledger_says_in_the_statistics(opened):
    _, index = opened([decided(Story(), 0), ledger(0, entry(Story()))])

    told = index.statistics(Query())

    assert (told.cost_nanousd, told.p50_ms) == (1_234, None)


def test_an_amount_counts_in_the_window_of_its_decision_from_its_first_instant_to_before_its_last(opened):
    """Decided a second before midnight, settled after it."""
    story = Story(began=NOON.replace(hour=23, minute=59, second=58))
    decided_ms = ms(story.began) + 20
    _, index = opened([decided(story, 0), ledger(0, entry(story, at=(story.began + timedelta(seconds=9)).isoformat()))])

    assert [row.name for row in index.costs(by="day")] == ["2026-11-22"]
    for since, until, found in ((0, 1, 1), (1, 9, 0), (-9, 0, 0)):
        rows = index.costs(by="tenant", since_ms=decided_ms + since, until_ms=decided_ms + until)
        assert len(rows) == found, (since, until)


def test_what_is_forgotten_is_the_oldest_by_its_records_and_takes_all_of_its_own_along(opened, tmp_path):
    """However it came in: the young ones first, as when another partition is read before."""
    old = [Story(job_id=f"o{n}", offset=n, began=NOON + timedelta(seconds=n)) for n in range(4)]
    young = [Story(job_id=f"y{n}", offset=50 + n, began=NOON + timedelta(minutes=5, seconds=n)) for n in range(4)]

    def all_of(stories):
        return [
            record
            for story in stories
            for record in (*story.records, decided(story, story.offset + 100), audited(story, story.offset))
        ]

    def ledgers(stories):
        # Their money ends when they do.
        return [(*one[:3], ms(story.began) + 900, *one[4:])
                for story in stories for one in [ledger(story.offset, entry(story))]]  # fmt: skip

    store, index = opened([*all_of(young), *ledgers(young), *all_of(old), *ledgers(old)])
    store.keep = Keep(jobs=4, spans=4 * 6)
    store.prune()

    assert ids(index.jobs(Query())) == ["y3", "y2", "y1", "y0"]
    assert [len(index.spans(story.trace.trace_id)) for story in (*old, *young)] == [0] * 4 + [6] * 4
    filled(tmp_path / "kept.sqlite", [*all_of(young), *ledgers(young)]).close()
    left, wanted = dump(store.path), dump(tmp_path / "kept.sqlite")
    for table in ("job", "document", "record", "ledger", "audit", "identity"):
        assert left[table] == wanted[table], table
    assert {row[1] for row in left["posting"]} == {row[1] for row in wanted["posting"]}


def test_a_number_of_a_job_that_is_forgotten_is_never_used_again(opened):
    store, _ = opened(of(Story()))
    [(before,)] = sqlite3.connect(store.path).execute("SELECT id FROM identity").fetchall()
    store.keep = Keep(jobs=0)
    store.prune()
    filled(store.path, of(Story(job_id="b2", offset=8))).close()

    [(after,)] = sqlite3.connect(store.path).execute("SELECT id FROM identity").fetchall()
    assert after > before


def test_of_too_many_letters_the_newest_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("console.index.pruning.MAX_ROWS", 3)
    records = [(DLQ.name, 0, n, AT + (7 * n) % 5, b"{}", None, ()) for n in range(5)]
    store = filled(tmp_path / "s.sqlite", records)
    store.prune()
    index = Index(store.path)

    assert [row["at_ms"] - AT for row in index.letters().rows] == [4, 3, 2]
    index.close()
    store.close()


def test_spans_that_a_second_record_tells_again_are_as_young_as_the_youngest(tmp_path):
    """A redelivery's spans are the same; whichever record is read first, both files forget them at the same time."""
    story = Story()
    first, again = story.records[2], (SPANS.name, 1, 3, AT + 3 * DAY_MS, story.records[2][4])
    left = []
    for n, order in enumerate(([first, again], [again, first])):
        now = [AT]
        store = filled(tmp_path / f"{n}.sqlite", order, keep=Keep(days=2), now_ms=lambda now=now: now[0])
        now[0] += 4 * DAY_MS
        store.prune()
        left.append(dump(store.path)["chunk"])
        store.close()

    assert left[0] == left[1] != []


def test_a_span_that_was_told_twice_stands_as_it_was_told_last_whichever_was_read_first(tmp_path):
    story = Story()
    told = [
        (SPANS.name, n, 5, AT + 900 + n, encode_spans("novix", [replace(story.spans[0], name=name)]))
        for n, name in enumerate(("before", "after"))
    ]
    for order in (told, told[::-1]):
        store = filled(tmp_path / f"{order[0][1]}.sqlite", order)
        index = Index(store.path)
        assert [span["name"] for span in index.spans(story.trace.trace_id)] == ["after"]
        index.close()
        store.close()


def linking(story, trace_id, span_id="ab" * 8):
    """The spans of a story, the first of which links to another trace."""
    first, *others = story.spans
    linked = [replace(first, links=((trace_id, span_id),)), *others]
    return [record if record[0] != SPANS.name else (*record[:4], encode_spans("novix", linked))
            for record in story.records]  # fmt: skip


def test_whoever_links_to_a_trace_is_told_by_it_and_found_by_its_id(opened):
    """A job of a batch, and a dead letter driven again, have a trace of their own: the producer's id finds them."""
    producers = "5a" * 16
    first, second, third = (Story(job_id=name, offset=n) for n, name in enumerate("abc"))
    own = replace(first.spans[0], context=replace(first.trace, trace_id="77" * 16), attributes={},
                  links=((producers, "cd" * 8), ("77" * 16, "ef" * 8)))  # fmt: skip
    store, index = opened([*linking(first, producers), *linking(second, producers), *of(third),
                           (SPANS.name, 2, 1, AT, encode_spans("shop", [own]), None, ())])  # fmt: skip

    told = index.linked_from(producers)

    assert [(one["job_id"], one["submission"], one["trace_id"]) for one in told] == [
        ("a", 1, first.trace.trace_id), ("b", 1, second.trace.trace_id), (None, None, "77" * 16),
    ]  # fmt: skip
    assert index.linked_from("77" * 16) == index.linked_from(third.trace.trace_id) == index.linked_from("\ud800") == []
    assert ids(index.jobs(parse(producers))) == ["a", "b"]
    assert ids(index.jobs(parse(third.trace.trace_id))) == ["c"]
    store.keep = Keep(spans=0)
    store.prune()
    assert index.linked_from(producers) == []


def test_a_producers_trace_finds_its_job_before_anybody_has_decided_it(opened):
    told = (("traceparent", b"00-" + b"5a" * 16 + b"-" + b"6b" * 8 + b"-01"),)
    job = Story().records[0]
    _, index = opened([(*job, None, told)])

    assert index.by_trace("5a" * 16) == [{"tenant": "default", "job_id": "a1", "submission": 1}]
    assert ids(index.jobs(parse("5a" * 16))) == ["a1"]


def test_a_page_of_the_process_before_is_never_as_new_as_one_of_this(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    index = Index(store.path)
    before = index.changes()
    index.close()
    again = Index(store.path)

    assert again.changes() >= before > 10**12  # milliseconds since 1970: no small number that both may have counted to
    again.close()
    store.close()
