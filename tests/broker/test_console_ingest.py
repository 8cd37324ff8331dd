"""The explorer's ingest on a real broker: everything once, nothing lost by a restart, no lane group touched."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from console_world import Story
from index_world import AT, dump, everything

from console.index import ingest as module
from console.index.ingest import SOURCES, Ingest
from console.index.query import Query
from console.index.reading import Index
from console.index.store import Store
from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import resolve
from schemas.topics import BREAKERS, JOBS, RESULTS, SPANS, TOPICS

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


def kept(path):
    """A store of tests: their stories are of another day."""
    return Store(path, now_ms=lambda: AT)


async def test_jobs_decisions_results_and_spans_reach_the_index(settings, tmp_path):
    stories = [Story(job_id=f"j{n}", offset=n) for n in range(20)]
    count = await written(settings, *stories)
    store = kept(tmp_path / "s.sqlite")
    ingest = Ingest(settings, store)

    await ingest.start()
    await filled(ingest, count)
    await ingest.stop()

    index = Index(store.path)
    assert index.totals().by_status == {"succeeded": 20}
    assert len(index.spans(stories[0].trace.trace_id)) == 6
    assert index.state()["broken"]["undecodable"] > 0
    index.close()
    store.close()


async def test_a_restart_goes_on_where_it_was_and_an_empty_disk_reads_the_same_again(settings, tmp_path):
    first_count = await written(settings, Story())
    store = kept(tmp_path / "s.sqlite")
    first = Ingest(settings, store)
    await first.start()
    await filled(first, first_count)
    await first.stop()

    async with Bus(settings) as bus:
        records = [
            Outgoing(topic, key, value, tuple(headers), partition % 6 if topic != BREAKERS.name else 0)
            for topic, partition, _, _, value, key, headers in everything()
            if topic != "novix.prices.v1"
        ]
        await bus.publish(records)
    again = Ingest(settings, store)
    await again.start()
    await filled(again, len(records))
    await again.stop()
    empty = kept(tmp_path / "new.sqlite")
    anew = Ingest(settings, empty)
    await anew.start()
    await filled(anew, first_count + len(records))
    await anew.stop()

    assert again.records == len(records)  # nothing was read twice
    assert first.group == again.group != anew.group
    assert dump(store.path) == dump(empty.path)
    index = Index(store.path)
    assert {job["job_id"] for job in index.jobs(Query()).rows} == {"a1", "r1", "w1"}
    assert ["x-team", "(2 bytes)"] in [header for one in index.records("default", "r1") for header in one["headers"]]
    index.close()
    store.close()
    empty.close()


async def test_what_a_transaction_took_back_is_never_shown(settings, tmp_path):
    """A lane that dies in mid-transaction leaves records that are none."""
    count = await written(settings)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=settings.named("taken-back")
    )
    await producer.start()
    try:
        for story, kept_it in ((Story(job_id="gone"), False), (Story(job_id="kept", offset=8), True)):
            await producer.begin_transaction()
            for topic, partition, _, _, value in story.records:
                await producer.send_and_wait(settings.named(topic), value, key=b"k", partition=partition)
            await (producer.commit_transaction() if kept_it else producer.abort_transaction())
    finally:
        await producer.stop()
    store = kept(tmp_path / "s.sqlite")
    ingest = Ingest(settings, store)
    await ingest.start()
    await filled(ingest, count + len(Story().records))
    await ingest.stop()

    index = Index(store.path)
    assert [job["job_id"] for job in index.jobs(Query()).rows] == ["kept"]
    assert ingest.records == count + len(Story().records)
    index.close()
    store.close()


async def test_what_could_not_be_written_is_read_again(settings, tmp_path, monkeypatch):
    count = await written(settings, Story())
    store = kept(tmp_path / "s.sqlite")
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

    index = Index(store.path)
    assert faults == ["disk full"]
    assert ingest.fault is None
    assert index.totals().by_status == {"succeeded": 1}
    index.close()
    store.close()


async def test_a_record_that_a_fault_of_ours_cannot_read_is_counted_and_does_not_stop_the_others(
    settings, tmp_path, monkeypatch
):
    count = await written(settings, Story())
    read = module.facts_of

    def failing(topic, partition, offset, *rest, **more):
        if topic == SPANS.name:
            raise RuntimeError("a fault of ours")
        return read(topic, partition, offset, *rest, **more)

    monkeypatch.setattr(module, "facts_of", failing)
    store = kept(tmp_path / "s.sqlite")
    ingest = Ingest(settings, store)
    await ingest.start()
    await filled(ingest, count)
    await ingest.stop()

    index = Index(store.path)
    assert index.state()["broken"]["fault"] == 3
    assert index.totals().by_status == {"succeeded": 1}
    index.close()
    store.close()


def test_the_ingest_reads_what_tells_of_jobs_money_audit_and_health():
    names = {topic.name for topic in TOPICS}

    assert {JOBS.name, RESULTS.name, SPANS.name, BREAKERS.name} < set(SOURCES) <= names
