"""Planted bugs: each a small patch on the real code, as somebody might have written it. So the verdict is tried.

`python -m simulation --plant NAME --stop 1` looks for the first seed that finds one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from aiokafka import AIOKafkaConsumer

import router.lane
import router.state
import runtime.commit
import runtime.group
import runtime.progress
import runtime.runner
import runtime.transaction
import workers.attempt
import workers.worker
from router.facts import fact_of
from router.governance import UNGOVERNED
from router.lane import RouterLane
from router.money.books import Books
from router.seen import Seen
from router.waiter import Waiter
from runtime.breaker import BreakerKey, Breakers, Permit
from runtime.intents import IntentFile, NoIntents
from runtime.outcome import Publish
from runtime.ports import LaneId, Position
from runtime.runner import LaneRunner
from runtime.standing import standing
from runtime.tracker import Tracker
from runtime.transaction import LaneTransaction
from simulation.kernel import current
from workers.steps import Steps
from workers.worker import WorkerApplication, WorkerLane

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug, and how soon it is found."""

    says: str
    """What somebody thought."""
    patches: Callable[[], list[Patch]]
    """Owner, attribute, and what takes its place."""
    within: int
    """Schedules, from seed 0 on, of which one finds it at the latest."""


def _highest() -> list[Patch]:
    def committable(self: Tracker) -> int:
        return max(self._base, self._received)

    return [
        (Tracker, "committable", committable),
        (Tracker, "finished", property(lambda self: frozenset(at for at in self._finished if at >= self._received))),
    ]


def _no_bitmap() -> list[Patch]:
    return [(runtime.progress, "encode_finished", lambda base, finished: "")]


def _kept_producer() -> list[Patch]:
    opened: dict[tuple[Any, str], LaneTransaction] = {}
    first, close = LaneTransaction.open.__func__, LaneTransaction.close  # type: ignore[attr-defined]

    async def open_(cls: type[LaneTransaction], settings: Any, lane: LaneId) -> LaneTransaction:
        key = current(), str(lane)
        if key not in opened:
            opened[key] = await first(cls, settings, lane)
        return opened[key]

    async def close_(self: LaneTransaction) -> None:
        if not self._producer._sender or self._producer._sender.sender_task.done():
            opened.update({key: one for key, one in opened.items() if one is not self})
            for key in [key for key, one in opened.items() if one is self]:
                del opened[key]
            await close(self)

    return [(LaneTransaction, "open", classmethod(open_)), (LaneTransaction, "close", close_)]


def _adopted_unread() -> list[Patch]:
    begin, finish = LaneRunner._begin, Tracker.finish

    def begin_(self: LaneRunner, handler: Any, base: int, known: Any) -> None:
        done = [work for work in self.works.values() if work.done is not None]
        begin(self, handler, base, known)
        for work in done:
            if self.lane is not None:
                self.works[work.offset] = work
                work.adopted = True
                self.unadopted.discard(work.offset)
                self.lane.settle(work)

    def finish_(self: Tracker, offset: int) -> None:
        if offset in self._open:
            finish(self, offset)

    return [(LaneRunner, "_begin", begin_), (Tracker, "finish", finish_)]


def _no_fence() -> list[Patch]:
    first = LaneTransaction.open.__func__  # type: ignore[attr-defined]

    async def open_(cls: type[LaneTransaction], settings: Any, lane: LaneId) -> LaneTransaction:
        mine = replace(lane, group=f"{current().pid}.{lane.group}")
        return await first(cls, settings, mine)  # type: ignore[no-any-return]

    return [(LaneTransaction, "open", classmethod(open_))]


def _before_acknowledged() -> list[Patch]:
    commit = LaneRunner._commit

    async def commit_(self: LaneRunner, lane: Any, transaction: Any, works: list[Any]) -> None:
        lane.handler.committed([fact for work in works if work.done is not None for fact in work.done.facts])
        await commit(self, lane, transaction, works)

    return [(LaneRunner, "_commit", commit_)]


def _advanced_first() -> list[Patch]:
    sent: dict[tuple[Any, str], Position] = {}
    commit = LaneTransaction.commit

    async def commit_(self: LaneTransaction, records: Any, lane: LaneId, position: Any) -> None:
        if position is not None:
            sent[current(), str(lane)] = position
        await commit(self, records, lane, position)

    async def standing_(lane: LaneId, *known: Any) -> Any:
        position = await standing(lane, *known)
        mine = sent.get((current(), str(lane)), position)
        return mine if mine.offset > position.offset else position

    return [(LaneTransaction, "commit", commit_), (runtime.runner, "standing", standing_)]


