"""A bill that names no calls but sums: one row for each day or month and model. Pure.

Each row is compared with the sum of our charges of its model (and provider) that ended within its time, UTC; one that
tells no model, with those that no other row has. As with calls, the differences sum to bill minus ledger.
"""

from dataclasses import dataclass

from console.money.bill import Bill, Billed
from console.money.reconcile import Difference, Kind, Ours, Reconciled


@dataclass(slots=True)
class _Group:
    """Rows of one time, model and provider, and what of ours falls into it."""

    rows: list[Billed]
    billed_nanousd: int = 0
    ours_nanousd: int = 0
    ambiguous_nanousd: int = 0


def is_summed(bill: Bill) -> bool:
    """Whether the rows stand for more than a call: no row names a call or a job, and each has a day or a month."""
    return bool(bill.rows) and all(
        not row.request_id and not row.job and row.since is not None and row.until is not None and row.since < row.until
        for row in bill.rows
    )


class Sums:
    """As `console.money.reconcile.Reconciler`, for a bill of sums. In memory: the bill."""

    def __init__(self, bill: Bill) -> None:
        self._unit = bill.unit_nanousd
        self._groups: dict[tuple[str, str], list[_Group]] = {}
        self._strangers: dict[tuple[str, str, bool], int] = {}
        self.found = Reconciled(rows=len(bill.rows), billed_nanousd=sum(row.nanousd for row in bill.rows))
        self.found.matched = {"sum": 0}
        for row in bill.rows:
            groups = self._groups.setdefault((row.model, row.provider.casefold()), [])
            group = next(
                (one for one in groups if (one.rows[0].since, one.rows[0].until) == (row.since, row.until)), None
            )
            if group is None:
                groups.append(group := _Group([]))
            group.rows.append(row)
            group.billed_nanousd += row.nanousd

    def add(self, ours: Ours) -> None:
        """One charge of ours."""
        self.found.charges += 1
        self.found.ours_nanousd += ours.nanousd
        group = self._of(ours)
        if group is None:
            key = (ours.model, ours.provider, ours.ambiguous)
            self._strangers[key] = self._strangers.get(key, 0) + ours.nanousd
            return
        self.found.matched["sum"] += 1
        group.ours_nanousd += ours.nanousd
        if ours.ambiguous:
            group.ambiguous_nanousd += ours.nanousd

    def finish(self) -> Reconciled:
        """Name what differs."""
        for (model, provider), groups in self._groups.items():
            for group in groups:
                kind = self._kind(group)
                if kind is not None:
                    self.found.differences.append(
                        Difference(
                            kind, group.billed_nanousd, group.ours_nanousd, line=group.rows[0].line, model=model,
                            provider=provider,
                        )
                    )  # fmt: skip
        for (model, provider, unsure), nanousd in self._strangers.items():
            alone: Kind = "ambiguous_not_billed" if unsure else "ours_not_billed"
            self.found.differences.append(Difference(alone, 0, nanousd, model=model, provider=provider))
        self.found.differences.sort(key=lambda one: (one.kind, one.line or 0, one.model))
        return self.found

    def _of(self, ours: Ours) -> _Group | None:
        provider = ours.provider.casefold()
        for key in ((ours.model, provider), (ours.model, ""), ("", provider), ("", "")):
            for group in self._groups.get(key, ()):
                since, until = group.rows[0].since, group.rows[0].until
                if since is not None and until is not None and since <= ours.ended < until:
                    return group
        return None

    def _kind(self, group: _Group) -> Kind | None:
        more = group.billed_nanousd - group.ours_nanousd
        if not more:
            return None
        if abs(more) < self._unit:
            return "rounding"
        if not group.ours_nanousd:
            return "credit" if group.billed_nanousd < 0 else "billed_not_ours"
        if -group.ambiguous_nanousd - self._unit < more < 0:
            return "ambiguous_not_billed" if more <= -group.ambiguous_nanousd else "ambiguous_billed"
        return "other_amount"
