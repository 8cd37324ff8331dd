"""How many bytes of answers a process may hold."""

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from workers.room import FREE_BYTES, AnswerRoom

LARGEST = 1_000_000


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 400_000)), max_size=60), st.integers(1, 3))
def test_what_is_held_never_exceeds_the_room_and_the_oldest_may_always_go_on(steps: list[tuple[int, int]], times: int):
    """Shares grow in any order as far as they fit; one that has had its most is done, and another takes its place."""
    room = AnswerRoom(times * LARGEST, LARGEST)
    shares = [room.share() for _ in range(5)]

    async def run() -> None:
        for at, more in steps:
            share = shares[at]
            size = min(LARGEST, max(FREE_BYTES, share.held) + more)
            if share.fits(size):
                await share.grow(size)
            assert room.held <= room.size
            assert room.held == sum(one.held for one in shares)
            oldest = next(iter(room._shares), None)
            assert oldest is None or oldest.fits(LARGEST), "some answer can always be read to its end"
            if share.held == LARGEST:
                share.__exit__(None, None, None)

    asyncio.run(run())


async def test_who_finds_no_room_waits_until_another_gives_its_own_back():
    room = AnswerRoom(LARGEST, LARGEST)
    with room.share() as second:
        with room.share() as first:
            await first.grow(LARGEST)
            waiting = asyncio.ensure_future(second.grow(LARGEST // 2))
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)

        assert room.held == LARGEST // 2
    assert room.held == 0


async def test_an_answer_within_the_free_bytes_asks_nobody():
    room = AnswerRoom(LARGEST, LARGEST)
    with room.share() as large, room.share() as small:
        await large.grow(LARGEST)
        await small.grow(FREE_BYTES)

        assert (large.held, small.held) == (LARGEST, 0)


async def test_who_is_cancelled_while_it_waits_leaves_nothing_behind():
    room = AnswerRoom(LARGEST, LARGEST)

    async def wants() -> None:
        with room.share() as share:
            await share.grow(LARGEST)

    with room.share() as first:
        await first.grow(LARGEST)
        waiting = asyncio.ensure_future(wants())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert room.held == 0
    await asyncio.wait_for(wants(), 5)


def test_a_room_smaller_than_the_largest_answer_is_made_to_hold_one():
    assert AnswerRoom(1, LARGEST).size == LARGEST
