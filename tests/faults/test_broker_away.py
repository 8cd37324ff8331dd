"""A broker that is away at the start, that holds a dead process's transaction, or whose topics grow under load."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from ordeal import LANES, SESSION, Ordeal, ordeal
from system import PARTITIONS, WORKER

from runtime.failpoints import EXIT_CODE
from sandbox.kafka.config import HOST
from sandbox.kafka.process import free_port
from schemas.topics import AUDIT, RESULTS, TEXT

NOWHERE = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""Runs a command without a network but loopback: no name is found there, and nobody is asked for it."""


def away(log: Path) -> int:
    """How often a process has told that Kafka does not answer."""
    return log.read_text().count('"kafka.away"')


@pytest.mark.row(24)
def test_processes_that_start_before_their_broker_wait_for_it(mortal, tmp_path, proof):
    with ordeal(mortal.bootstrap, tmp_path, start=False, proof=proof, **SESSION) as run:
        mortal.stop()
        run.system.start()
        for process in run.system.processes:
            run.wait(lambda log=process.log: away(log) >= 2, "second look for the broker")
        mortal.start()
        run.healed()
        run.recover()
        run.publish(30)
        run.verdict(note="the broker comes after its clients")


@pytest.mark.long
@pytest.mark.row(24)
def test_an_address_that_nobody_answers_at_or_knows_ends_the_process_by_name_after_a_minute(broker, tmp_path, proof):
    """The router's is refused. The worker's is a name that cannot be resolved, in a network of its own."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*NOWHERE, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network namespace may be made here: a name that is not known would be asked of a name server")
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, **SESSION) as run:
        run.publish(30)
        router = run.system.router
        router.start(NOVIX_KAFKA_BOOTSTRAP=f"{HOST}:{free_port(HOST, random.Random())}")
        enter = f"import os; os.execvp('unshare', {[*NOWHERE, sys.executable, *WORKER]!r})"
        lost = run.system.process(("-c", enter), "lost").start(NOVIX_KAFKA_BOOTSTRAP="kafka.invalid:9092")
        codes = [process.wait(within_s=150) for process in (router, lost)]
        assert codes == [1, 1]
        for process in (router, lost):
            told = process.log.read_text()
            assert 10 <= away(process.log) <= 61 * len(LANES), "each group looks once a second, for a minute"
            assert "Unable to bootstrap" in told.splitlines()[-1], told[-500:]
        run.system.start()
        run.healed()
        run.recover()
        run.verdict(note="refused, and unresolvable; both end with code 1")


def hidden(run: Ordeal) -> int:
    """Records of results and audit that read_committed readers may not see yet."""
    ends = []
    for isolation in ("read_uncommitted", "read_committed"):
        settings = {"bootstrap.servers": run.stranger.bootstrap, "group.id": "looker", "log_level": 0}
        looker = Consumer({**settings, "isolation.level": isolation})
        places = [
            TopicPartition(run.stranger.named(topic.name), one)
            for topic in (RESULTS, AUDIT)
            for one in range(PARTITIONS)
        ]
        ends.append(sum(looker.get_watermark_offsets(place, timeout=5)[1] for place in places))
        looker.close()
    written, stable = ends
    return written - stable


def orphaned(run: Ordeal) -> None:
    """Let the worker die with a transaction open, everything written and EndTxn not sent."""
    run.system.router.start()
    run.system.worker.start(NOVIX_FAILPOINT="before_end:6")
    run.publish(200)
    assert run.system.worker.wait() == EXIT_CODE
    run.wait(lambda: hidden(run) > 0, "records of an open transaction", within_s=5)


@pytest.mark.long
@pytest.mark.row(20)
def test_a_transaction_that_its_dead_owner_left_open_ends_when_the_successor_comes(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, **SESSION) as run:
        orphaned(run)
        run.system.worker.start()
        run.healed()
        run.wait(lambda: run.system.worker.health()[0] == 200, "lanes of the successor")
        run.recover()
        run.verdict(excused=True, note="dies before EndTxn; its successor fences it")
        assert hidden(run) == 0


@pytest.mark.long
@pytest.mark.row(20)
def test_a_transaction_whose_owner_never_comes_back_is_ended_by_the_broker(broker, tmp_path, proof):
    """After the lanes' transaction timeout of ten seconds readers see what others have written since."""
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, **SESSION) as run:
        orphaned(run)
        run.wait(lambda: hidden(run) == 0, "end of the transaction that nobody ends")
        run.system.worker.start()
        run.healed()
        run.recover()
        run.verdict(excused=True, note="dies before EndTxn; nobody comes for ten seconds")


@pytest.mark.row(11)
def test_topics_that_grow_under_load_are_read_to_their_last_partition(broker, tmp_path, proof):
    """All but those whose numbers are homes: the jobs' stay, and it is said."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        run.publish(200)
        run.more(40)
        told = run.stranger.cli("topics", "create", "--partitions", str(2 * PARTITIONS), expect=1)
        assert "jobs" in told.stderr + told.stdout
        run.stranger.close()  # who reads results knows three partitions
        run.system.router.terminate()
        run.system.router.start()  # else its producers may take five minutes to know of the new ones
        run.healed()
        run.recover()
        run.publish(150)
        verdict = run.verdict(note="each topic but the homes grows from 3 to 6 partitions")
        assert {found.partition for found in run.stranger.read(TEXT.name)} == set(range(2 * PARTITIONS))
    assert not verdict.repeated
