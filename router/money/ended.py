"""Which reservations have ended, so that no end counts twice."""

from collections.abc import Iterable, Iterator

from router.money.reservation import Reservation

MOST_ENDED = 50_000
"""Of one lane, the newest, however many identities it may remember. The end of one that is older, told again, counts
again: too much rather than too little."""


class Ended:
    """Decision ids in the order of their ends. Of a released one its reservation is kept as well: should its job have
    cost something after all, that counts where the reservation did."""

    def __init__(self, most: int = MOST_ENDED) -> None:
        self._most = min(most, MOST_ENDED)
        self._ended: dict[str, Reservation | None] = {}

    def add(self, decision_id: str, released: Reservation | None) -> None:
        """It ended now; `released` is its reservation if nothing was spent of it."""
        self._ended.pop(decision_id, None)
        self._ended[decision_id] = released
        if len(self._ended) > self._most:
            del self._ended[next(iter(self._ended))]

    def add_all(self, decision_ids: Iterable[str]) -> None:
        """These were settled, in this order."""
        for decision_id in decision_ids:
            self.add(decision_id, None)

    def forget(self, decision_id: str) -> None:
        """It was decided anew."""
        self._ended.pop(decision_id, None)

    def knows(self, decision_id: str) -> bool:
        """Whether its end was told."""
        return decision_id in self._ended

    def released(self, decision_id: str) -> Reservation | None:
        """Its reservation, if it ended without a cost."""
        return self._ended.get(decision_id)

    def __iter__(self) -> Iterator[tuple[str, Reservation | None]]:
        return iter(self._ended.items())

    def __len__(self) -> int:
        return len(self._ended)
