"""The sandbox's own Apache Kafka: it starts, serves, keeps its data through a kill, and goes in peace."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.helpers import create_ssl_context
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from sandbox.fetch import ChecksumError, default_cache
from sandbox.kafka.broker import BrokerDiedError, BrokerError, LocalBroker
from sandbox.kafka.config import HOST, JVM_FLAGS, Security
from sandbox.kafka.installation import install
from sandbox.kafka.jars import kafka_jars, pinned_jars
from sandbox.kafka.java import packaged_java
from sandbox.kafka.probe import Readiness, probe
from sandbox.kafka.process import is_ours, wait_until_gone

pytestmark = pytest.mark.broker
WAIT_S = 30


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalBroker]:
    """A broker that the test may kill; not started yet."""
    broker = LocalBroker(tmp_path / "broker")
    yield broker
    broker.kill()


@asynccontextmanager
async def producing(bootstrap: str, **settings: object) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def read(bootstrap: str, topic: str, *, count: int) -> list[bytes]:
    """The first `count` committed values, and whatever the same fetch brought beyond them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        values: list[bytes] = []
        async with asyncio.timeout(WAIT_S):
            while len(values) < count:
                values += [record.value for record in (await consumer.getmany(timeout_ms=500)).get(partition, [])]
        return values
    finally:
        await consumer.stop()


async def test_what_is_produced_is_consumed(broker, prefix):
    topic = f"{prefix}round-trip"
    await create(broker.bootstrap, topic)
    sent = [b"%d" % n for n in range(100)]

    async with producing(broker.bootstrap) as producer:
        for value in sent:
            await producer.send(topic, value, partition=0)
        await producer.flush()

    assert await read(broker.bootstrap, topic, count=100) == sent


async def test_a_transaction_is_read_only_after_its_commit_and_an_aborted_one_never(broker, prefix):
    topic = f"{prefix}transactions"
    await create(broker.bootstrap, topic)

    async with producing(broker.bootstrap, transactional_id=f"{prefix}lane") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"taken back", partition=0)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", partition=0)

    assert await read(broker.bootstrap, topic, count=1) == [b"committed"]


async def test_a_consumer_group_commits_and_reads_back_its_offset(broker, prefix):
    topic = f"{prefix}group"
    await create(broker.bootstrap, topic)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, group_id=f"{prefix}g", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    async with producing(broker.bootstrap) as producer:
        await producer.send_and_wait(topic, b"one", partition=0)

    await consumer.start()
    try:
        async with asyncio.timeout(WAIT_S):
            await consumer.getone()
        await consumer.commit()
        assert await consumer.committed(TopicPartition(topic, 0)) == 1
    finally:
        await consumer.stop()


async def test_kill_minus_nine_and_a_restart_keep_every_acknowledged_record(own: LocalBroker):
    await own.astart()
    before = own.bootstrap
    await create(own.bootstrap, "kept")
    sent = [b"%d" % n for n in range(500)]
    async with producing(own.bootstrap, enable_idempotence=True) as producer:
        await asyncio.gather(*[await producer.send("kept", value, partition=0) for value in sent])

        own.kill()
        assert probe(*address(before)) is Readiness.SILENT
        await own.astart()

        await producer.send_and_wait("kept", b"after", partition=0)
    assert own.bootstrap == before
    assert await read(own.bootstrap, "kept", count=501) == [*sent, b"after"]


async def test_a_frozen_broker_is_silent_until_it_is_thawed(own: LocalBroker):
    own.start()
    own.freeze()
    assert own.running
    assert await asyncio.to_thread(probe, *address(own.bootstrap), timeout_s=0.5) is Readiness.SILENT

    own.thaw()
    await own.ready()

    assert probe(*address(own.bootstrap)) is Readiness.SERVES


def test_a_stop_is_clean_and_the_next_start_finds_the_same_cluster_on_the_same_port(own: LocalBroker):
    """Kafka leaves a marker when it has closed its logs; without one the next start checks them all."""
    own.start()
    before, cluster = own.bootstrap, (own.home.log_dir / "meta.properties").read_text()

    own.stop()

    assert not own.running
    assert (own.home.log_dir / ".kafka_cleanshutdown").exists()
    own.start()
    assert own.bootstrap == before
    assert (own.home.log_dir / "meta.properties").read_text() == cluster


def test_a_second_start_in_the_same_folder_is_refused(own: LocalBroker):
    own.start()

    with pytest.raises(BrokerError, match=f"as process {own.pid}: attach"):
        LocalBroker(own.home.data).start()