def _kept_overlay() -> list[Patch]:
    kept: dict[tuple[Any, Any], Any] = {}
    close, first = Seen.close, Seen.open.__func__  # type: ignore[attr-defined]

    def close_(self: Seen) -> None:
        kept[current(), self._path] = dict(self._noted)
        close(self)

    async def open_(cls: type[Seen], *args: Any) -> Seen:
        seen: Seen = await first(cls, *args)
        seen._noted = kept.pop((current(), seen._path), {})
        return seen

    return [(Seen, "close", close_), (Seen, "open", classmethod(open_))]


def _kept_books() -> list[Patch]:
    kept: dict[tuple[Any, int], Books] = {}
    first = Books.open.__func__  # type: ignore[attr-defined]

    async def open_(cls: type[Books], lane: LaneId, *args: Any) -> Books:
        key = current(), lane.partition
        if key not in kept:
            kept[key] = await first(cls, lane, *args)
        return kept[key]

    return [(Books, "open", classmethod(open_))]


def _no_reserve() -> list[Patch]:
    return [(Books, "reserve", lambda self, decision: None)]


def _settled_unreserved() -> list[Patch]:
    def fact(case: Any, ruling: Any, versions: Any) -> Any:
        return fact_of(case, replace(ruling, reserve=None), versions)

    return [(router.lane, "fact_of", fact)]


def _forgotten_ledger() -> list[Patch]:
    first = Books.open.__func__  # type: ignore[attr-defined]

    async def open_(cls: type[Books], lane: LaneId, log: Any, accounts: Any, now: Any) -> Books:
        books: Books = await first(cls, lane, log, accounts, now)
        fresh = cls(accounts)
        fresh.ledger_next, fresh.sequence = books.ledger_next, books.sequence
        return fresh

    return [(Books, "open", classmethod(open_))]


def _settled_again() -> list[Patch]:
    seal, committed = WorkerLane.seal, WorkerLane.committed
    owed: dict[tuple[Any, str], list[Any]] = {}

    def seal_(self: WorkerLane, facts: list[Any], limit: int) -> Any:
        before = owed.setdefault((current(), self._lane), [])
        before += facts
        return seal(self, list(before), limit)

    def committed_(self: WorkerLane, facts: list[Any]) -> None:
        owed.pop((current(), self._lane), None)
        committed(self, facts)

    return [(WorkerLane, "seal", seal_), (WorkerLane, "committed", committed_)]


def _remembered_only() -> list[Patch]:
    first = Seen.open.__func__  # type: ignore[attr-defined]

    async def open_(cls: type[Seen], *args: Any) -> Seen:
        seen: Seen = await first(cls, *args)
        with seen._connection() as db:
            db.execute("DELETE FROM seen")
        return seen

    return [(Seen, "open", classmethod(open_))]


def _position_first() -> list[Patch]:
    early: dict[tuple[Any, str], Any] = {}
    open_transaction = LaneRunner._open

    async def open_(self: LaneRunner) -> None:
        position = await standing(self.id, self._member.committed, self._reader, self._clock)
        early[current(), str(self.id)] = position
        await open_transaction(self)

    async def standing_(lane: LaneId, *_: Any) -> Any:
        return early[current(), str(lane)]

    return [(LaneRunner, "_open", open_), (runtime.runner, "standing", standing_)]


def _forgotten_held() -> list[Patch]:
    hold = RouterLane._hold

    def hold_(self: RouterLane, *args: Any) -> Any:
        hold(self, *args)
        return Publish()

    return [(RouterLane, "_hold", hold_)]


def _doubt_is_free() -> list[Patch]:
    return [(workers.attempt, "is_ambiguous", lambda error: False)]


def _open_to_all() -> list[Patch]:
    admit = Breakers.admit

    def admit_(self: Breakers, key: BreakerKey) -> Any:
        answer = admit(self, key)
        return answer if isinstance(answer, Permit) else Permit(self, key, self._serial)

    return [(Breakers, "admit", admit_)]


def _no_notes() -> list[Patch]:
    nothing = NoIntents()
    methods = ("begin", "end", "withdraw", "forget", "left")
    return [(IntentFile, name, getattr(nothing, name)) for name in methods]


