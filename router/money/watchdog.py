"""What is reserved and has not ended, and why: for whoever looks whether money leaks. Pure."""

from datetime import datetime, timedelta

from schemas.values import frozen

IN_QUEUE = timedelta(minutes=10)
"""A worker ends a job at its deadline; this long after it, its end has not been told for another reason."""


@frozen
class OpenReservation:
    """A reservation whose end nobody has told yet."""

    identity: str
    """`tenant/id`."""
    submission: int
    decision_id: str
    nanousd: int
    decided_at: datetime
    deadline: datetime | None
    age: timedelta
    why: str


def why_open(decided_at: datetime, deadline: datetime | None, now: datetime, *, noted: bool = False) -> str:
    """Why a reservation that was made at `decided_at` is still open at `now`.

    Begins with `noted` (its decision is in no transaction yet), `running` (its deadline has not passed), `late` (it
    has, up to `IN_QUEUE` ago) or `leaked` (longer ago). A clock that was set back makes nothing leak.
    """
    if noted:
        return "noted: the decision waits for its transaction"
    if deadline is None:
        return f"running: decided {_ago(now - decided_at)}, without a deadline"
    if now < deadline:
        return f"running: its deadline is in {_seconds(deadline - now)} s"
    if now - deadline <= IN_QUEUE:
        return f"late: its deadline passed {_ago(now - deadline)}; a worker is about to tell its end"
    return (
        f"leaked: its deadline passed {_ago(now - deadline)} and nobody told its end: "
        "no worker reads its topic, its record was deleted, or a lane is stopped"
    )


def _ago(span: timedelta) -> str:
    return f"{_seconds(span)} s ago"


def _seconds(span: timedelta) -> int:
    return max(0, round(span.total_seconds()))
