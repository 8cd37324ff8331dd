"""A job's time as bars."""

from datetime import timedelta

from console_world import NOON, Story, ms

from console import waterfall
from console.facts import facts_of
from console.store import Store


def rows(tmp_path, *stories):
    store = Store(tmp_path / "s.sqlite")
    store.add(facts_of(*record) for story in stories for record in story.records)
    first = stories[0]
    found = store.job(first.tenant, first.job_id)[0], store.spans(first.trace.trace_id)
    store.close()
    return found


def test_a_job_shows_its_waits_its_calls_and_its_commit(tmp_path):
    fall = waterfall.of_job(*rows(tmp_path, Story()))

    told = [(bar.label, bar.kind, round(bar.start_ms), round(bar.length_ms)) for bar in fall.bars]
    assert told == [
        ("waits in inference.jobs.v1", "queue", 0, 15),
        ("router", "route", 15, 5),
        ("waits in inference.text.v1", "queue", 20, 22),
        ("process inference.text.v1", "work", 42, 768),
        ("chat org/small", "call", 60, 740),
        ("attempt 1", "attempt", 60, 40),
        ("wait retry", "wait", 100, 200),
        ("attempt 2", "attempt", 300, 500),
        ("commit", "commit", 820, 15),
    ]
    assert round(fall.total_ms) == 835


def test_each_attempt_shows_status_and_cost(tmp_path):
    fall = waterfall.of_job(*rows(tmp_path, Story()))

    first, second = (bar for bar in fall.bars if bar.kind == "attempt")
    assert (first.note, first.failed) == ("40 ms, 429, rate_limited, $0.00", True)
    assert (second.note, second.failed) == ("500 ms, 200, $0.000001234", False)


def test_without_spans_the_results_own_times_stand_in(tmp_path):
    job, _ = rows(tmp_path, Story())

    fall = waterfall.of_job(job, [])

    assert [bar.kind for bar in fall.bars] == ["queue", "queue", "attempt", "attempt", "commit"]


def stranger(row):
    """The same span in another job of the same trace."""
    told = {name: "b2" if name == "novix.job.id" else value for name, value in row["attributes"].items()}
    parent = f"ff{(row['parent_id'] or '')[2:]}"
    return {**row, "span_id": f"ff{row['span_id'][2:]}", "parent_id": parent, "attributes": told}


def test_jobs_that_share_a_trace_keep_their_own_bars(tmp_path):
    """A producer may send many jobs under one traceparent."""
    job, ours = rows(tmp_path, Story())
    theirs = [stranger(row) for row in ours]

    assert waterfall.of_job(job, [*theirs, *ours]) == waterfall.of_job(job, ours)
    assert len(waterfall.of_trace([*theirs, *ours]).bars) == 12


def test_a_circle_of_parents_ends():
    spans = [
        {"span_id": own, "parent_id": parent, "name": "x", "start_ns": 0, "end_ns": 1, "error": None, "attributes": {}}
        for own, parent in (("a", "b"), ("b", "a"))
    ]
    job = {"tenant": "t", "job_id": "j", "submission": 1, "published_ms": None, "result": None, "written_ms": None}

    assert waterfall.of_job(job, spans).bars == []
    assert len(waterfall.of_trace(spans).bars) == 2


def test_a_ruler_has_round_ticks_and_not_many():
    for total in (0.4, 7.0, 99.0, 835.0, 61_000.0, 86_400_000.0):
        ticks = waterfall.Waterfall(total, []).ticks
        assert 2 <= len(ticks) <= 9
        assert ticks[-1] <= total


def test_a_clock_that_is_ahead_gives_no_negative_bar(tmp_path):
    story = Story(began=NOON)
    job, spans = rows(tmp_path, story)

    fall = waterfall.of_job({**job, "published_ms": ms(NOON + timedelta(hours=1))}, spans)

    assert all(bar.start_ms >= 0 and bar.length_ms >= 0 for bar in fall.bars)
