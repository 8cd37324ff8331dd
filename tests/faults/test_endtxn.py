"""A commit that arrives late, answers that are lost, and connections that break, between the lanes and the broker."""

import time

import pytest
from proxy import ADD_OFFSETS, END_TXN, PRODUCE, Fault

LATE_S = 6.0
"""Beyond the lanes' deadline for a commit (4 s)."""
RESETS = 30


@pytest.mark.row(18)
def test_a_commit_that_arrives_late_tears_no_later_transaction_and_doubles_no_result(network, tmp_path, proof):
    """The broker gets some EndTxn 6 s late, when their lane has long begun another transaction."""
    with network.ordeal(tmp_path, proof) as run:
        run.publish(300)
        run.more(40)
        late = network.proxy.met[END_TXN] + 4
        network.proxy.inject(Fault(END_TXN, times=4, delay_s=LATE_S))
        run.wait(lambda: network.proxy.met[END_TXN] >= late, "EndTxn that is late")
        run.healed()  # none more comes late: those that do are on their way
        run.recover()
        run.verdict(note="four EndTxn held back for 6 s")
        assert run.said("lane.rebuilt"), "no producer was thrown away: the test shows nothing"


@pytest.mark.row(17, 18)
def test_an_answer_of_the_broker_that_is_lost_leaves_one_copy(network, tmp_path, proof):
    """What was asked for was done and nobody hears of it: a record written, an offset added, a transaction ended."""
    with network.ordeal(tmp_path, proof) as run:
        run.publish(250)
        run.more(20)
        for kind in (PRODUCE, ADD_OFFSETS, END_TXN):
            met = network.proxy.met[kind]
            network.proxy.inject(Fault(kind, times=2, swallow=True, answers=True))
            run.publish(20)
            run.wait(lambda kind=kind, met=met: network.proxy.met[kind] >= met + 2, "answer that is lost")
        run.healed()
        run.recover()
        run.verdict(note="two answers each of Produce, AddOffsetsToTxn and EndTxn lost")


@pytest.mark.row(22)
def test_connections_that_break_again_and_again_lose_and_double_nothing(network, tmp_path, proof):
    with network.ordeal(tmp_path, proof) as run:
        run.publish(500)
        for _ in range(5):
            run.more(40)
            network.proxy.reset()
        run.healed()
        run.recover()
        run.verdict(note="all connections reset, five times")


@pytest.mark.long
@pytest.mark.row(22)
def test_connections_that_break_every_second_whatever_comes_of_it_lose_and_double_nothing(network, tmp_path, proof):
    """As a firewall does that has had enough: it does not wait until something has been got done."""
    with network.ordeal(tmp_path, proof) as run:
        run.publish(500)
        run.more(40)
        for _ in range(RESETS):
            network.proxy.reset()
            time.sleep(1)  # the fault itself
        assert all(process.running for process in run.system.processes), "a crash loop instead of a wait"
        run.healed()
        run.recover()
        run.publish(60)
        run.verdict(note=f"all connections reset every second, {RESETS} times")
