"""Who waits in a router lane for its turn, and whose turn it is. No clock, no I/O, one owner: the lane.

Between classes (interactive, normal, batch) strictly by priority, with a floor for the lower ones
(`runtime.waiting.Turns`). Within a class by turns between tenants, weighted by cost (`router/rounds.py`). Within a
tenant, class and queue by arrival. What a step takes grows with the logarithm of how many wait, and with the number of
tenants that have something which may not begin; who waits for an instant or for money is not looked at until then.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from router.alarms import Alarms
from router.rounds import Flow, Round, Share, price_of
from router.waiter import Waiter
from runtime.waiting import PRIORITIES, Turns

__all__ = ["Waiter", "WaitingRoom"]

AT_A_TIME = 1_000
"""Of those whose time has come, or that were overtaken: so many are taken out in 10 ms."""

Key = tuple[str, str]


def anybody(waiter: Waiter) -> bool:
    """Nobody is kept back."""
    return True


class WaitingRoom:
    """The jobs of one lane that are held until they may begin."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._rounds = [Round() for _ in PRIORITIES]
        self._shares: list[dict[str, Share]] = [{} for _ in PRIORITIES]
        self._waiters: dict[str, tuple[int, Waiter]] = {}
        """By identity, each with its number: the order of arrival."""
        self._numbers = 0
        self._taken: dict[str, int] = {}
        """Numbers of those that the last `next` took out: they keep them if they are put back."""
        self._keys: dict[Key, list[int]] = {}
        """Of each ordering key, the numbers of those that wait, as a heap; the first alone stands in its flow."""
        self._by_number: dict[int, Waiter] = {}
        self._freed: list[Key] = []
        """Keys whose first was taken out: the next follows when it is sure not to come back."""
        self._sleepers: Alarms[datetime] = Alarms(self._by_number)
        self._unsettled: dict[str, dict[int, None]] = {}
        """Numbers of those that wait for a reservation of their tenant to end."""
        self._answered: set[int] = set()
        """Numbers of those for which one has, or whose instant has come, since they were asked: they do not sleep, even
        if they were not the first of their flow then."""
        self._deadlines: Alarms[datetime] = Alarms(self._by_number)
        self._offsets: Alarms[int] = Alarms(self._by_number)
        self._of_tenant: Counter[str] = Counter()
        self._of_destination: Counter[str] = Counter()
        self.bytes = 0
        """Of the records of all who wait."""

    # who comes and goes

    def enter(self, waiter: Waiter) -> None:
        """Wait behind those that are here."""
        self._numbers += 1
        self._add(self._numbers, waiter)

    def put_back(self, waiter: Waiter) -> None:
        """Wait again in the place that it had: it was taken out by `next` and may not begin after all.

        To be told before the `next` after that, for its key's sake; later it may have been overtaken by a job of the
        same key. It should say what it waits for (`not_before`, `needs_settle`), or it is the next again.
        """
        number = self._taken.pop(waiter.identity, None)
        if number is None:
            self._numbers = number = self._numbers + 1
        else:
            self._share_of(waiter).deficit += price_of(waiter)
        self._add(number, waiter)

    def remove(self, waiter: Waiter) -> bool:
        """Leave without a turn (it was cancelled); whether it was here."""
        known = self._waiters.get(waiter.identity)
        if known is None:
            return False
        self._drop(known[0])
        self._follow()
        return True

    def expired(self, now: datetime) -> list[Waiter]:
        """Those whose deadline has come, the earliest first, at most `AT_A_TIME`: taken out."""
        late = [self._drop(number) for number, _ in islice(self._deadlines.due(now), AT_A_TIME)]
        self._follow()
        return late

    def overtaken(self, offset: int, excess_bytes: int = 0) -> list[Waiter]:
        """Those whose record has at most this offset, the lowest first, and whose flow sleeps: taken out, `AT_A_TIME`
        at most; then as many more as have `excess_bytes` together.

        A lane reads on only so far above the lowest that waits (`runtime.progress.WINDOW`), and a process holds only so
        many bytes: who would stop it for everybody has to go. Nobody goes behind one whose flow is awake: the lane goes
        on when that has had its turn.
        """
        found: list[Waiter] = []
        slept: set[Flow] = set()
        while len(found) < AT_A_TIME:
            lowest = self._offsets.earliest()
            if lowest is None or (lowest > offset and excess_bytes <= 0):
                break
            number, waiter = next(self._offsets.due(lowest))
            flow = self._share_of(waiter).flows.get(waiter.queue)
            if flow is None or (flow.queue in flow.share.awake and flow not in slept):
                self._offsets.add(lowest, number)
                break
            slept.add(flow)
            excess_bytes -= waiter.size_bytes
            found.append(self._drop(number))
        self._follow()
        return found

    def next(self, now: datetime, may: Callable[[Waiter], bool] = anybody) -> Waiter | None:
        """Take out whose turn it is among those that `may` begin; None: nobody may.

        `may` is asked of who stands first, and answers the same for the same one within a call. Whoever is taken out
        begins or ends, or is put back.
        """
        self._taken.clear()
        self._follow()
        self._wake(now)
        found = [turning.turn(may) for turning in self._rounds]
        if not any(found):
            return None
        chosen = found[self._turns.next([one is not None for one in found])]
        if chosen is None:
            return None
        flow, waiter = chosen
        number = self._waiters[waiter.identity][0]
        flow.share.deficit -= price_of(waiter)
        self._drop(number)
        self._taken[waiter.identity] = number
        return waiter

    def settled(self, tenant: str) -> None:
        """A reservation of the tenant has ended: who needs that may be asked again."""
        for number in self._unsettled.pop(tenant, {}):
            self._answered.add(number)
            self._rouse(number)

    # who is here

    def waiting(self, identity: str) -> Waiter | None:
        """Who waits under this identity."""
        known = self._waiters.get(identity)
        return known[1] if known is not None else None

    def keeps_back(self, tenant: str) -> bool:
        """Whether a job of the tenant that has just come must wait here: somebody is awake, or its tenant has one that
        is not."""
        return self._of_tenant[tenant] > 0 or any(map(len, self._rounds))

    def destinations(self) -> Iterable[str]:
        """Where those go who wait."""
        return self._of_destination.keys()

    def wakes_at(self, now: datetime) -> datetime | None:
        """When somebody has to be looked at for the time alone: an expiry, or the end of a wait. None: never."""
        instants = (self._deadlines.earliest(), self._sleepers.earliest())
        return min((at for at in instants if at is not None), default=None)

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        return iter([waiter for _, waiter in self._waiters.values()])

    def describe(self) -> dict[str, Any]:
        """For /healthz: how many wait, of how many tenants, how many of the one that has most, by class."""
        classes = Counter(waiter.priority for _, waiter in self._waiters.values())
        return {
            "jobs": len(self._waiters),
            "tenants": len(self._of_tenant),
            "most_of_one": max(self._of_tenant.values(), default=0),
            **{name: classes[name] for name in PRIORITIES},
        }

    # places

    def _add(self, number: int, waiter: Waiter) -> None:
        self._waiters[waiter.identity] = number, waiter
        self._by_number[number] = waiter
        self._of_tenant[waiter.tenant] += 1
        self._of_destination[waiter.destination] += 1
        self.bytes += waiter.size_bytes
        self._deadlines.add(waiter.deadline, number)
        self._offsets.add(waiter.delivery.record.offset, number)
        if waiter.needs_settle:
            self._unsettled.setdefault(waiter.tenant, {})[number] = None
        self._share_of(waiter).weight = waiter.weight
        if waiter.ordering_key is None:
            self._stand(number, waiter)
            return
        key = waiter.tenant, waiter.ordering_key
        of_key = self._keys.setdefault(key, [])
        before = of_key[0] if of_key else None
        if before != number:  # it is not back before anybody has followed it
            heapq.heappush(of_key, number)
        if of_key[0] == number and key not in self._freed:
            if before is not None:
                self._step_out(before, self._by_number[before])
            self._stand(number, waiter)
        elif of_key[0] == number:  # back in its place: nobody follows
            self._freed = [one for one in self._freed if one != key]
            self._stand(number, waiter)

    def _drop(self, number: int) -> Waiter:
        waiter = self._by_number.pop(number)
        del self._waiters[waiter.identity]
        self.bytes -= waiter.size_bytes
        for counter, name in ((self._of_tenant, waiter.tenant), (self._of_destination, waiter.destination)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._forget_unsettled(number, waiter)
        self._answered.discard(number)
        self._step_out(number, waiter)
        if waiter.ordering_key is not None:
            key = waiter.tenant, waiter.ordering_key
            of_key = self._keys[key]
            if of_key[0] == number:
                self._freed.append(key)
        return waiter

    def _follow(self) -> None:
        """Of each key whose first is gone, the next one stands in its place."""
        for key in self._freed:
            of_key = self._keys.get(key, [])
            while of_key and of_key[0] not in self._by_number:
                heapq.heappop(of_key)
            if of_key:
                self._stand(of_key[0], self._by_number[of_key[0]])
            else:
                self._keys.pop(key, None)
        self._freed.clear()

    # flows

    def _share_of(self, waiter: Waiter) -> Share:
        return self._shares[PRIORITIES.index(waiter.priority)].setdefault(waiter.tenant, Share(waiter.tenant))

    def _stand(self, number: int, waiter: Waiter) -> None:
        share = self._share_of(waiter)
        flow = share.flows.setdefault(waiter.queue, Flow(share, waiter.queue))
        flow.add(number, waiter)
        self._arrange(PRIORITIES.index(waiter.priority), flow)

    def _step_out(self, number: int, waiter: Waiter) -> None:
        rank = PRIORITIES.index(waiter.priority)
        share = self._share_of(waiter)
        flow = share.flows.get(waiter.queue)
        if flow is not None and flow.remove(number):
            self._arrange(rank, flow)
        if not share.flows:
            del self._shares[rank][share.tenant]  # and what it had left to spend with it

    def _arrange(self, rank: int, flow: Flow) -> None:
        """After the flow's head may have changed: it is visited, sleeps, or is no more."""
        share, head = flow.share, flow.head()
        looked_at, flow.looked_at = flow.looked_at, head[0] if head is not None else None
        if head is None:
            del share.flows[flow.queue]
        elif head[0] == looked_at:
            return
        elif head[0] in self._answered or (head[1].not_before is None and not head[1].needs_settle):
            share.awake[flow.queue] = flow
            self._rounds[rank].join(share)
            return
        elif head[1].not_before is not None:
            self._sleepers.add(head[1].not_before, head[0])
        share.awake.pop(flow.queue, None)
        if not share.awake:
            self._rounds[rank].leave(share)

    def _wake(self, now: datetime) -> None:
        for number, waiter in self._sleepers.due(now):
            if waiter.not_before is not None and waiter.not_before <= now:
                self._forget_unsettled(number, waiter)
                self._answered.add(number)
                self._rouse(number)

    def _forget_unsettled(self, number: int, waiter: Waiter) -> None:
        of_tenant = self._unsettled.get(waiter.tenant)
        if of_tenant is not None and of_tenant.pop(number, number) is None and not of_tenant:
            del self._unsettled[waiter.tenant]

    def _rouse(self, number: int) -> None:
        """The head of a flow that slept may be asked."""
        waiter = self._by_number[number]
        rank, share = PRIORITIES.index(waiter.priority), self._share_of(waiter)
        flow = share.flows.get(waiter.queue)
        head = flow.head() if flow is not None else None
        if flow is not None and head is not None and head[0] == number:
            share.awake[flow.queue] = flow
            self._rounds[rank].join(share)
