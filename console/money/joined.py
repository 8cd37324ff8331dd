"""Decisions and ledger as one: each reservation with how it ended. Pure; `console/money/reading.py` reads the topics.

A reservation stands in a decision, its end in the ledger entry of the same `decision_id`. Both are facts that a lane
wrote in its own transaction; nothing here adds to them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from router.accounts import Accounts
from router.money.reservation import Reservation as Held
from router.money.reservation import reservation_of as router_reservation_of
from router.money.scope import tag_text
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.values import frozen

REMEMBERED = 200_000
"""Ended reservations of one partition that are known again: an entry that comes a second time after so many others
is taken for one whose decision is gone, and counts."""


@frozen
class Reservation:
    """What one decision set aside, and for whom."""

    held: Held
    """As the home lane has it: amount, budgets' windows, who asked and where it may be done."""
    task: str | None = None
    modality: str = ""
    policy: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """All of the job's metadata, values as text."""
    budgets: tuple[tuple[str, str], ...] = ()
    """(budget, window) that it was decided from."""
    quoted_nanousd: int | None = None
    expected_nanousd: int = 0

    @property
    def job(self) -> str:
        """`tenant/id/submission`."""
        return f"{self.held.identity}/{self.held.submission}"


@frozen
class Ended:
    """A reservation and its end; `reservation` is None where its decision is not in what was read."""

    entry: LedgerEntry
    reservation: Reservation | None
    late: bool = False
    """It was released before, by an operator for one, and was paid after all: the same job's money, no new job."""

    @property
    def at(self) -> datetime:
        """When it counts: as it was reserved. A settle counts in the windows of its reservation, however late."""
        return self.reservation.held.decided_at if self.reservation is not None else self.entry.at

    @property
    def job(self) -> str:
        """`tenant/id/submission`."""
        return f"{self.entry.tenant}/{self.entry.job_id}/{self.entry.submission}"


class Join:
    """The reservations of one home partition: open, ended, and entries that came before their decision.

    As in a home lane's books (`router.money.books`) each decision ends once, and once more if it was released and is
    settled later; any other entry of the same decision is told in `repeated` and counts for nothing. A submission that
    is decided anew holds what its last decision reserved. Clocks of lanes differ, so an entry may be given before its
    decision. No I/O, one owner.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.open: dict[str, Reservation] = {}
        self.repeated: list[LedgerEntry] = []
        self.unreadable = 0
        """Records or decisions that hold something else than the contract."""
        self._jobs: dict[tuple[str, str, int], str] = {}
        """The open reservation of each submission."""
        self._early: dict[str, list[LedgerEntry]] = {}
        self._ended: dict[str, Reservation | None] = {}
        """What was released, by decision; None: settled."""

    def decisions(self, document: Mapping[str, Any]) -> Iterator[Ended]:
        """Fold one `DecisionBatch`; those of its reservations that had ended already."""
        listed = document.get("decisions")
        if not isinstance(listed, list):
            self.unreadable += 1
            return
        for decision in listed:
            try:
                job = (decision["tenant"], decision["job_id"], decision.get("submission", 1))
                before = self._jobs.pop(job, None)
                reservation = reservation_of(decision, self._accounts)
            except (KeyError, TypeError, ValueError, AttributeError):
                self.unreadable += 1
                continue
            if before is not None:
                self.open.pop(before, None)
            if reservation is None:
                continue
            self._ended.pop(reservation.held.decision_id, None)  # read again long after: it runs, and costs, again
            self.open[reservation.held.decision_id] = reservation
            self._jobs[job] = reservation.held.decision_id
            for entry in self._early.pop(reservation.held.decision_id, ()):
                yield from self._entry(entry)

    def ledger(self, value: bytes) -> Iterator[Ended]:
        """Fold one `LedgerBatch`; the reservations that it ends."""
        try:
            batch = LedgerBatch.model_validate_json(value)
        except ValidationError:
            self.unreadable += 1
            return
        for entry in batch.entries:
            if entry.decision_id in self._ended or entry.decision_id in self.open:
                yield from self._entry(entry)
            else:
                self._early.setdefault(entry.decision_id, []).append(entry)

    def strangers(self) -> Iterator[Ended]:
        """Entries whose decision was in nothing that was read: older than the log, or than where reading began."""
        early, self._early = self._early, {}
        for entries in early.values():
            for entry in entries:
                yield from self._entry(entry)

    def _entry(self, entry: LedgerEntry) -> Iterator[Ended]:
        known = entry.decision_id in self._ended
        before = self._ended.get(entry.decision_id)
        if known and (before is None or entry.kind != "settle"):
            self.repeated.append(entry)
            return
        reservation = before if known else self.open.pop(entry.decision_id, None)
        if reservation is not None:
            held = reservation.held
            self._jobs.pop((held.tenant, held.job_id, held.submission), None)
        self._ended[entry.decision_id] = reservation if entry.kind == "release" else None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        yield Ended(entry, reservation, late=known)


def reservation_of(decision: Mapping[str, Any], accounts: Accounts) -> Reservation | None:
    """The reservation in a decision; None where nothing was reserved. Raises KeyError, TypeError, ValueError or
    AttributeError for what is no decision."""
    held = router_reservation_of(decision, accounts)
    if held is None:
        return None
    reserve = decision["reserve"]
    return Reservation(
        held,
        task=decision.get("task"),
        modality=str(decision.get("modality") or ""),
        policy=str(decision.get("policy") or ""),
        labels=tuple((str(name), tag_text(value)) for name, value in (decision.get("metadata") or {}).items()),
        budgets=tuple((str(one["id"]), str(one["window"])) for one in reserve.get("budgets") or ()),
        quoted_nanousd=reserve.get("quoted_nanousd"),
        expected_nanousd=int(reserve.get("expected_nanousd") or 0),
    )
