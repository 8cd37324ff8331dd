"""Offsets that are deleted, records that are, and commit metadata that is lost or has no room: no silent skip."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as SourcePartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from ordeal import IN_FLIGHT, SESSION, Ordeal, ordeal
from system import PARTITIONS
from told_broker import told_broker

from schemas.topics import TEXT, worker_group

GROUP = worker_group("text")
SLOW_MS = 3_000
HELD_MS = 25_000
"""Longer than a slow machine needs for what must be finished before it, shorter than a read may take."""


class Operator:
    """What somebody does to the text workers' group with Kafka's own tools, while nobody is in it."""

    def __init__(self, run: Ordeal) -> None:
        self._run = run
        self._admin = AdminClient({"bootstrap.servers": run.stranger.bootstrap, "log_level": 0})
        self._group = run.stranger.named(GROUP)
        self._topic = run.stranger.named(TEXT.name)

    def committed(self) -> dict[SourcePartition, OffsetAndMetadata]:
        """What the group has committed, and the metadata. By aiokafka: confluent-kafka 2.16 adds a byte to that."""

        async def ask() -> dict[SourcePartition, OffsetAndMetadata]:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._run.stranger.bootstrap)
            await admin.start()
            try:
                return dict(await admin.list_consumer_group_offsets(self._group))
            finally:
                await admin.close()

        return asyncio.run(ask())

    def commit(self, offsets: dict[SourcePartition, OffsetAndMetadata]) -> None:
        """Set offsets and metadata, as a consumer that has joined nothing may while the group is empty."""

        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._run.stranger.bootstrap, group_id=self._group, enable_auto_commit=False
            )
            await consumer.start()
            try:
                consumer.assign(list(offsets))
                await consumer.commit(offsets)
            finally:
                await consumer.stop()

        self.once_empty(lambda: asyncio.run(commit()))

    def forget(self) -> None:
        """Delete the group, and with it all that it had committed."""
        self.once_empty(lambda: self._admin.delete_consumer_groups([self._group])[self._group].result(10))

    def delete_below(self, offsets: dict[int, int]) -> None:
        """Delete the records below these offsets, as retention does."""
        asked = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        for deleted in self._admin.delete_records(asked).values():
            deleted.result(10)

    def ends(self) -> dict[int, int]:
        """Where each partition ends."""
        looker = Consumer({"bootstrap.servers": self._run.stranger.bootstrap, "group.id": "looker", "log_level": 0})
        partitions = looker.list_topics(self._topic, timeout=5).topics[self._topic].partitions
        ends = {one: looker.get_watermark_offsets(TopicPartition(self._topic, one), timeout=5)[1] for one in partitions}
        looker.close()
        return ends

    def once_empty(self, do: Callable[[], Any]) -> None:
        """Do it when the last member's session has ended."""

        def done() -> bool:
            try:
                do()
            except CommitFailedError:
                return False
            except KafkaException as error:
                if error.args[0].name() != "NON_EMPTY_GROUP":
                    raise
                return False
            return True

        self._run.wait(done, "empty group")


def alarmed(run: Ordeal, reason: str) -> None:
    """Wait until the worker says that its lanes have stopped, and why; it runs on."""
    worker = run.system.worker

    def stopped() -> bool:
        lanes = worker.lanes()
        return len(lanes) == PARTITIONS and all(lane["state"] == "stopped" for lane in lanes)

    run.wait(stopped, "lanes that have stopped")
    assert all(reason in lane["reason"] for lane in worker.lanes()), run.state()
    assert worker.health()[0] == 503
    assert worker.running, "a crash loop instead of an alarm"


