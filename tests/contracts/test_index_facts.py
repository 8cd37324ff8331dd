"""What records tell the index: in any order, again and again, from any bytes."""

import itertools
import json
import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from console_world import Story
from hypothesis import given, settings
from hypothesis import strategies as st
from index_world import AT, audited, decided, dump, entry, everything, filled, index_of, ledger, waits_twice

from console.index.facts import SOURCES, facts_of
from console.index.query import Query
from console.index.reading import Index
from console.index.spans import decode_spans
from console.index.store import Store
from schemas import codec
from schemas.topics import DECISIONS, JOBS, RESULTS, SPANS


def rows_after(folder: Path, records, name: str):
    index = index_of(folder / f"{name}.sqlite", records)
    rows = index.job("default", "a1")
    index.close()
    return rows


def test_the_topics_of_a_job_may_arrive_in_any_order(tmp_path):
    """The fold commutes: one order in ten of the 120 ends in the same file as the others."""
    records = [*Story().records, ledger(0, entry(Story()))]
    dumps = []
    for number, order in enumerate(itertools.islice(itertools.permutations(records), 0, None, 11)):
        filled(tmp_path / f"{number}.sqlite", order).close()
        dumps.append(dump(tmp_path / f"{number}.sqlite"))

    assert all(one == dumps[0] for one in dumps)
    [row] = rows_after(tmp_path, records, "rows")
    assert (row["status"], row["cost_nanousd"], row["total_ms"], row["attempts"]) == ("succeeded", 1_234, 820, 2)


@pytest.mark.parametrize("seed", range(4))
def test_every_table_is_the_same_after_any_order_and_any_repetition(tmp_path, seed):
    records, dice = everything(), random.Random(seed)
    shuffled = [*records, *dice.sample(records, 10)]
    dice.shuffle(shuffled)
    filled(tmp_path / "a.sqlite", records).close()
    store = Store(tmp_path / "b.sqlite", now_ms=lambda: AT)
    while shuffled:
        store.add([facts_of(*shuffled.pop()) for _ in range(min(len(shuffled), dice.randint(1, 9)))])
    store.close()

    once, again = dump(tmp_path / "a.sqlite"), dump(tmp_path / "b.sqlite")

    assert [table for table in once if once[table] != again[table]] == []
    assert all(once[table] for table in once)  # each table was put to the test


