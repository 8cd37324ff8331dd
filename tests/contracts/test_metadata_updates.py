"""A Kafka client goes on to learn of its cluster after an update that failed in a way that nobody expected."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from runtime import connection, metadata

assert connection.keep_up_to_date is metadata.keep_up_to_date


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(metadata, "AGAIN_S", 0.0)
    made = AIOKafkaClient(bootstrap_servers="127.0.0.1:1", metadata_max_age_ms=3_600_000)
    made._sync_task = asyncio.create_task(made._md_synchronizer())
    yield made
    await made.close()
    assert made._sync_task is None


def answers(client: Any, *told: Any) -> None:
    left = list(told)

    async def update(*_: object) -> bool:
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return bool(answer)

    client._metadata_update = update


@pytest.mark.parametrize("error", [KeyError("conn"), TypeError("None"), asyncio.CancelledError()])
async def test_whoever_waits_for_an_update_that_fails_is_told_and_the_next_one_comes(
    client: Any, error: BaseException
) -> None:
    answers(client, error, True, True)
    assert await asyncio.wait_for(client.force_metadata_update(), 5) is False
    assert await asyncio.wait_for(client.force_metadata_update(), 5) is True
    assert await asyncio.wait_for(client.force_metadata_update(), 5) is True
    assert not client._sync_task.done()


async def test_an_update_that_failed_is_made_again_for_who_asks_and_not_before(client: Any) -> None:
    made = 0

    async def fails(*_: object) -> bool:
        nonlocal made
        made += 1
        raise KeyError("conn")

    client._metadata_update = fails
    for asked in (1, 2, 3):
        assert await asyncio.wait_for(client.force_metadata_update(), 5) is False
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == asked


async def test_after_an_update_that_failed_there_is_a_pause_which_a_close_ends(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "AGAIN_S", 1e6)
    answers(client, KeyError("conn"), True)
    assert await asyncio.wait_for(client.force_metadata_update(), 5) is False
    next_one = client.force_metadata_update()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not next_one.done()
    await asyncio.wait_for(client.close(), 5)
    assert client._sync_task is None


async def test_an_answer_that_nobody_wants_any_more_does_not_end_the_updates(client: Any) -> None:
    answers(client, True, True)
    client.force_metadata_update()
    client._md_update_fut.cancel()
    await asyncio.sleep(0.01)
    assert await asyncio.wait_for(client.force_metadata_update(), 5) is True


async def test_a_client_that_is_closed_while_an_update_is_under_way_ends(client: Any) -> None:
    async def never(*_: object) -> bool:
        await asyncio.get_running_loop().create_future()
        return True

    client._metadata_update = never
    client.force_metadata_update()
    await asyncio.sleep(0.01)
    await asyncio.wait_for(client.close(), 5)
    assert client._sync_task is None
