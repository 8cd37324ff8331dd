"""A job's time as bars."""

from datetime import timedelta

from console_world import NOON, Story, ms
from pages_world import pages_world

from console.pages import waterfall


def rows(tmp_path, *stories):
    with pages_world(tmp_path) as world:
        world.fill(*stories)
        first = stories[0]
        return world.index.job(first.tenant, first.job_id)[0], world.index.spans(first.trace.trace_id)


def record(what, topic, at_ms, **told):
    return {"what": what, "topic": topic, "timestamp_ms": ms(NOON) + at_ms, "partition": 0, "offset": 7, **told}


def test_a_job_shows_its_waits_its_calls_and_its_commit(tmp_path):
    fall = waterfall.of_job(*rows(tmp_path, Story()))

    told = [(bar.label, bar.kind, round(bar.start_ms), round(bar.length_ms)) for bar in fall.bars]
    assert told == [
        ("waits in inference.jobs.v1", "queue", 0, 15),
        ("router", "route", 15, 5),
        ("waits in inference.text.v1", "queue", 20, 22),
        ("worker, text", "work", 42, 768),
        ("chat org/small", "call", 60, 740),
        ("attempt 1", "attempt", 60, 40),
        ("waits for the next attempt", "wait", 100, 200),
        ("attempt 2", "attempt", 300, 500),
        ("commit", "commit", 820, 15),
    ]
    assert round(fall.total_ms) == 835


def test_each_attempt_shows_status_and_cost(tmp_path):
    fall = waterfall.of_job(*rows(tmp_path, Story()))

    first, second = (bar for bar in fall.bars if bar.kind == "attempt")
    assert (first.note, first.nanousd, first.failed) == ("40 ms, HTTP 429, rate_limited", 0, True)
    assert (second.note, second.nanousd, second.failed) == ("500 ms, HTTP 200", 1_234, False)


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


def test_records_tell_which_wait_lay_in_a_retry_topic(tmp_path):
    """The worker's span tells of its last delivery only; where the job lay before, its records know."""
    job, spans = rows(tmp_path, Story())
    records = [
        record("job", "inference.jobs.v1", 0, partition=job["partition"]),
        record("assigned", "inference.text.v1", 21, submission=1),
        record("retry", "inference.retry.5s.v1", 110, submission=1),
        record("assigned", "inference.text.v1", 290, submission=1),
        record("result", "inference.results.v1", 835, submission=1),
    ]

    fall = waterfall.of_job(job, spans, records)

    told = [(bar.label, bar.kind, round(bar.start_ms), round(bar.length_ms)) for bar in fall.bars if bar.span is None]
    assert told == [
        ("waits in inference.jobs.v1", "queue", 0, 15),
        ("waits in inference.text.v1", "queue", 21, 21),
        ("waits in inference.retry.5s.v1", "retry", 110, 180),
        ("waits in inference.text.v1", "queue", 290, 10),
        ("commit", "commit", 820, 15),
    ]
    assert round(fall.waited_ms) == 15 + 21 + 200  # the wait's own span lies over its stay in the topic
    assert round(fall.called_ms) == 40 + 500


def test_records_of_another_submission_or_without_a_time_are_not_waits(tmp_path):
    job, spans = rows(tmp_path, Story())
    strange = [
        record("assigned", "inference.text.v1", 5, submission=2),
        {**record("retry", "inference.retry.5s.v1", 0, submission=1), "timestamp_ms": None},
    ]

    assert waterfall.of_job(job, spans, strange) == waterfall.of_job(job, spans)


def test_the_tree_holds_each_bar_once_and_only_inside_its_parent(tmp_path):
    fall = waterfall.of_job(*rows(tmp_path, Story()))

    def walk(nodes, above):
        for node in nodes:
            assert node.bar.depth == above + 1 or node.bar.depth == 0
            yield node.bar
            yield from walk(node.inside, node.bar.depth)

    assert sorted(bar.key for bar in walk(fall.tree, -1)) == sorted(bar.key for bar in fall.bars)
    assert [node.bar.label for node in fall.tree] == [
        "waits in inference.jobs.v1", "router", "waits in inference.text.v1", "worker, text", "commit",
    ]  # fmt: skip


def test_more_spans_than_are_drawn_are_counted(tmp_path):
    _, spans = rows(tmp_path, Story())

    fall = waterfall.of_trace(spans, most=4)

    assert (len(fall.bars), fall.left_out) == (4, 2)


def test_short_lengths_keep_their_tenths():
    told = [waterfall.took(length) for length in (0.0, 0.02, 0.31, 9.96, 10.4, 1_500.0)]

    assert told == ["0 ms", "< 0.1 ms", "0.3 ms", "10.0 ms", "10 ms", "1.50 s"]


def test_a_span_of_the_far_future_has_a_ruler_too(tmp_path):
    job, spans = rows(tmp_path, Story())
    late = [{**row, "end_ns": 2**63 - 1} for row in spans]

    assert 2 <= len(waterfall.of_job(job, late).ticks) <= 9
