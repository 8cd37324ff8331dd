"""Deficit round robin between tenants of one class (M. Shreedhar and G. Varghese, SIGCOMM 1995), by cost. Pure.

Each visit to a tenant gives it `QUANTUM_NANOUSD` times its weight to spend; a job is begun when its tenant has its
price together, and what is left stays for the next visit. So over any time in which two tenants always have work, what
they spend differs from their weights by at most one visit and one job each, however dear single jobs are.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable

from router.waiter import Waiter

QUANTUM_NANOUSD = 100_000
"""What a visit is worth, times the tenant's weight: a chat answer of 500 tokens at 0.2 dollars a million."""
LEAST_NANOUSD = 10_000
"""What a job counts at least: those that cost nothing have turns as well, and at most ten of them a visit."""

May = Callable[[Waiter], bool]


def price_of(waiter: Waiter) -> int:
    """What the job counts against its tenant's share, in nano-dollars."""
    return max(LEAST_NANOUSD, waiter.cost_nanousd)


class Flow:
    """Jobs of one tenant, class and queue in the order of their numbers; only the first may be begun."""

    def __init__(self, share: "Share", queue: str) -> None:
        self.share = share
        self.queue = queue
        self.looked_at: int | None = None
        """Number of the head when the room last said whether the flow sleeps."""
        self._order: list[int] = []
        self._here: dict[int, Waiter] = {}

    def add(self, number: int, waiter: Waiter) -> None:
        """Stand where the number says."""
        heapq.heappush(self._order, number)
        self._here[number] = waiter

    def remove(self, number: int) -> bool:
        """Whether it stood here."""
        return self._here.pop(number, None) is not None

    def head(self) -> tuple[int, Waiter] | None:
        """The first, with its number."""
        while self._order and self._order[0] not in self._here:
            heapq.heappop(self._order)
        return (self._order[0], self._here[self._order[0]]) if self._order else None

    def __len__(self) -> int:
        return len(self._here)


class Share:
    """What one tenant has in one class: its flows, and what it may spend before the others have their turn."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.weight = 1
        self.deficit = 0
        """Nano-dollars."""
        self.visited = False
        """The present visit's quantum is given."""
        self.flows: dict[str, Flow] = {}
        """By queue; also those that sleep."""
        self.awake: dict[str, Flow] = {}

    def first(self, may: May) -> tuple[Flow, Waiter] | None:
        """The one that came first among the heads of its flows that may begin."""
        found: tuple[int, Flow, Waiter] | None = None
        for flow in self.awake.values():
            head = flow.head()
            if head is not None and (found is None or head[0] < found[0]) and may(head[1]):
                found = head[0], flow, head[1]
        return found[1:] if found is not None else None


class Round:
    """The tenants of one class in their turn. Who has nothing that may begin is passed over, and is given nothing."""

    def __init__(self) -> None:
        self._ring: OrderedDict[str, Share] = OrderedDict()

    def join(self, share: Share) -> None:
        """Something of it is awake: it is visited last."""
        self._ring.setdefault(share.tenant, share)

    def leave(self, share: Share) -> None:
        """Nothing of it is awake."""
        if self._ring.pop(share.tenant, None) is not None:
            share.visited = False

    def __len__(self) -> int:
        """Tenants of which something is awake."""
        return len(self._ring)

    def turn(self, may: May) -> tuple[Flow, Waiter] | None:
        """Whose turn it is: the same until somebody is taken out. None: nobody may begin.

        Visits each tenant at most twice: where nobody has its next job's price together in a whole round, the rounds
        until somebody has are gone through in one step.
        """
        for _ in range(2):
            short: list[tuple[Share, int]] = []
            for _ in range(len(self._ring)):
                share = next(iter(self._ring.values()))
                found = share.first(may)
                if found is not None:
                    missing = self._visit(share, price_of(found[1]))
                    if missing <= 0:
                        return found
                    short.append((share, missing))
                share.visited = False
                self._ring.move_to_end(share.tenant)
            if not short:
                return None
            rounds = min(-(-missing // (QUANTUM_NANOUSD * share.weight)) for share, missing in short)
            for share, _ in short:
                share.deficit += (rounds - 1) * QUANTUM_NANOUSD * share.weight
        return None  # `may` answered differently within one turn

    def _visit(self, share: Share, price: int) -> int:
        """What is missing to the price, when the visit's quantum is given."""
        if not share.visited:
            share.deficit += QUANTUM_NANOUSD * share.weight
            share.visited = True
        return price - share.deficit
