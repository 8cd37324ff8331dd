"""The jobs of one home partition on their way to their decisions. Pure: who reads the topic hands the records in.

A lane decides in nearly the order of its log; who waited is decided later, and repeats are not decided at all. So a
bounded number of jobs is kept, by the id of the decision that would answer each.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from router.arrival import Arrival, driven_again, read_arrival
from runtime.ports import Record
from schemas.job import Unreadable

MOST_KEPT = 20_000
MOST_KEPT_BYTES = 134_217_728
_ALWAYS = datetime(5000, 1, 1, tzinfo=UTC)
"""A time after every record: when a job was published is told by its decision."""


class Arrivals:
    """Jobs that were read and not yet asked for; the oldest are let go. Invariant: within both bounds."""

    def __init__(self, partitions: int, prefix: str, most: int = MOST_KEPT, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._partitions = partitions
        self._prefix = prefix
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Arrival] = OrderedDict()
        self._bytes = 0

    def add(self, record: Record) -> None:
        """Take in one record of the jobs topic. One that is at home elsewhere, or unreadable, is passed over."""
        arrival = self.read(record)
        if arrival is None:
            return
        for one in self._both(arrival):
            self._keep(one)

    def take(self, decision: Mapping[str, Any]) -> Arrival | None:
        """The job that a decision answers, if it was read and is still kept; its claim only where that was true."""
        arrival = self._kept.pop(str(decision.get("decision_id")), None)
        if arrival is not None:
            self._bytes -= len(arrival.record.value or b"")
        return arrival

    def read(self, record: Record) -> Arrival | None:
        """One record as an arrival at home; None if it is none."""
        arrival = read_arrival(record, _ALWAYS, self._partitions, self._prefix)
        return None if isinstance(arrival, Unreadable) or not arrival.at_home else arrival

    def answered(self, record: Record, decision: Mapping[str, Any]) -> Arrival | None:
        """The arrival of a record that was looked up for a decision; None if the decision answers another one."""
        arrival = self.read(record)
        both = () if arrival is None else self._both(arrival)
        return next((one for one in both if one.decision_id == decision.get("decision_id")), None)

    def __len__(self) -> int:
        return len(self._kept)

    def _both(self, arrival: Arrival) -> tuple[Arrival, ...]:
        """A claim to be a dead letter driven again is true or not: the decision's id says which."""
        if arrival.claim is None:
            return (arrival,)
        return driven_again(arrival, arrival.claim, self._prefix), replace(arrival, claim=None)

    def _keep(self, arrival: Arrival) -> None:
        self._kept[arrival.decision_id] = arrival
        self._bytes += len(arrival.record.value or b"")
        while len(self._kept) > self._most or (self._bytes > self._most_bytes and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.record.value or b"")
