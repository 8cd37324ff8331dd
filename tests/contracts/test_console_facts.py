"""What records tell the store, in any order and from any bytes."""

import itertools
import json
import tempfile
from pathlib import Path

from console_world import Story
from hypothesis import given, settings
from hypothesis import strategies as st

from console.facts import facts_of
from console.spans import decode_spans
from console.store import Filter, Store
from schemas.topics import DECISIONS, JOBS, RESULTS, SPANS


def rows_after(folder: Path, records, name: str):
    store = Store(folder / f"{name}.sqlite")
    for record in records:
        store.add([facts_of(*record)])
    rows = store.job("default", "a1")
    store.close()
    return rows


def test_the_four_topics_may_arrive_in_any_order(tmp_path):
    """The fold commutes: each of the 24 orders ends in the same row."""
    orders = list(itertools.permutations(Story().records))
    ends = [rows_after(tmp_path, order, str(number)) for number, order in enumerate(orders)]

    assert all(end == ends[0] for end in ends)
    [row] = ends[0]
    assert (row["status"], row["cost_nanousd"], row["total_ms"], row["attempts"]) == ("succeeded", 1_234, 820, 2)


def test_a_record_that_is_read_again_changes_nothing(tmp_path):
    records = Story().records

    assert rows_after(tmp_path, records * 2, "twice") == rows_after(tmp_path, records, "once")


def test_a_job_shows_as_queued_then_routed_then_done(tmp_path):
    job, decision, _, result = Story().records

    states = [
        rows_after(tmp_path, part, str(len(part)))[0]["status"]
        for part in ([job], [job, decision], [job, decision, result])
    ]

    assert states == ["queued", "routed", "succeeded"]


def test_a_rejected_id_that_is_sent_again_is_a_submission_of_its_own(tmp_path):
    first = Story(status="rejected", offset=7)
    second = Story(submission=2, offset=8)

    rows = rows_after(tmp_path, [*first.records, *second.records], "both")

    assert [(row["submission"], row["status"], row["offset"]) for row in rows] == [
        (2, "succeeded", 8),
        (1, "rejected", 7),
    ]


def test_two_tenants_may_use_the_same_id(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    for story in (Story(tenant="left"), Story(tenant="right", status="rejected")):
        store.add(facts_of(*record) for record in story.records)

    assert {job["tenant"]: job["status"] for job in store.jobs(Filter())} == {"left": "succeeded", "right": "rejected"}
    store.close()


def test_the_spans_of_a_record_are_read_with_their_parents_and_numbers():
    spans = {span.span_id: span for span in decode_spans(Story().records[2][4])}

    assert spans["06" * 8].parent_id == "03" * 8
    assert spans["06" * 8].attributes["novix.cost_nanousd"] == 1_234
    assert spans["05" * 8].error == "rate_limited"
    assert spans["02" * 8].end_ns - spans["02" * 8].start_ns == 768_000_000


@given(st.sampled_from([JOBS.name, DECISIONS.name, RESULTS.name, SPANS.name, "other"]), st.binary(max_size=200))
def test_any_bytes_on_any_topic_give_facts_or_none(topic, value):
    facts = facts_of(topic, 0, 0, 0, value)

    assert facts.jobs == [] or topic != SPANS.name


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([JOBS.name, DECISIONS.name, RESULTS.name]),
    st.dictionaries(
        st.sampled_from(
            ["id", "job_id", "tenant", "status", "submission", "served", "received", "timing_ms", "attempts", "error",
             "decisions", "cost_nanousd", "completed_at", "trace_id", "task", "model", "asked"]
        ),
        hostile,
    ),
)  # fmt: skip
def test_any_json_on_a_topic_can_be_stored(topic, document):
    """Wrong types in every field: no exception, and what cannot be named is left out."""
    named = {**document, "job_id": document.get("job_id", "a1"), "tenant": document.get("tenant", "default")}
    value = json.dumps({"decisions": [named]} if topic == DECISIONS.name else named).encode()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "s.sqlite")
        store.add([facts_of(topic, 0, 0, 0, value)])
        assert len(store.jobs(Filter())) <= 1
        store.close()
