"""Why a budget stands as it does. `explain` reads, the rest is pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from console.kafka import Log
from console.money import histories, lanes, standing, watch
from console.money.reading import Books, read
from console.money.standing import PARTS, Standing, Standings
from console.words import count, money, shown, span
from router.purse import Line
from runtime.partitions import home_partition
from schemas.topics import DECISIONS

MOST_TOLD = 20
"""Open reservations, ambiguous calls, models, teams: the others are told by number and sum."""
MARGIN = timedelta(minutes=1)


@dataclass(slots=True)
class Explained:
    """What is known of one budget."""

    standing: Standing
    """From the log: told apart."""
    line: Line
    """From the lane's books, which know what the log has not any more."""
    open: list[watch.Open]
    books: Books
    now: datetime

    @property
    def older_nanousd(self) -> int:
        """Spent in this window, and in no decision that the log still has."""
        return 0 if self.books.whole else max(0, self.line.spent_nanousd - self.standing.spent_nanousd)

    @property
    def spent_nanousd(self) -> int:
        """All of it."""
        return self.standing.spent_nanousd + self.older_nanousd

    @property
    def left_nanousd(self) -> int:
        """What may still be reserved; negative where more is spent than the limit."""
        return self.standing.limit_nanousd - self.spent_nanousd - self.standing.reserved_nanousd


async def explain(log: Log, tenant: str, name: str, now: datetime) -> Explained:
    """Read what the budget is made of. Raises `CommandError` for one that there is not."""
    known = await histories.accounts(log)
    histories.budget_of(known, tenant, name)
    line = (await lanes.lines(log, known, [tenant], now))[tenant, name]
    standings = Standings(known, [tenant], now)
    mine = next(one for one in standings.all if one.budget.id == name)
    since = None if mine.begins is None else mine.begins - MARGIN
    home = home_partition(tenant, await log.reader().partitions(DECISIONS.name))
    books = await read(log, known, standings.spent, homes=[home], since=since)
    for one in books.open:
        standings.reserved(one)
    return Explained(mine, line, await watch.look(log, mine.open, now), books, now)


def as_document(found: Explained) -> dict[str, Any]:
    """As JSON."""
    one = found.standing
    return {
        **standing.as_document(one),
        "lane": {"spent_nanousd": found.line.spent_nanousd, "reserved_nanousd": found.line.reserved_nanousd},
        "spent_nanousd": found.spent_nanousd,
        "available_nanousd": found.left_nanousd,
        "spent_before_the_log_nanousd": found.older_nanousd,
        "parts": {name: dict(one.parts[name].most_common()) for name in PARTS},
        "dearest": [{"job": job, "nanousd": cost} for job, cost in one.dearest],
        "open_reservations": watch.as_documents(found.open, found.now),
        "ambiguous_calls": [
            {"job": job, **charge.model_dump(mode="json", exclude={"usage", "ambiguous"})}
            for job, charge in one.ambiguous
        ],
        "above_reserve": [{"job": job, "nanousd": over} for job, over in one.over],
    }


def told(found: Explained) -> list[str]:
    """In words, the answer first."""
    return [shown(line) for line in _lines(found)]


def _lines(found: Explained) -> list[str]:
    one, left = found.standing, found.left_nanousd
    budget = one.budget
    lines = [
        f"budget     {budget.tenant}/{budget.id}, {'hard' if budget.hard else 'soft'}, window {one.window}: "
        f"{money(one.limit_nanousd)} = {money(found.spent_nanousd)} spent + {money(one.reserved_nanousd)} reserved "
        + (f"+ {money(left)} left" if left >= 0 else f"- {money(-left)} over it")
    ]
    if one.funded_nanousd:
        lines.append(f"{'':11}of it {money(one.funded_nanousd)} handed over by transfers")
    lines.append(f"window     {_window(one, found.now)}")
    lines.append(f"spent      {money(one.spent_nanousd)} by {count(one.jobs, 'job')} that ended")
    if found.older_nanousd:
        lines.append(f"{'':11}and {money(found.older_nanousd)} by jobs whose decisions the log has not any more")
    for name in PARTS:
        rows = one.parts[name].most_common()
        if len(rows) > 1 or (rows and rows[0][0] != standing.NONE):
            told_rows = "; ".join(f"{value} {money(cost)}" for value, cost in rows[:MOST_TOLD])
            rest = f"; {count(len(rows) - MOST_TOLD, 'other')}" if len(rows) > MOST_TOLD else ""
            lines.append(f"{name:11}{told_rows}{rest}")
    lines += [f"job        {money(cost)} {job}" for job, cost in one.dearest[:5]]
    lines.append(f"reserved   {money(one.reserved_nanousd)} by {count(len(one.open), 'job')} that did not end")
    for waiting in found.open[:MOST_TOLD]:
        lines.append(f"open       {money(waiting.reservation.held.nanousd)} {waiting.reservation.job}: {waiting.why}")
    if len(found.open) > MOST_TOLD:
        lines.append(f"{'':11}{count(len(found.open) - MOST_TOLD, 'more')}: novix ledger open {budget.tenant}")
    if one.ambiguous:
        lines.append(
            f"ambiguous  {count(len(one.ambiguous), 'call')} may have been paid without an answer, "
            f"{money(one.ambiguous_nanousd)} at most"
        )
        for job, charge in one.ambiguous[:MOST_TOLD]:
            lines.append(
                f"{'':11}{money(charge.nanousd)} {job}, attempt {charge.attempt}, {charge.model} at {charge.provider}"
            )
    for job, over in one.over[:MOST_TOLD]:
        lines.append(
            f"above      {job} cost {money(over)} more than was reserved: its provider charged above its ceiling"
        )
    lines.append(f"so         {_so(found)}")
    if found.books.whole and found.line.spent_nanousd != one.spent_nanousd:
        lines.append(
            f"books      the home lane counts {money(found.line.spent_nanousd)} as spent: a job ended while this was "
            "read, or a record cannot be read (novix ledger balance)"
        )
    if not found.books.whole and found.books.begins is not None:
        lines.append(f"log        decisions are kept from {found.books.begins:%Y-%m-%d %H:%M:%S} UTC on")
    return lines


def _so(found: Explained) -> str:
    """What follows for the next job."""
    one, left = found.standing, found.left_nanousd
    if not one.budget.hard:
        return "it is soft: it gives alerts, and no job waits or is refused for it"
    if left > 0:
        return f"{money(left)} is left: a job that may cost more than that waits, or is refused"
    if found.spent_nanousd > one.limit_nanousd:
        why = "more is spent than the limit; it was lowered, or a provider charged above its ceiling"
    elif one.reserved_nanousd:
        why = f"{money(one.reserved_nanousd)} come back, or are spent, as the open jobs end"
    else:
        why = "all of it is spent"
    raised = f"novix budget set {one.budget.tenant} {one.budget.id} --limit DOLLARS"
    until = "it never begins anew; raise it" if one.ends is None else "wait for the next window, or raise it"
    return f"nothing is left: {why}; {until}: {raised}"


def _window(one: Standing, now: datetime) -> str:
    if one.begins is None or one.ends is None:
        return "for all time; it never begins anew"
    left = max(timedelta(0), one.ends - now) / timedelta(milliseconds=1)
    begins, ends = (f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" for moment in (one.begins, one.ends))
    return f"since {begins}; the next one begins {ends}, in {span(left)}"
