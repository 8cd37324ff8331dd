"""A network between the lanes and the broker: a commit that arrives late, answers that are lost, broken connections."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ordeal import Ordeal, ordeal
from proxy import ADD_OFFSETS, END_TXN, PRODUCE, Fault, Proxy, proxy

from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import HOST, Detour
from sandbox.kafka.process import free_port

LATE_S = 6.0
"""Beyond the lanes' deadline for a commit (4 s)."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Network"]:
    """A proxy, and a broker behind it that tells its clients to come through the proxy."""
    dice = random.Random()
    front, behind = free_port(HOST, dice), free_port(HOST, dice)
    with (
        LocalBroker(tmp_path_factory.mktemp("behind"), detour=Detour(listen=behind, advertised=front)) as broker,
        proxy(front, behind) as made,
    ):
        yield Network(broker, made)


@dataclass
class Network:
    """A broker, and the proxy through which an installation comes to it. Who counts goes straight to the broker."""

    broker: LocalBroker
    proxy: Proxy

    def ordeal(self, folder: Path) -> AbstractContextManager[Ordeal]:
        """An installation behind the proxy."""
        return ordeal(self.broker.bootstrap, folder, NOVIX_KAFKA_BOOTSTRAP=f"{HOST}:{self.proxy.port}")


def test_a_commit_that_arrives_late_tears_no_later_transaction_and_doubles_no_result(network, tmp_path):
    """The broker gets some EndTxn 6 s late, when their lane has long begun another transaction."""
    with network.ordeal(tmp_path) as run:
        run.publish(300)
        run.more(40)
        network.proxy.inject(Fault(END_TXN, times=4, delay_s=LATE_S))
        run.wait(lambda: network.proxy.met[END_TXN] >= 4, "EndTxn that is late")
        run.verdict()


def test_an_answer_of_the_broker_that_is_lost_leaves_one_copy(network, tmp_path):
    """What was asked for was done and nobody hears of it: a record written, an offset added, a transaction ended."""
    with network.ordeal(tmp_path) as run:
        run.publish(250)
        run.more(20)
        for kind in (PRODUCE, ADD_OFFSETS, END_TXN):
            met = network.proxy.met[kind]
            network.proxy.inject(Fault(kind, times=2, swallow=True, answers=True))
            run.publish(20)
            run.wait(lambda kind=kind, met=met: network.proxy.met[kind] >= met + 2, "answer that is lost")
        run.verdict()


def test_connections_that_break_again_and_again_lose_and_double_nothing(network, tmp_path):
    with network.ordeal(tmp_path) as run:
        run.publish(500)
        for _ in range(5):
            run.more(40)
            network.proxy.reset()
        run.verdict()
