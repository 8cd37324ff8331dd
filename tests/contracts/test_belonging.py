"""Whether a member is still in its group: asked only while no heartbeat is answered, believed only after a minute."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from runtime import belonging
from runtime.belonging import Belonging, waits_in
from runtime.membership import LeftBehind

BOUND = asyncio.timeout


class Coordinator:
    rejoins = 0
    _coordination_task = _heartbeat_task = None

    def request_rejoin(self) -> None:
        self.rejoins += 1


class Admin:
    """Answers as Kafka does, with the state and the ids of the members."""

    def __init__(self) -> None:
        self.state, self.members, self.error, self.asked = "Stable", ["b-0c0ffee"], 0, 0

    async def describe_consumer_groups(self, groups: list[str]) -> list[Any]:
        self.asked += 1
        if self.error < 0:
            raise KafkaError("no coordinator")
        members = [(member, "client", "host", b"", b"") for member in self.members]
        return [SimpleNamespace(groups=[(self.error, groups[0], self.state, "consumer", "sticky", members)])]


class Here:
    """A member `a` whose session is 6 s, and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.admin, self.coordinator = 1_000.0, Admin(), Coordinator()
        client: Any = SimpleNamespace(_coordinator=self.coordinator, _client=SimpleNamespace(_sync_task=None))
        admin: Any = self.admin
        self.belonging = Belonging(client, admin, "novix-toy", "a", 6.0)
        monkeypatch.setattr(belonging.asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: self.now))
        monkeypatch.setattr(belonging.asyncio, "timeout", lambda _: _Unbounded())
        self.belonging.heard(self.now)

    async def after(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            await self.belonging.look()


class _Unbounded:
    async def __aenter__(self) -> None:
        """Nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(monkeypatch)


async def test_nobody_is_asked_while_heartbeats_are_answered(here: Here) -> None:
    for _ in range(100):
        await here.after(10)
        here.belonging.heard(here.now)
    assert here.admin.asked == 0


async def test_a_stable_group_without_the_member_leaves_it_behind_after_a_minute(here: Here) -> None:
    await here.after(70)
    assert here.coordinator.rejoins == 1
    with pytest.raises(LeftBehind, match=r"novix-toy has gone on without this process for 6\d s"):
        await here.after(10)


@pytest.mark.parametrize("seen", ["present", "dividing", "loading", "silent"])
async def test_whoever_is_in_a_group_or_in_one_of_which_nothing_is_known_is_not_left_behind(
    here: Here, seen: str
) -> None:
    if seen == "present":
        here.admin.members.append("a-5eed")
    elif seen == "dividing":
        here.admin.state = "PreparingRebalance"
    else:
        here.admin.error = 14 if seen == "loading" else -1
    await here.after(1_000)
    assert here.admin.asked == pytest.approx(200, abs=5)
    assert here.coordinator.rejoins == 0


async def test_a_member_that_comes_back_is_not_counted_as_missed_since_before(here: Here) -> None:
    await here.after(60)
    here.belonging.heard(here.now)
    await here.after(70)
    assert here.coordinator.rejoins == 2


async def test_what_was_missed_before_the_group_named_the_member_or_divided_its_work_does_not_count(here: Here) -> None:
    for state, members in (("Stable", ["a-5eed"]), ("PreparingRebalance", [])):
        await here.after(50)
        here.admin.state, here.admin.members = state, members
        await here.after(10)
        here.admin.state, here.admin.members = "Stable", ["b-0c0ffee"]
    await here.after(50)
    assert here.coordinator.rejoins == 3


@pytest.mark.parametrize(("state", "members"), [("Empty", []), ("Stable", ["ab-0c0ffee"])])
async def test_a_group_of_nobody_or_of_one_with_a_longer_name_goes_on_without_the_member(
    here: Here, state: str, members: list[str]
) -> None:
    here.admin.state, here.admin.members = state, members
    with pytest.raises(LeftBehind):
        await here.after(80)


async def test_who_has_not_joined_yet_is_missed_by_nobody(here: Here) -> None:
    """The first join may take long: the group is dividing its work, or its coordinator is away."""
    here.belonging._heard_at = None
    await here.after(1_000)
    assert (here.admin.asked, here.coordinator.rejoins) == (0, 0)


async def test_a_coordinator_that_never_answers_keeps_nobody_from_polling(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: list[str]) -> list[Any]:
        here.admin.asked += 1
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(belonging.asyncio, "timeout", BOUND)
    monkeypatch.setattr(belonging, "ASK_S", 0.001)
    here.admin.describe_consumer_groups = never  # type: ignore[method-assign, assignment]
    await asyncio.wait_for(here.after(100), 30)
    assert here.admin.asked == pytest.approx(18, abs=2)
    assert here.coordinator.rejoins == 0


async def test_where_a_task_waits_is_told_by_function_and_line() -> None:
    async def inner() -> None:
        await asyncio.get_running_loop().create_future()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    told = waits_in(task).split()
    assert len(told) == 3
    assert told[0].startswith("outer:")
    assert told[1].startswith("inner:")
    task.cancel()
    await asyncio.wait({task})
    assert (waits_in(task), waits_in(None)) == ("ended", "none")
