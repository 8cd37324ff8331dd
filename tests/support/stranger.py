"""A stranger to Novix: publishes jobs and counts results with nothing but confluent-kafka (librdkafka)."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription
from system import PARTITIONS, WITHIN_S, System, settings_for, stub

from runtime.partitions import partition_of
from schemas.topics import (
    AUDIT,
    CHECKPOINTS,
    DLQ,
    JOBS,
    RESULTS,
    RETRY_TIERS,
    ROUTER_GROUP,
    TEXT,
    TOPICS,
    retry_group,
    worker_group,
)

TOKEN = "hf_canarytokencanarytokencanary"
"""What `system.settings_for` gives the processes."""
Place = tuple[int, int]
"""Partition and offset on the jobs topic."""
LANES = (
    (ROUTER_GROUP, JOBS.name),
    (worker_group("text"), TEXT.name),
    *((retry_group(tier), tier.name) for _, tier in RETRY_TIERS),
)


@dataclass
class Found:
    """A record as a read_committed consumer sees it."""

    topic: str
    """Without prefix."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def json(self) -> Any:
        return json.loads(self.value or b"")

    def header(self, name: str) -> str | None:
        return next((value.decode() for key, value in self.headers if key == name), None)


@dataclass
class Stranger:
    """One running installation, seen from outside."""

    system: System
    folder: Path
    address: str = ""
    """Where it meets the broker, if that is not where the installation does."""
    _producers: dict[str, Producer] = field(default_factory=dict)
    _reader: Consumer | None = None
    _results: list[Found] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return self.address or self.system.settings.kafka_bootstrap

    def named(self, name: str) -> str:
        return self.system.settings.named(name)

    def home(self, tenant: str) -> int:
        """The partition that the default partitioner of Java's client and of aiokafka gives a tenant."""
        return partition_of(tenant.encode(), PARTITIONS)

    def close(self) -> None:
        """Let the connections go, and forget what was read."""
        self._producers.clear()
        self._results.clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # publish

    def publish(
        self, *jobs: dict[str, Any], key: bytes | None = None, partitioner: str = "murmur2_random"
    ) -> list[Place]:
        """Jobs keyed by tenant, unless `key` says otherwise; where each of them landed."""
        return self.write(
            [(job["tenant"].encode() if key is None else key, encoded(job), []) for job in jobs], partitioner
        )

    def write(
        self,
        records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]],
        partitioner: str = "murmur2_random",
        partition: int = -1,
        topic: str = JOBS.name,
    ) -> list[Place]:
        """Any bytes; returns when all of them are acknowledged."""
        producer = self._producers.setdefault(
            partitioner,
            Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "partitioner": partitioner,
                    "message.max.bytes": 1_048_500,
                    "linger.ms": 5,
                    "log_level": 0,
                    "socket.timeout.ms": 10_000,
                }
            ),
        )
        places: dict[int, Place] = {}

        def note(number: int) -> Callable[[KafkaError | None, Message], None]:
            def noted(error: KafkaError | None, message: Message) -> None:
                assert error is None, error
                places[number] = message.partition(), message.offset()

            return noted

        for number, (key, value, headers) in enumerate(records):
            producer.produce(self.named(topic), value, key, partition, headers=headers, on_delivery=note(number))
            producer.poll(0)
        assert producer.flush(60) == 0
        return [places[number] for number in range(len(records))]

    # read

    def _consumer(self, *topics: str) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"stranger-{secrets.token_hex(4)}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "socket.timeout.ms": 10_000,
            }
        )
        few = self.named(topics[0]) if len(topics) == 1 else None  # a shared broker knows hundreds of others
        known = consumer.list_topics(few, timeout=10).topics
        consumer.assign(
            [
                TopicPartition(self.named(topic), partition, OFFSET_BEGINNING)
                for topic in topics
                for partition in known[self.named(topic)].partitions
            ]
        )
        return consumer

    def _found(self, message: Message) -> Found:
        name = message.topic().removeprefix(self.system.settings.topic_prefix)
        return Found(
            name, message.partition(), message.offset(), message.key(), message.value(), list(message.headers() or [])
        )

    def read(self, *topics: str) -> list[Found]:
        """Everything that is committed on these topics now."""
        consumer = self._consumer(*topics)
        open_ends = {(source.topic, source.partition) for source in consumer.assignment()}
        found = []
        until = time.monotonic() + WITHIN_S
        while open_ends:
            assert time.monotonic() < until, "the topics have no end"
            for message in _come(consumer, within_s=0.1):
                if message.error() is None:
                    found.append(self._found(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_ends.discard((message.topic(), message.partition()))
        consumer.close()
        return found

    def until(self, enough: Callable[[list[Found]], bool], within_s: float = WITHIN_S) -> list[Found]:
        """Follow the results until `enough` of them are there; all of them so far."""
        if self._reader is None:
            self._reader = self._consumer(RESULTS.name)
        until = time.monotonic() + within_s
        while not enough(self._results):
            assert time.monotonic() < until, f"after {within_s} s there are {len(self._results)} results, not enough"
            for message in _come(self._reader, within_s=0.2):
                if message.error() is None:
                    self._results.append(self._found(message))
        return self._results

    def result(self, job_id: str, tenant: str, submission: int = 1, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Wait for one result."""

        def of(results: list[Found]) -> list[dict[str, Any]]:
            mine = [found.json for found in results if found.key == f"{tenant}/{job_id}".encode()]
            return [document for document in mine if document["submission"] == submission]

        return of(self.until(lambda results: bool(of(results)), within_s))[0]

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Publish a job and wait for its result."""
        self.publish(job)
        return self.result(job["id"], job["tenant"])

    def quiet(self, within_s: float = WITHIN_S) -> None:
        """Wait until each lane group has committed past every record of its topic: nothing is on its way any more.

        Twice in a row, because a job goes from its topic to a retry topic and back.
        """
        until, quiet = time.monotonic() + within_s, 0
        while quiet < 2:
            busy = next((lane for lane in LANES if not self._committed_past(*lane)), None)
            quiet = 0 if busy else quiet + 1
            assert time.monotonic() < until, f"{busy} has records that are not done after {within_s} s"
            time.sleep(0.1)  # Kafka tells nobody when a group commits

    def _committed_past(self, group: str, topic: str) -> bool:
        """A lane commits past the markers behind its last record as well, so nothing has to be read.

        The end is the high watermark: what a transaction wrote whose markers are still under way counts.
        """
        looker = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.named(group),
                "isolation.level": "read_uncommitted",
                "socket.timeout.ms": 10_000,
            }
        )
        name = self.named(topic)
        known = looker.list_topics(name, timeout=10).topics[name].partitions
        committed = looker.committed([TopicPartition(name, partition) for partition in known], timeout=10)
        ends = [looker.get_watermark_offsets(TopicPartition(name, one.partition), timeout=10) for one in committed]
        looker.close()
        return all(high <= max(low, source.offset) for source, (low, high) in zip(committed, ends, strict=True))

    def results_of(self, tenant: str) -> list[dict[str, Any]]:
        """Every result of a tenant once nothing is on its way: what is there twice, shows."""
        self.quiet()
        return [found.json for found in self.read(RESULTS.name) if (found.key or b"").startswith(f"{tenant}/".encode())]

    def letters_of(self, *ids: str) -> list[Found]:
        """The dead letters whose value names one of these job ids."""
        return [
            found for found in self.read(DLQ.name) if any(f'"{one}"'.encode() in (found.value or b"") for one in ids)
        ]

    def members(self, group: str) -> dict[str, set[int]]:
        """Client id of each member of a group, with the partitions that it holds; none while it rebalances."""
        described = self._described(group)
        if described.state is not ConsumerGroupState.STABLE:
            return {}
        return {
            member.client_id: {source.partition for source in member.assignment.topic_partitions}
            for member in described.members
        }

    def joined(self, group: str) -> dict[str, str]:
        """Client id of each member of a group, with the id that the broker gave it when it joined."""
        return {member.client_id: member.member_id for member in self._described(group).members}

    def _described(self, group: str) -> ConsumerGroupDescription:
        name = self.named(group)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        found: ConsumerGroupDescription = admin.describe_consumer_groups([name], request_timeout=10)[name].result(15)
        return found

    def topics(self) -> set[str]:
        """The topics that bear the installation's prefix, without it."""
        prefix = self.system.settings.topic_prefix
        known = AdminClient({"bootstrap.servers": self.bootstrap}).list_topics(timeout=10).topics
        return {name.removeprefix(prefix) for name in known if name.startswith(prefix)}

    def cli(
        self, *arguments: str, expect: int | None = 0, stdin: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """A `novix` command of this installation."""
        return novix(*arguments, environment={**self.system.environment, **environment}, expect=expect, stdin=stdin)

    def until_signed(self, within_s: float = 60) -> None:
        """Wait until a checkpoint covers every entry of the audit; somebody signs them meanwhile."""
        end = time.monotonic() + within_s
        while not self._is_signed():
            assert time.monotonic() < end, f"no checkpoint over everything within {within_s} s"
            time.sleep(0.2)

    def _is_signed(self) -> bool:
        signed = [one.json for one in self.read(CHECKPOINTS.name)]
        entries = sum(len(one.json["entries"]) for one in self.read(AUDIT.name))
        return bool(signed) and sum(head["size"] for head in signed[-1]["heads"]) == entries

    def leaks(self, *canaries: str, besides: tuple[str, ...] = ()) -> list[str]:
        """Where a canary is to be found: topics other than `besides`, and logs."""
        needles = [canary.encode() for canary in canaries]
        places = []
        for found in self.read(*(topic.name for topic in TOPICS if topic.name not in besides)):
            content = b"\0".join([found.key or b"", found.value or b"", *(value or b"" for _, value in found.headers)])
            places += [f"{found.topic}/{found.partition}/{found.offset}" for needle in needles if needle in content]
        for log in self.folder.glob("*.log"):
            places += [log.name for needle in needles if needle in log.read_bytes()]
        return places


def _come(consumer: Consumer, within_s: float) -> list[Message]:
    """What has come: at once when something has, with whatever comes right behind it."""
    first = consumer.poll(within_s)
    return [] if first is None else [first, *consumer.consume(500, timeout=0.02)]


def encoded(job: Any) -> bytes:
    return json.dumps(job).encode()


def novix(
    *arguments: str,
    environment: dict[str, str],
    expect: int | None = 0,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a person does; `expect` is the exit code that must come."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOVIX_", "HF_"))}

    done = subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        env={**kept, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )
    assert expect is None or done.returncode == expect, (
        f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}"
    )
    return done


@contextmanager
def installation(
    bootstrap: str, folder: Path, *, start: bool = True, crew: int = 1, **settings: str
) -> Iterator[Stranger]:
    """Router, text workers and stub provider under a prefix of their own, topics made by the command line."""
    with stub() as stub_url:
        prefix = f"t-{secrets.token_hex(4)}."
        made, environment = settings_for(bootstrap, prefix, folder / "home", stub_url, **settings)
        stranger = Stranger(System(made, environment, stub_url, logs=folder, crew=crew), folder, bootstrap)
        stranger.cli("topics", "create", "--partitions", str(PARTITIONS))
        if start:
            stranger.system.start()
        try:
            yield stranger
        finally:
            stranger.close()
            stranger.system.stop()
