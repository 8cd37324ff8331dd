"""The pages' memory: bounded, searchable, rebuilt from nothing."""

from datetime import timedelta

import pytest
from console_world import NOON, Story

from console.facts import facts_of
from console.store import Filter, Store


def filled(path, stories, **limits):
    store = Store(path, **limits)
    store.add(facts_of(*record) for story in stories for record in story.records)
    return store


def numbered(count, **told):
    return [Story(job_id=f"j{n}", offset=n, began=NOON + timedelta(seconds=n), **told) for n in range(count)]


def test_the_oldest_jobs_go_when_there_are_too_many(tmp_path):
    store = filled(tmp_path / "s.sqlite", numbered(600), max_jobs=100, max_spans=50)

    store.add(facts_of(*record) for record in Story(job_id="last", offset=999, began=NOON + timedelta(days=1)).records)
    for _ in range(1_000):  # until it looks at its limits again
        store.add([facts_of(*Story(job_id="last", offset=999, began=NOON + timedelta(days=1)).records[0])])
    jobs = [job["job_id"] for job in store.jobs(Filter(), limit=1_000)]

    assert jobs[:2] == ["last", "j599"]
    assert len(jobs) == 100
    store.close()


def test_a_list_can_be_narrowed_by_status_tenant_and_text(tmp_path):
    store = filled(
        tmp_path / "s.sqlite", [*numbered(3), Story(job_id="no%_t", tenant="other", status="rejected", offset=77)]
    )

    assert [job["job_id"] for job in store.jobs(Filter(status="rejected"))] == ["no%_t"]
    assert [job["job_id"] for job in store.jobs(Filter(tenant="other"))] == ["no%_t"]
    assert [job["job_id"] for job in store.jobs(Filter(text="%_"))] == ["no%_t"]
    assert len(store.jobs(Filter(text="org/small"))) == 3
    assert store.jobs(Filter(status="succeeded", tenant="other")) == []
    store.close()


def test_costs_are_summed_over_all_jobs(tmp_path):
    store = filled(tmp_path / "s.sqlite", [*numbered(3), Story(job_id="x", status="rejected", offset=77)])

    totals = store.totals()

    assert (totals.jobs, totals.cost_nanousd, totals.by_status) == (4, 3 * 1_234, {"succeeded": 3, "rejected": 1})
    store.close()


def test_a_job_is_found_by_its_trace_and_by_its_records(tmp_path):
    story = Story()
    store = filled(tmp_path / "s.sqlite", [story])

    assert store.by_trace(story.trace.trace_id)[0]["job_id"] == "a1"
    for topic in ("inference.jobs.v1", "inference.text.v1"):  # the second is known from its span alone
        assert store.by_record(topic, story.home, story.offset) == [{"tenant": "default", "job_id": "a1"}]
    assert store.by_record("inference.jobs.v1", story.home, 999) == []
    store.close()


def test_a_store_keeps_its_id_and_a_damaged_one_begins_anew(tmp_path):
    path = tmp_path / "s.sqlite"
    first = filled(path, numbered(1))
    first.close()
    again = Store(path)
    assert (again.id, again.totals().jobs) == (first.id, 1)
    again.close()

    path.write_bytes(b"no database" * 1_000)
    anew = Store(path)

    assert anew.id != first.id  # a new group, so that everything is read again
    assert anew.totals().jobs == 0
    anew.close()


def test_a_batch_that_fails_leaves_nothing_behind(tmp_path):
    store = Store(tmp_path / "s.sqlite")

    def broken():
        yield facts_of(*Story().records[0])
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        store.add(broken())

    assert store.totals().jobs == 0
    store.close()