def test_a_file_that_is_read_anew_after_a_kill_in_the_middle_is_the_same(tmp_path):
    """The process dies in mid-transaction; what it had acknowledged is there, the rest is read again."""
    filled(tmp_path / "whole.sqlite", everything()).close()
    (tmp_path / "records").write_bytes(pickle.dumps(everything()))
    code = (
        "import os, pickle, sys; from pathlib import Path; from console.index import store as module\n"
        "from console.index.facts import facts_of; records = pickle.loads(Path(sys.argv[2]).read_bytes())\n"
        "store = module.Store(Path(sys.argv[1]), now_ms=lambda: int(sys.argv[3]))\n"
        "for record in records[:20]: store.add([facts_of(*record)])\n"
        "write = module._write\n"
        "def killed(connection, batch): write(connection, batch); os.kill(os.getpid(), 9)\n"
        "module._write = killed; store.add([facts_of(*record) for record in records[20:]])"
    )
    told = [str(tmp_path / "killed.sqlite"), str(tmp_path / "records"), str(AT)]
    killed = subprocess.run([sys.executable, "-c", code, *told], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -9
    index = Index(tmp_path / "killed.sqlite")
    assert index.totals().jobs > 0
    index.close()

    filled(tmp_path / "killed.sqlite", everything()[18:]).close()

    assert dump(tmp_path / "killed.sqlite") == dump(tmp_path / "whole.sqlite")


def test_a_job_shows_as_queued_then_routed_then_done(tmp_path):
    job, decision, _, result = Story().records

    states = [
        rows_after(tmp_path, part, str(len(part)))[0]
        for part in ([job], [job, decision], [job, decision, result])
    ]  # fmt: skip

    assert [state["status"] for state in states] == ["queued", "routed", "succeeded"]
    assert [state["rank"] for state in states] == [0, 1, 3]
    assert {(state["submission"], state["asked_model"], state["published_ms"]) for state in states} == {(1, "auto", AT)}


def test_what_names_no_tenant_and_id_is_no_job_that_waits(tmp_path):
    """It is a dead letter, and nobody will ever decide it; an event around a job names it by the job."""
    names = ({"id": "a\x07b"}, {"id": "a1", "tenant": "a/b"}, {"id": "a1", "tenant": "a b"}, {"id": "x" * 257},
             {"id": ""}, {"id": 7}, {"id": None})  # fmt: skip
    records = [(JOBS.name, 0, n, AT, codec.encode(one), b"k", ()) for n, one in enumerate(names)]
    event = {"specversion": "1.0", "id": "e1", "data": {"id": "a1", "tenant": "acme"}}
    envelope = (("content-type", b"application/cloudevents+json"),)
    records.append((JOBS.name, 0, 99, AT, codec.encode(event), b"k", envelope))

    index = index_of(tmp_path / "i.sqlite", records)

    assert [(row["tenant"], row["job_id"]) for row in index.jobs(Query()).rows] == [("acme", "a1")]
    assert index.state()["broken"] == {"unnamed": len(names)}
    index.close()


def test_of_a_job_that_came_twice_and_waits_the_first_arrival_stands_with_its_producers_trace(tmp_path):
    for name, records in (("forth", waits_twice()), ("back", reversed(waits_twice()))):
        index = index_of(tmp_path / f"{name}.sqlite", records)
        [row] = index.job("default", "w1")
        assert (row["asked_model"], row["partition"], row["offset"], row["published_ms"]) == (
            "org/first", 0, 70, AT + 7,
        )  # fmt: skip
        assert index.by_trace("7" * 32) == [{"tenant": "default", "job_id": "w1", "submission": 1}]
        assert index.by_trace("8" * 32) == []
        index.close()


def test_a_job_whose_result_is_gone_shows_how_its_money_ended(tmp_path):
    """Results are kept for 7 days, decisions and ledger for 30: a file that is made anew has no others."""
    story = Story(status="failed")

    [row] = rows_after(tmp_path, [decided(story, 0), ledger(0, entry(story))], "late")

    assert (row["status"], row["rank"], row["cost_nanousd"], row["call_ms"]) == ("failed", 2, 1_234, 540)
    assert (row["team"], row["tags"], row["quoted_nanousd"], row["reserved_nanousd"]) == (
        "red", {"project": "alpha", "n": "1"}, 1_500, 4_000,
    )  # fmt: skip


def test_a_rejected_id_that_is_sent_again_is_a_submission_of_its_own(tmp_path):
    first = Story(status="rejected", offset=7)
    second = Story(submission=2, offset=8)

    rows = rows_after(tmp_path, [*first.records, *second.records], "both")

    assert [(row["submission"], row["status"], row["offset"]) for row in rows] == [
        (2, "succeeded", 8),
        (1, "rejected", 7),
    ]


def test_two_tenants_may_use_the_same_id(tmp_path):
    stories = (Story(tenant="left"), Story(tenant="right", status="rejected"))

    index = index_of(tmp_path / "i.sqlite", [record for story in stories for record in story.records])

    assert {job["tenant"]: job["status"] for job in index.jobs(Query()).rows} == {
        "left": "succeeded",
        "right": "rejected",
    }
    index.close()


def test_outputs_and_secrets_are_not_in_the_file_unless_capture_is_on(tmp_path):
    story = Story(output={"text": "planted output"}, prompt="planted prompt")
    records = [*story.records, *everything()]
    kept = {}
    for capture in (False, True):
        path = tmp_path / f"{capture}.sqlite"
        store = filled(path, records, capture=capture)
        index = Index(path)
        kept[capture] = index.job("default", "a1")[0]["result"]["output"]
        assert "planted" not in json.dumps([index.records("default", "r1"), index.letters().rows])
        index.close()
        store.close()

    assert kept[True] == {"text": "planted output"}
    assert set(kept[False]["hidden"]) == {"size_bytes", "sha256"}
    assert b"planted" not in (tmp_path / "False.sqlite").read_bytes()


def test_a_record_is_told_once_with_what_it_is_to_the_job(tmp_path):
    index = index_of(tmp_path / "i.sqlite", everything())

    told = {(one["what"], one["partition"], one["offset"]): one for one in index.records("default", "r1")}

    kinds = {"job", "decision", "result", "dead letter", "ledger", "audit", "control", "spans", "assigned", "retry"}
    assert {what for what, *_ in told} == kinds
    assigned = told["assigned", 3, 21]
    assert assigned["headers"] == [
        ["novix-identity", "default/r1/2"], ["x-team", "(2 bytes)"], ["Authorization", "(hidden)"],
    ]  # fmt: skip
    assert (assigned["key"], assigned["size_bytes"], assigned["submission"]) == ("default/r1", 2, 2)
    assert told["job", Story().home, 21]["submission"] == 2  # from the span that names it
    index.close()


def test_an_audit_entry_is_told_with_its_batch_and_its_authority(tmp_path):
    index = index_of(tmp_path / "i.sqlite", [audited(Story(), 6)])

    [told] = index.audit("default", "a1")

    assert (told["action"], told["lane"], told["sequence"], told["hash"], told["offset"], told["n"]) == (
        "job.assigned", "novix-router.inference.jobs.v1.0", 7, "a" * 64, 6, 1,
    )  # fmt: skip
    assert told["detail"] == {"policy": "brief/1", "authority": "tenant"}
    index.close()


def test_a_detail_of_any_shape_is_told(tmp_path):
    """By a newer writer, or by nobody of ours."""
    told = {}
    for n, detail in enumerate((True, [1], "why", None)):
        topic, partition, _, at_ms, value, key, headers = audited(Story(), 6)
        strange = value.replace(b'{"policy":"brief/1"}', codec.encode(detail))
        index = index_of(tmp_path / f"{n}.sqlite", [(topic, partition, n, at_ms, strange, key, headers)])
        [entry] = index.audit("default", "a1")
        told[n] = entry["detail"]
        index.close()

    assert told == {
        0: {"authority": "tenant", "detail": True}, 1: {"authority": "tenant", "detail": [1]},
        2: {"authority": "tenant", "detail": "why"}, 3: {"authority": "tenant"},
    }  # fmt: skip


def test_the_spans_of_a_record_are_read_with_their_parents_and_numbers():
    spans = {span.span_id: span for span in decode_spans(Story().records[2][4])}

    assert spans["06" * 8].parent_id == "03" * 8
    assert spans["06" * 8].attributes["novix.cost_nanousd"] == 1_234
    assert spans["05" * 8].error == "rate_limited"
    assert spans["02" * 8].end_ns - spans["02" * 8].start_ns == 768_000_000


@given(
    st.sampled_from([*SOURCES, "other"]),
    st.binary(max_size=200),
    st.none() | st.binary(max_size=9),
    st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3).map(tuple),
)
def test_any_bytes_on_any_topic_give_facts_or_none(topic, value, key, headers):
    facts = facts_of(topic, 0, 0, 0, value, key, headers)

    assert facts.stands == []


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "id", "job_id", "tenant", "status", "submission", "served", "received", "timing_ms", "attempts", "error", "output",
    "cost_nanousd", "completed_at", "trace_id", "task", "model", "asked", "reserve", "metadata", "team", "decided_at",
    "decision_id", "kind", "charges", "calls", "at", "action", "detail", "span_id", "lane", "sequence", "hash",
)  # fmt: skip
INSIDE = {DECISIONS.name: "decisions", "inference.ledger.v1": "entries", "inference.audit.v1": "entries"}


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([one for one in SOURCES if one != SPANS.name]), st.dictionaries(st.sampled_from(FIELDS), hostile)
)
def test_any_json_on_a_topic_can_be_stored_and_shown(topic, document):
    """Wrong types in every field: no exception, and what cannot be named is left out."""
    named = {"job_id": "a1", "id": "a1", "tenant": "default", "status": "failed", **document}
    value = json.dumps({INSIDE[topic]: [named], "lane": "x"} if topic in INSIDE else named).encode()
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder) / "i.sqlite", [(topic, 0, 0, AT, value, b"k", ())])
        assert len(index.jobs(Query()).rows) <= 1
        for ask in (index.job, index.money, index.audit, index.records):
            json.dumps(ask("default", "a1"))
        json.dumps([index.letters().rows, index.alerts().rows, index.breakers(), index.prices(), index.state()])
        assert index.costs(by="model") is not None
        index.close()


def test_what_is_broken_is_counted_by_kind_and_once(tmp_path):
    records = [(topic, 0, 1, AT, value, None, ()) for topic in (JOBS.name, RESULTS.name) for value in (b"\xff", b"[]")]

    index = index_of(
        tmp_path / "i.sqlite", [*records, *records, (RESULTS.name, 0, 2, AT, b'{"status": "x"}', None, ())]
    )

    assert index.state()["broken"] == {"undecodable": 2, "unnamed": 1}  # the same place is the same record
    index.close()
