"""A broker that is away when a process starts is waited for: until it answers, patience ends, or a stop is wanted."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from runtime.patience import once_kafka_answers


async def test_it_is_asked_again_until_it_answers():
    answers = iter([KafkaConnectionError("away"), 3])

    async def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await once_kafka_answers(ask, asyncio.Event()) == 3


async def test_when_patience_ends_the_last_error_is_told():
    async def ask() -> int:
        raise KafkaConnectionError("away")

    with pytest.raises(KafkaConnectionError):
        await once_kafka_answers(ask, asyncio.Event(), patience_s=0)


async def test_a_process_that_is_to_stop_waits_no_longer_for_an_answer_that_does_not_come():
    stop, asked = asyncio.Event(), asyncio.Event()

    async def ask() -> int:
        asked.set()
        await asyncio.Event().wait()
        return 1

    waiting = asyncio.create_task(once_kafka_answers(ask, stop))
    await asked.wait()
    stop.set()

    assert await waiting is None


async def test_other_faults_are_not_waited_out():
    async def ask() -> int:
        raise PermissionError

    with pytest.raises(PermissionError):
        await once_kafka_answers(ask, asyncio.Event())
