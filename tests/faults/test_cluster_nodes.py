"""Three Kafka nodes, one or two of which die, freeze, leave and come back under load: no job and no call is lost."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cluster import INTERNAL, REPLICATION, Cluster
from ordeal import SESSION, Ordeal, ordeal
from proof import Proof

from schemas.topics import JOBS, RESULTS, TEXT

SLOW_MS = 250
"""For an answer of the provider: so there is work under way while nodes come and go."""
FROZEN_S = 15
"""Beyond the controllers' patience with a node (2 s), the replicas' (4 s) and the lanes' deadline for a commit."""


def on(cluster: Cluster, folder: Path, proof: Proof) -> AbstractContextManager[Ordeal]:
    """An installation whose topics have three replicas, of which two must take a write."""
    return ordeal(cluster.bootstrap, folder, proof=proof, **SESSION, **REPLICATION)


def led_by(cluster: Cluster, run: Ordeal) -> Iterator[int]:
    """The nodes that lead something which the installation needs, once for each partition."""
    for topic in (*INTERNAL, *(run.stranger.named(topic.name) for topic in (JOBS, TEXT, RESULTS))):
        yield from cluster.leads(topic).values()


@pytest.mark.row(16, 19)
def test_the_work_goes_on_without_the_node_that_led_and_coordinated_most_of_it(cluster, tmp_path, proof):
    """kill -9 of a leader, which also coordinates transactions that are open and groups that beat. Two nodes go on."""
    with on(cluster, tmp_path, proof) as run:
        run.publish(300)
        run.more(40)
        victim = cluster.leader_of_most("__transaction_state", run.stranger.named(TEXT.name))
        victim.kill()
        run.healed()  # as far as it will be: the node stays away
        run.recover()
        run.publish(60)
        run.until()
        assert victim.number not in set(led_by(cluster, run))
        victim.back()
        run.publish(20)
        run.verdict(note="kill -9 of one of three; recovery counts from its death")


@pytest.mark.long
@pytest.mark.row(16)
def test_leaders_and_coordinators_that_move_between_living_nodes_cost_no_job(cluster, tmp_path, proof):
    """One node after the other leaves in order and is back; then partitions go home to their first leader."""
    with on(cluster, tmp_path, proof) as run:
        topics = [*INTERNAL, *(run.stranger.named(topic.name) for topic in (JOBS, TEXT, RESULTS))]
        run.system.stub("/admin/behave", {"delay_ms": SLOW_MS})
        run.publish(600)
        run.more(40)
        moved = 0
        for node in list(cluster.nodes.values())[:2]:
            node.stop()
            node.back()
            cluster.whole()
            run.publish(200)
            run.more(30)
            moved += cluster.elect_preferred(*topics)
            run.more(30)
        run.healed()
        run.recover()
        assert moved >= 2, "no partition changed hands: the test shows nothing"
        run.verdict(note=f"{moved} partitions went home to their preferred leader under load")


@pytest.mark.long
@pytest.mark.row(13, 16)
def test_a_rolling_restart_of_all_three_nodes_under_load_costs_no_job(cluster, tmp_path, proof):
    with on(cluster, tmp_path, proof) as run:
        run.system.stub("/admin/behave", {"delay_ms": SLOW_MS})
        run.publish(600)
        run.more(40)
        for node in cluster.nodes.values():
            node.stop()
            run.publish(200)
            run.more(40)
            node.back()
            cluster.whole()
            run.more(40)
        run.healed()
        run.recover()
        run.verdict(note="SIGTERM, one node at a time, the next when all replicas are in sync")


@pytest.mark.long
@pytest.mark.row(15, 16, 19)
def test_a_frozen_node_holds_neither_the_lanes_nor_the_readers_back(cluster, tmp_path, proof):
    """It leads and coordinates, and is deaf. All jobs end meanwhile; then it wakes and thinks that it leads."""
    with on(cluster, tmp_path, proof) as run:
        run.publish(400)
        run.more(40)
        victim = cluster.leader_of_most("__transaction_state", run.stranger.named(RESULTS.name))
        victim.freeze()
        frozen_at = time.monotonic()
        run.healed()  # as far as it will be: the node stays deaf
        run.recover()
        run.publish(60)
        run.until()  # read_committed: no transaction that the deaf node coordinated hides a result
        time.sleep(max(0.0, FROZEN_S - (time.monotonic() - frozen_at)))  # the fault itself
        victim.thaw()
        run.publish(60)
        run.until()
        run.verdict(note="SIGSTOP of the leader of most; recovery counts from its beginning")


@pytest.mark.long
@pytest.mark.row(14, 19)
def test_two_of_three_nodes_killed_stop_the_work_and_lose_nothing_of_it(cluster, tmp_path, proof):
    """No quorum: nobody leads, nothing can be written. What was acknowledged lies on the disks of all three."""
    with on(cluster, tmp_path, proof) as run:
        run.publish(600)
        run.more(60)
        first, second, _ = cluster.nodes.values()
        first.kill()
        second.kill()
        time.sleep(8)  # the fault itself: beyond the session, the commit's deadline and the controllers' patience
        assert all(process.running for process in run.system.processes)
        cluster.heal()
        run.healed()
        run.recover()
        run.publish(60)
        run.verdict(note="kill -9 of two of three")
