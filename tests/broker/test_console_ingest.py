"""The console's ingest on a real broker: everything once, nothing lost by a restart, no lane group touched."""

import asyncio

import pytest
from console_world import Story

from console.ingest import SOURCES, Ingest
from console.store import Filter, Store
from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import resolve
from schemas.topics import JOBS, RESULTS, SPANS, TOPICS

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(broker, prefix, tmp_path):
    values = {"NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix, "NOVIX_HOME": str(tmp_path)}
    return resolve(values, {}, {}).settings


async def written(settings, *stories):
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=6)
        # Headers that are no UTF-8 and values that are nothing: the ingest goes on behind them.
        hostile = [
            Outgoing(topic, b"k", value, (("x", b"\xff\xfe"),)) for topic in SOURCES for value in (b"\xff", None)
        ]
        records = [
            Outgoing(topic, b"k", value, partition=partition)
            for story in stories
            for topic, partition, _, _, value in story.records
        ]
        await bus.publish([*hostile, *records])
        return len(hostile) + len(records)


async def filled(ingest, records):
    """Return when the ingest has acknowledged so many records in its life."""
    async with asyncio.timeout(30):
        while ingest.records < records:
            await asyncio.sleep(0.02)


async def test_jobs_decisions_results_and_spans_reach_the_store(settings, tmp_path):
    stories = [Story(job_id=f"j{n}", offset=n) for n in range(20)]
    count = await written(settings, *stories)
    store = Store(tmp_path / "s.sqlite")
    ingest = Ingest(settings, store)

    await ingest.start()
    await filled(ingest, count)
    await ingest.stop()

    assert store.totals().by_status == {"succeeded": 20}
    assert len(store.spans(stories[0].trace.trace_id)) == 6
    store.close()


async def test_a_restart_goes_on_where_it_was_and_an_empty_disk_reads_everything(settings, tmp_path):
    first_count = await written(settings, Story())
    store = Store(tmp_path / "s.sqlite")
    first = Ingest(settings, store)
    await first.start()
    await filled(first, first_count)
    await first.stop()

    second_count = await written(settings, Story(job_id="b2", offset=8))
    again = Ingest(settings, store)
    await again.start()
    await filled(again, second_count)
    await again.stop()
    empty = Store(tmp_path / "new.sqlite")
    anew = Ingest(settings, empty)
    await anew.start()
    await filled(anew, first_count + second_count)
    await anew.stop()

    assert again.records == second_count  # nothing was read twice
    assert (
        {job["job_id"] for job in store.jobs(Filter())}
        == {job["job_id"] for job in empty.jobs(Filter())}
        == {"a1", "b2"}
    )
    assert first.group == again.group != anew.group
    store.close()
    empty.close()


async def test_what_could_not_be_written_is_read_again(settings, tmp_path, monkeypatch):
    count = await written(settings, Story())
    store = Store(tmp_path / "s.sqlite")
    ingest = Ingest(settings, store)
    add, faults = store.add, []

    def failing_once(facts):
        if not faults:
            faults.append("disk full")
            raise OSError("disk full")
        return add(facts)

    monkeypatch.setattr(store, "add", failing_once)
    await ingest.start()
    await filled(ingest, count)
    await ingest.stop()

    assert faults == ["disk full"]
    assert ingest.fault is None
    assert store.totals().by_status == {"succeeded": 1}
    store.close()


def test_the_ingest_reads_the_four_topics_that_tell_a_jobs_story():
    assert {JOBS.name, RESULTS.name, SPANS.name} < set(SOURCES)
    assert all(not topic.startswith("inference.text") for topic in SOURCES)
