"""A network between the lanes and the broker: a commit that arrives late, answers that are lost, broken connections."""

import random
from collections.abc import Iterator

import pytest
from ordeal import ordeal
from proxy import ADD_OFFSETS, END_TXN, PRODUCE, Fault, Proxy, proxy

from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import HOST, Detour
from sandbox.kafka.process import free_port

LATE_S = 6.0
"""Beyond the lanes' deadline for a commit (4 s)."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy, and a broker behind it that tells its clients to come through the proxy."""
    dice = random.Random()
    front, behind = free_port(HOST, dice), free_port(HOST, dice)
    with (
        LocalBroker(tmp_path_factory.mktemp("behind"), detour=Detour(listen=behind, advertised=front)),
        proxy(front, behind) as made,
    ):
        yield made


def test_a_commit_that_arrives_late_tears_no_later_transaction_and_doubles_no_result(network, tmp_path):
    """The broker gets some EndTxn 6 s late, when their lane has long begun another transaction."""
    with ordeal(f"{HOST}:{network.port}", tmp_path) as run:
        run.publish(300)
        run.more(40)
        network.inject(Fault(END_TXN, times=4, delay_s=LATE_S))
        run.wait(lambda: network.met[END_TXN] >= 4, "EndTxn that is late")
        run.verdict()


def test_an_answer_of_the_broker_that_is_lost_leaves_one_copy(network, tmp_path):
    """What was asked for was done and nobody hears of it: a record written, an offset added, a transaction ended."""
    with ordeal(f"{HOST}:{network.port}", tmp_path) as run:
        run.publish(250)
        run.more(20)
        for kind in (PRODUCE, ADD_OFFSETS, END_TXN):
            met = network.met[kind]
            network.inject(Fault(kind, times=2, swallow=True, answers=True))
            run.publish(20)
            run.wait(lambda kind=kind, met=met: network.met[kind] >= met + 2, "answer that is lost")
        run.verdict()


def test_connections_that_break_again_and_again_lose_and_double_nothing(network, tmp_path):
    with ordeal(f"{HOST}:{network.port}", tmp_path) as run:
        run.publish(500)
        for _ in range(5):
            run.more(40)
            network.reset()
        run.verdict()
