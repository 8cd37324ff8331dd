"""A network between the lanes and the broker that is slow or has vanished, and a broker that refuses requests."""

import asyncio
import random
import time

import pytest
from ordeal import SESSION
from proxy import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    END_TXN,
    FETCH,
    FIND_COORDINATOR,
    HEARTBEAT,
    INIT_PRODUCER,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Fault,
    Weather,
)

from runtime.connection import REQUEST_TIMEOUT_MS
from runtime.reader import KafkaReader
from runtime.settings import resolve
from schemas.topics import JOBS

SEED = 21
ROUND_TRIP_S, JITTER_S, BYTES_PER_S = 0.5, 0.1, 64_000.0
VANISHED_S = 8.0
NOT_LEADER, TIMED_OUT, LOADING, UNAVAILABLE, NOT_COORDINATOR = 6, 7, 14, 15, 16
"""Error codes of the Kafka protocol guide."""
AT_THE_START = ((FIND_COORDINATOR, UNAVAILABLE), (INIT_PRODUCER, LOADING))
UNDER_WAY = (
    (PRODUCE, NOT_LEADER), (PRODUCE, TIMED_OUT), (FETCH, NOT_LEADER), (HEARTBEAT, NOT_COORDINATOR),
    (ADD_PARTITIONS, NOT_COORDINATOR), (ADD_OFFSETS, LOADING), (TXN_OFFSET_COMMIT, LOADING), (END_TXN, NOT_COORDINATOR),
)  # fmt: skip
TIMES = 3


@pytest.mark.long
@pytest.mark.row(21)
def test_a_slow_and_narrow_network_slows_the_work_and_costs_no_job_and_no_call(network, tmp_path, proof):
    """Half a second a round trip, and all connections together in 64 kB a second each way."""
    dice = random.Random(proof.seed(SEED))
    with network.ordeal(tmp_path, proof) as run:
        run.publish(10)
        run.until()
        network.proxy.slow(Weather(ROUND_TRIP_S / 2, JITTER_S / 2, BYTES_PER_S, dice))
        run.publish(40)
        run.until()
        network.proxy.slow(None)
        run.healed()
        run.recover()
        run.verdict(note=f"{ROUND_TRIP_S} s a round trip, {JITTER_S} s jitter, {BYTES_PER_S / 1000:.0f} kB/s")


@pytest.mark.row(16)
def test_a_broker_that_moved_or_loads_is_asked_again_until_it_answers(network, tmp_path, proof):
    """Each kind of request is refused three times, as while leaders and coordinators move: nothing of it is done."""
    with network.ordeal(tmp_path, proof, start=False, **SESSION) as run:

        def refused(kind: int, code: int) -> None:
            met = network.proxy.met[kind]
            network.proxy.inject(Fault(kind, TIMES, refuse=code))
            if run.system.router.child is None:
                run.system.start()
            run.publish(15)
            run.wait(lambda: network.proxy.met[kind] >= met + TIMES, f"refusals of {kind}")

        for kind, code in (*AT_THE_START, *UNDER_WAY):
            refused(kind, code)
        run.healed()
        run.recover()
        run.verdict(note=f"{len(AT_THE_START + UNDER_WAY)} kinds of refusal, {TIMES} times each")


@pytest.mark.long
@pytest.mark.row(23)
def test_a_broker_that_vanishes_without_a_word_is_found_again(network, tmp_path, proof):
    """Connections stay half open: neither FIN nor RST comes. New ones are served after eight seconds."""
    with network.ordeal(tmp_path, proof, **SESSION) as run:
        run.publish(300)
        run.more(40)
        network.proxy.silence()
        time.sleep(VANISHED_S)  # the fault itself: beyond the session and the commit's deadline
        network.proxy.heal()
        run.healed()
        run.recover()
        run.verdict(note=f"silent both ways for {VANISHED_S:.0f} s, old connections for ever; recovery from the end")


async def test_a_question_that_a_silent_connection_swallowed_is_asked_over_another(network, prefix):
    """Whoever asks has less patience than the client: it must not be the connection's fault for ever."""
    there = {"NOVIX_KAFKA_BOOTSTRAP": network.bootstrap, "NOVIX_TOPIC_PREFIX": prefix}
    async with KafkaReader(resolve(there, {}, {}).settings) as reader:
        assert await reader.partitions(JOBS.name) == 0
        network.proxy.silence()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.partitions(JOBS.name)
        network.proxy.heal()
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 2_000):
            assert await reader.partitions(JOBS.name) == 0