def _uncommitted_read() -> list[Patch]:
    def consumer(*topics: str, **named: Any) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(*topics, **{**named, "isolation_level": "read_uncommitted"})

    return [(runtime.group, "AIOKafkaConsumer", consumer)]


def _no_order() -> list[Patch]:
    return [(WorkerApplication, "order_of", lambda self, record: None)]


def _forgotten_key() -> list[Patch]:
    def waiter(**named: Any) -> Waiter:
        return Waiter(**{**named, "ordering_key": None})

    return [(router.lane, "Waiter", waiter)]


def _offset_apart() -> list[Patch]:
    commit = LaneTransaction.commit

    async def commit_(self: LaneTransaction, records: Any, lane: LaneId, position: Any) -> None:
        if records:
            await commit(self, records, lane, None)
        await commit(self, [], lane, position)

    return [(LaneTransaction, "commit", commit_)]


def _chain_anew() -> list[Patch]:
    decode = runtime.progress.decode

    def decode_(base: int, metadata: str) -> Any:
        return replace(decode(base, metadata), sequence=0, head=runtime.progress.GENESIS)

    return [(runtime.progress, "decode", decode_)]


def _any_position() -> list[Patch]:
    return [(runtime.runner, "held_against", lambda known, metadata, end: known)]


def _never_withdrawn() -> list[Patch]:
    return [(Steps, "_withdrawn", lambda self, turn: None)]


def _first_registry() -> list[Patch]:
    return [(router.state, "governance_of", lambda standing, tenant: UNGOVERNED)]


PLANTS: dict[str, Plant] = {
    "commit-the-highest": Plant("the committed offset is the highest that was read", _highest, 60),
    "forget-the-bitmap": Plant("finished offsets above the committed one need not be told", _no_bitmap, 60),
    "keep-the-producer": Plant("a producer is good for another transaction after any error", _kept_producer, 60),
    "adopt-unread": Plant(
        "an outcome of before is written although its record was not read again", _adopted_unread, 60
    ),
    "skip-fencing": Plant("a transactional id for each process", _no_fence, 60),
    "count-before-acknowledged": Plant("what is sent is committed", _before_acknowledged, 200),
    "advance-before-acknowledged": Plant(
        "a lane stands where its last transaction was to leave it", _advanced_first, 60
    ),
    "settle-unreserved": Plant("a reserve need not be told", _settled_unreserved, 60),
    "keep-the-overlay": Plant(
        "what was decided is remembered, whatever becomes of its transaction", _kept_overlay, 200
    ),
    "keep-the-books": Plant("the money in memory is right, whatever became of its transaction", _kept_books, 60),
    "reserve-nothing": Plant("a budget is looked at; what is under way will settle", _no_reserve, 60),
    "forget-the-ledger": Plant("a new owner begins with empty books", _forgotten_ledger, 60),
    "settle-again": Plant("what was not committed is settled with the next transaction too", _settled_again, 60),
    "deduplicate-from-memory": Plant("a process remembers what it has seen itself", _remembered_only, 60),
    "position-before-fencing": Plant("read where to begin, then make the producer", _position_first, 1_000),
    "forget-the-held": Plant("who waits is in memory: the lane may commit past it", _forgotten_held, 60),
    "doubt-costs-nothing": Plant("a call without an answer is not charged", _doubt_is_free, 60),
    "note-no-calls": Plant("calls need no note before them", _no_notes, 60),
    "read-uncommitted": Plant("a worker reads whatever is in its topic", _uncommitted_read, 500),
    "ask-no-breaker": Plant("what a breaker refuses may be tried all the same", _open_to_all, 200),
    "forget-the-order": Plant("records of a key may be worked on at once", _no_order, 60),
    "forget-who-waits-behind": Plant("who waits has its turn by class and queue alone", _forgotten_key, 400),
    "believe-any-position": Plant("what the coordinator answers is what was committed", _any_position, 200),
    "offset-apart": Plant("first the records, then, in another transaction, the offset", _offset_apart, 60),
    "judge-once": Plant("who was given a model may have it, whatever is said since", _never_withdrawn, 60),
    "ask-no-registry": Plant("which models may be used is settled when a process starts", _first_registry, 60),
    "begin-the-chain-anew": Plant("a lane's audit chain begins with its owner", _chain_anew, 60),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """While it lasts, the bug of that name is in the code; an empty name is none. Raises KeyError for an unknown."""
    with ExitStack() as stack:
        for owner, attribute, instead in PLANTS[name].patches() if name else []:
            stack.enter_context(patch.object(owner, attribute, instead))
        yield
