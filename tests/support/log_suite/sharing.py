"""Claims about who has which partition when members come."""

from itertools import chain

from log_suite.ground import GROUP, IN, OUT, Seat, World, claim, seat, until
from runtime.bus import Bus
from runtime.group import GroupMember

FOUR = 4


@claim
async def who_has_a_partition_keeps_it_when_another_member_comes(world: World, bus: Bus) -> None:
    """Here all members live in one process, as those of several groups do in a router: each remembers its own."""
    await bus.create_topics([IN], partitions=FOUR)
    async with seat(world, "a") as one, seat(world, "b") as two:
        await _divided(one, two)
        had_one, had_two = one.member.held(), two.member.held()
        async with seat(world, "c") as three:
            await _divided(one, two, three)
            assert one.member.held() <= had_one
            assert two.member.held() <= had_two


@claim
async def a_member_of_another_group_in_the_same_process_moves_no_partition(world: World, bus: Bus) -> None:
    await bus.create_topics([IN, OUT], partitions=FOUR)
    other = Seat(GroupMember(world.settings, f"{GROUP}-other", OUT.name, "a"))
    async with seat(world, "a") as one, seat(world, "b") as two:
        await _divided(one, two)
        had_one, had_two = one.member.held(), two.member.held()
        await other.member.start(other.assigned, other.revoked)
        try:
            await other.holds(*range(FOUR))
            async with seat(world, "c") as three:
                await _divided(one, two, three)
                assert one.member.held() <= had_one
                assert two.member.held() <= had_two
        finally:
            await other.member.stop()


async def _divided(*seats: Seat) -> None:
    """Wait until all of them, and nobody else, have the partitions, each some, in one generation."""

    async def are() -> bool:
        held = [seat.member.held() for seat in seats]
        told = all(seat.assignments[-1:] == [sorted(mine)] for seat, mine in zip(seats, held, strict=True))
        one_generation = len({seat.member.generation for seat in seats}) == 1
        return told and one_generation and all(held) and sorted(chain(*held)) == list(range(FOUR))

    await until(are)
