"""Three Apache Kafka nodes on this machine, each a broker and a controller, that hold three copies of everything.

A topic of three replicas takes writes as long as two of its nodes are there; so do the groups' offsets and the
transactions' state. Three nodes are a quorum of controllers: it decides who leads as long as two of them live.
"""

import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import HOST, STORAGE_TOOL, Detour, Ports, Security, render_properties
from sandbox.kafka.home import BrokerError, Home
from sandbox.kafka.installation import Installation
from sandbox.kafka.probe import _exchange
from sandbox.kafka.process import free_port

NODES = (1, 2, 3)
ELECT_LEADERS = 43
INTERNAL = ("__consumer_offsets", "__transaction_state")
REPLICATION = {"NOVIX_REPLICATION": "3"}
"""For an installation whose topics shall outlive a node."""
SHARED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # One partition for each node: so each is coordinator of some groups and some transactions.
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "min.insync.replicas": "2",
    # Who leads changes when a test says so, and never to a replica that lacks records.
    "auto.leader.rebalance.enable": "false",
    "unclean.leader.election.enable": "false",
    # A replica that is silent for so long is not waited for any more. Kafka's default is 30 s.
    "replica.lag.time.max.ms": "4000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1500",
}
"""What a node is told beside, or instead of, what a sandbox of one is."""


@dataclass(frozen=True)
class NodeHome(Home):
    """The folder of one node of a cluster."""

    node: int
    controllers: dict[int, int]
    """Port of each node's controller."""
    cluster_id: str

    def configure(self, ports: Ports, security: Security | None, detour: Detour | None = None) -> None:
        """What the sandbox's broker is told, then what makes it one of three: a later line wins."""
        super().configure(ports, security, detour)
        voters = ",".join(f"{number}@{HOST}:{port}" for number, port in self.controllers.items())
        told = {"node.id": str(self.node), "controller.quorum.voters": voters, **SHARED}
        with self.properties.open("a", encoding="utf-8") as properties:
            properties.write(render_properties(told))

    def format(self, installation: Installation, security: Security | None) -> None:
        """All nodes of a cluster are formatted with its one id."""
        if (self.log_dir / "meta.properties").exists():
            return
        arguments = ["format", f"--cluster-id={self.cluster_id}", "--config", str(self.properties)]
        done = installation.run_tool(STORAGE_TOOL, arguments)
        if done.returncode != 0:
            raise BrokerError(f"node {self.node} could not be formatted: {(done.stdout + done.stderr)[-2000:]}")


class Node(LocalBroker):
    """One node. `stop`, `kill`, `freeze`, `thaw` and `start` are `LocalBroker`'s."""

    def __init__(self, data: Path, number: int, port: int, controllers: dict[int, int], cluster_id: str) -> None:
        super().__init__(data, port=port, controller_port=controllers[number], flags=("-Xmx192m",))
        self.home = NodeHome(data.absolute(), number, controllers, cluster_id)
        self.number = number

    def launch(self) -> None:
        """Start the process and do not wait: a node alone has no quorum, and does not serve."""
        self.prepare()
        self._spawn()

    def back(self) -> None:
        """Start it, and wait until it serves."""
        self.launch()
        self.wait_ready(timeout_s=90)