@pytest.mark.long
@pytest.mark.row(43)
def test_a_committed_offset_that_is_gone_stops_the_lane_until_somebody_sets_it(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        operator, worker = Operator(run), run.system.worker
        run.publish(90)
        run.until()
        run.quiet()
        worker.terminate()
        kept = operator.committed()
        operator.forget()
        run.publish(30)
        worker.start()
        alarmed(run, "committed offset is gone")
        assert run.ended() == 90

        worker.terminate()
        operator.commit(kept)
        worker.start()
        run.healed()
        run.recover()
        run.verdict(samples=False, note="the group was deleted; set by hand from a copy")


@pytest.mark.long
@pytest.mark.row(43)
def test_records_that_are_deleted_before_they_were_read_stop_the_lane_by_name(broker, tmp_path, proof):
    """Retention passed the committed offset while the worker was away. Somebody looks, sets it, and asks again."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        operator, worker, router = Operator(run), run.system.worker, run.system.router
        run.publish(60)
        run.until()
        run.quiet()
        worker.terminate()
        published = run.publish(30)
        run.wait(lambda: len(run.stranger.read(TEXT.name)) > 60, "assigned job")
        router.terminate()
        deleted = run.stranger.read(TEXT.name)
        assigned = {found.json["job"]["id"] for found in deleted}
        gone = [job for job in published if job["id"] in assigned]
        operator.delete_below(operator.ends())
        worker.start()
        alarmed(run, "records are gone")
        assert run.ended() == 60

        worker.terminate()
        ends = operator.ends()
        kept = operator.committed()
        operator.commit({at: one._replace(offset=ends[at.partition]) for at, one in kept.items()})
        again = [{**job, "id": f"{job['id']}-again"} for job in gone]
        lost = {(job["tenant"], job["id"], 1) for job in gone}
        run.wanted[:] = [one for one in run.wanted if one not in lost]
        run.wanted += [(job["tenant"], job["id"], 1) for job in again]
        router.start()
        worker.start()
        run.stranger.publish(*again)
        run.healed()
        run.recover()
        note = f"{len(gone)} assigned jobs deleted unread, published again under other ids"
        run.verdict(samples=False, deleted=deleted, note=note)


@pytest.mark.row(51)
def test_commit_metadata_that_is_lost_stops_the_lanes_instead_of_doing_finished_work_again(broker, tmp_path, proof):
    """The worker dies with outcomes committed above the offset; whoever sets offsets leaves the metadata behind."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        operator, worker = Operator(run), run.system.worker
        run.system.stub("/admin/behave", {"delay_ms": HELD_MS})
        run.publish(IN_FLIGHT // 4)
        run.calls_out(IN_FLIGHT // 4)
        run.system.stub("/admin/behave", {"delay_ms": 20})
        run.publish(120)
        run.more(60)
        worker.kill()
        kept = operator.committed()
        assert any(one.metadata.rpartition(",")[2] for one in kept.values()), "nothing is finished above an offset"
        operator.commit({at: one._replace(metadata="") for at, one in kept.items()})
        worker.start()
        alarmed(run, "what stood beside its committed offset")

        worker.terminate()
        operator.commit(kept)
        worker.start()
        run.healed()
        run.recover()
        run.verdict(excused=True, samples=False, note="emptied after a kill -9, noticed, set from a copy")


@pytest.mark.long
@pytest.mark.row(51)
def test_an_older_offset_with_what_stood_beside_it_keeps_the_lanes_closed_until_the_newest_is_back(
    broker, tmp_path, proof
):
    """As a coordinator answers that has not loaded all that was committed; or somebody sets an older copy."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        operator, worker = Operator(run), run.system.worker
        run.publish(60)
        run.until()
        run.quiet()
        worker.terminate()
        older = operator.committed()
        worker.start()
        run.publish(60)
        run.until()
        run.quiet()
        worker.terminate()
        newest = operator.committed()
        operator.commit(older)
        worker.start()

        def refused() -> bool:
            lanes = worker.lanes()
            return len(lanes) == PARTITIONS and all("audit batches" in (lane["reason"] or "") for lane in lanes)

        run.wait(refused, "lanes that wait for a newer position")
        assert worker.running
        assert run.ended() == 120
        worker.terminate()
        operator.commit(newest)
        worker.start()
        run.healed()
        run.recover()
        run.verdict(samples=False, note="set back by hand, noticed, set forward again")


@pytest.mark.long
@pytest.mark.row(51)
def test_a_broker_with_little_room_for_metadata_is_asked_for_less_and_the_lanes_go_on(tmp_path, proof):
    """98 characters hold the chain's head and two journals, and no finished offset beside them."""
    (tmp_path / "run").mkdir()
    told = told_broker(tmp_path / "broker", offset_metadata_max_bytes="98")
    with told as small, ordeal(small.bootstrap, tmp_path / "run", proof=proof, **SESSION) as run:
        run.system.stub("/admin/behave", {"delay_ms": SLOW_MS})
        run.publish(IN_FLIGHT - 2)
        run.calls_out(IN_FLIGHT // 2)
        run.system.stub("/admin/behave", {"delay_ms": 20})
        run.publish(200)
        run.more(60)
        run.system.worker.kill()
        run.system.worker.start()
        run.healed()
        run.recover()
        run.verdict(excused=True, note="offset.metadata.max.bytes=98")
        assert "MetadataTooLarge" in (tmp_path / "run" / "worker.log").read_text(), "the test shows nothing"