def test_a_detached_broker_is_found_and_stopped_by_another_owner(tmp_path: Path):
    first, second = LocalBroker(tmp_path / "broker", detach=True), LocalBroker(tmp_path / "broker")
    first.start()
    try:
        assert second.attach()
        assert (second.pid, second.bootstrap) == (first.pid, first.bootstrap)
        second.stop()
        assert probe(*address(first.bootstrap)) is Readiness.SILENT
        assert not first.running
        assert not LocalBroker(tmp_path / "broker").attach()
    finally:
        first.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_broker_does_not_outlive_a_killed_parent(tmp_path: Path):
    data = tmp_path / "broker"
    program = (
        "import sys, time; from pathlib import Path; from sandbox.kafka.broker import LocalBroker\n"
        "b = LocalBroker(Path(sys.argv[1])); b.start(); print(b.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(data)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, mark = int(parent.stdout.readline()), LocalBroker(data).home.mark
    assert is_ours(pid, mark)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    assert wait_until_gone(pid, mark, timeout_s=WAIT_S)


def test_a_taken_port_is_named_in_the_error_with_the_end_of_the_log(tmp_path: Path):
    with socket.create_server((HOST, 0)) as taken:
        broker = LocalBroker(tmp_path / "broker", port=taken.getsockname()[1], controller_port=free_port_now())

        with pytest.raises(BrokerDiedError, match="Address already in use"):
            broker.start()

    assert not broker.running


def test_a_lost_race_for_a_port_is_run_again_on_another(own: LocalBroker):
    """Between choosing a port and the JVM's listening on it somebody else may come."""
    own.prepare()
    host, port = address(own.bootstrap)
    with socket.create_server((host, port)):
        own.start()

        assert own.running
        assert own.bootstrap != f"{host}:{port}"


def test_a_refused_class_archive_costs_time_and_nothing_else(tmp_path: Path):
    """The jars are the real cache's; the archive of this Java and these jars is rubbish."""
    cache = linked_cache(tmp_path)
    archive = install(cache).archive(JVM_FLAGS)
    archive.write_bytes(b"not an archive" * 1000)
    broker = LocalBroker(tmp_path / "broker", cache=cache)

    broker.start()

    assert broker.running
    broker.stop()


def test_a_changed_jar_is_refused_by_name_before_anything_starts(tmp_path: Path):
    cache = linked_cache(tmp_path)
    victim = next((cache / "kafka-4.2.0").glob("kafka-clients-*.jar"))
    content = victim.read_bytes()
    victim.unlink()  # a link to the real one
    victim.write_bytes(content[:-1] + b"!")

    with pytest.raises(ChecksumError, match=r"kafka-clients-4\.2\.0\.jar: sha256 is .* pinned is "):
        LocalBroker(tmp_path / "broker", cache=cache).start()

    assert not (tmp_path / "broker").exists()


def test_a_warm_cache_needs_neither_network_nor_jgo(tmp_path: Path):
    cache = linked_cache(tmp_path)
    program = (
        "import sys; from pathlib import Path; from sandbox.kafka.jars import kafka_jars\n"
        "print(len(kafka_jars(Path(sys.argv[1])))); assert 'jgo' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", program, str(cache)], capture_output=True, text=True, check=True)

    assert int(done.stdout) == len(pinned_jars())


def test_the_packaged_java_runs_the_broker_where_the_machine_has_none(tmp_path: Path):
    java = packaged_java(cache=default_cache(), say=print)
    assert java.major >= 17
    broker = LocalBroker(tmp_path / "broker", java=java, archive=False)

    broker.start()

    assert broker.running
    broker.stop()


@pytest.mark.container
async def test_the_same_round_trip_in_a_container(container_broker, prefix):
    await create(container_broker.bootstrap, f"{prefix}round-trip")
    async with producing(container_broker.bootstrap) as producer:
        await producer.send_and_wait(f"{prefix}round-trip", b"here", partition=0)

    assert await read(container_broker.bootstrap, f"{prefix}round-trip", count=1) == [b"here"]


async def test_scram_and_tls_let_a_user_do_what_an_acl_allows_and_nobody_else_anything(tmp_path: Path):
    security = Security({"admin": "admin-secret", "lane": "lane-secret"})
    secured = LocalBroker(tmp_path / "broker", security=security)
    await secured.astart()
    try:
        await asyncio.to_thread(prepare_secured, secured)

        async with producing(secured.bootstrap, **credentials(secured, "lane", "lane-secret")) as producer:
            assert await sent_at_last(producer, "mine") == 0
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait("theirs", b"refused")

        with pytest.raises(KafkaConnectionError, match="Unable to bootstrap"):
            async with producing(secured.bootstrap, **credentials(secured, "lane", "wrong")):
                pass
        with pytest.raises(KafkaConnectionError, match="Unable to bootstrap"):
            async with producing(secured.bootstrap, request_timeout_ms=2_000):
                pass
    finally:
        secured.stop()

    told = secured.home.properties
    assert told.stat().st_mode & 0o077 == 0, "the administrator's password is nobody else's to read"
    assert "lane-secret" not in secured.log_path.read_text()
    assert "admin-secret" not in secured.log_path.read_text()


async def sent_at_last(producer: AIOKafkaProducer, topic: str) -> int:
    """The offset of one record, sent again while the broker does not know yet what the controller has accepted: an ACL
    reaches its authorizer a moment after the answer."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return int((await producer.send_and_wait(topic, b"allowed")).offset)
            except TopicAuthorizationFailedError:
                await asyncio.sleep(0.1)


def credentials(broker: LocalBroker, user: str, password: str) -> dict[str, object]:
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
        "ssl_context": create_ssl_context(cafile=str(broker.ca_path)),
    }


def prepare_secured(broker: LocalBroker) -> None:
    """Two topics, and one ACL: `lane` may write to `mine`. aiokafka's admin client has no ACLs."""
    from confluent_kafka.admin import NewTopic as New

    admin = AdminClient(
        {
            "bootstrap.servers": broker.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "admin",
            "sasl.password": "admin-secret",
            "ssl.ca.location": str(broker.ca_path),
        }
    )
    for created in admin.create_topics([New("mine", 1, 1), New("theirs", 1, 1)]).values():
        created.result(WAIT_S)
    may_write = AclBinding(
        ResourceType.TOPIC, "mine", ResourcePatternType.LITERAL, "User:lane", "*", AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )  # fmt: skip
    for made in admin.create_acls([may_write]).values():
        made.result(WAIT_S)


def address(bootstrap: str) -> tuple[str, int]:
    host, port = bootstrap.rsplit(":", 1)
    return host, int(port)


def free_port_now() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


def linked_cache(tmp_path: Path) -> Path:
    """A cache of one's own with the real one's jars, by link."""
    home = tmp_path / "cache" / "kafka-4.2.0"
    home.mkdir(parents=True)
    for jar in kafka_jars(default_cache()):
        (home / jar.name).symlink_to(jar)
    return tmp_path / "cache"