class Cluster:
    """Three nodes. `start` before all else; whoever stops, kills or freezes one leaves it running."""

    def __init__(self, folder: Path) -> None:
        dice = random.Random()
        ports: list[int] = []
        while len(ports) < 2 * len(NODES):
            port = free_port(HOST, dice)
            ports += [port] if port not in ports else []
        controllers = dict(zip(NODES, ports[len(NODES) :], strict=True))
        cluster_id = uuid4().hex[:22]
        self._ports = ports
        self._asking: AdminClient | None = None
        self.nodes = {
            number: Node(folder / f"node-{number}", number, port, controllers, cluster_id)
            for number, port in zip(NODES, ports[: len(NODES)], strict=True)
        }

    @property
    def bootstrap(self) -> str:
        """All three nodes, for clients."""
        return ",".join(node.bootstrap for node in self.nodes.values())

    def start(self) -> None:
        """Return when all three serve."""
        with ThreadPoolExecutor() as pool:  # each formats its folder, with a JVM of its own
            list(pool.map(Node.prepare, self.nodes.values()))
        self.heal()

    def stop(self) -> None:
        """End all three. SIGTERM is of no use to the last two: without a quorum no node may leave in order."""
        for node in self.nodes.values():
            node.kill()

    def heal(self) -> None:
        """All three run and hold everything, whatever was done to them."""
        for node in self.nodes.values():
            if node.running:
                node.thaw()
            else:
                node.launch()
        for node in self.nodes.values():
            node.wait_ready(timeout_s=90)
        self.whole()

    # who leads

    def leads(self, topic: str) -> dict[int, int]:
        """The node that leads each partition of a topic; -1 where none does."""
        return {partition: state[0] for partition, state in self._partitions(topic).items()}

    def in_sync(self, topic: str) -> dict[int, set[int]]:
        """The nodes that hold all of each partition."""
        return {partition: state[1] for partition, state in self._partitions(topic).items()}

    def leader_of_most(self, *topics: str) -> Node:
        """The node that leads the most partitions of these topics."""
        led = Counter(node for topic in topics for node in self.leads(topic).values())
        return self.nodes[led.most_common(1)[0][0]]

    def elect_preferred(self, *topics: str) -> int:
        """Give each partition back to the node that led it first; how many changed hands.

        ElectLeaders v1 (the Kafka protocol guide), by hand: confluent-kafka 2.16 cannot ask for it.
        """
        body = struct.pack(">bi", 0, len(topics))
        for topic in topics:
            known = list(self._partitions(topic))
            body += struct.pack(f">h{len(topic)}si{len(known)}i", len(topic), topic.encode(), len(known), *known)
        before = {(topic, *led) for topic in topics for led in self.leads(topic).items()}
        with socket.create_connection((HOST, self._ports[0]), timeout=30) as asking:
            answer = _exchange(asking, ELECT_LEADERS, 1, body + struct.pack(">i", 20_000))
        assert struct.unpack_from(">h", answer, 4) == (0,), "the election was refused"
        return len(before - {(topic, *led) for topic in topics for led in self.leads(topic).items()})

    def whole(self, within_s: float = 60) -> None:
        """Wait until every partition of every topic has all its replicas in sync."""

        def done() -> bool:
            known = self._admin().list_topics(timeout=5).topics.values()
            return all(len(p.isrs) == len(p.replicas) for topic in known for p in topic.partitions.values())

        self._until(done, "replicas in sync", within_s)

    def _partitions(self, topic: str) -> dict[int, tuple[int, set[int]]]:
        found: dict[int, tuple[int, set[int]]] = {}

        def known() -> bool:
            partitions = self._admin().list_topics(topic, timeout=5).topics[topic].partitions
            found.update({number: (one.leader, set(one.isrs)) for number, one in partitions.items()})
            return bool(partitions)

        self._until(known, f"answer about {topic}")
        return found

    def _admin(self) -> AdminClient:
        if self._asking is None:  # kept: one that is dropped answers no more
            self._asking = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._asking

    def _until(self, done: Callable[[], bool], what: str, within_s: float = 30) -> None:
        """Wait for something that no broker tells; one that is away is asked again."""
        until = time.monotonic() + within_s
        while True:
            try:
                if done():
                    return
            except KafkaException:
                pass
            assert time.monotonic() < until, f"no {what} within {within_s} s"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes for the session, started when the first test asks for them."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def cluster(three_nodes: Cluster) -> Iterator[Cluster]:
    """The three nodes, whole; a test may do to them what it likes."""
    yield three_nodes
    three_nodes.heal()
