"""Dedicated endpoints that are not there yet: which calls wait for them, and which are refused at once. Pure.

What is known of them is `novix.endpoints.v1`, which their controller writes. A job whose endpoint sleeps holds no slot
and makes no call: it waits in a retry topic, is counted by the controller, which wakes the endpoint, and is called once
it serves. What the topic does not know of is called as anything else.
"""

from datetime import datetime, timedelta

from pydantic import ValidationError

from runtime.ports import Record
from schemas.assignment import Candidate
from schemas.endpoints import EndpointState
from schemas.values import frozen

LEAST, LONGEST = timedelta(seconds=1), timedelta(seconds=30)
"""Between two looks of a waiting job."""
LAST_MOMENT = 1.2
"""With so many times a start left to the deadline a job does not wait for the controller any more: a call wakes the
endpoint as well, and its proxy holds it meanwhile."""
STOPPED = frozenset({"paused", "failed", "deleted", "refused"})
STARTING = frozenset({"pending", "initializing", "running"})


@frozen
class Asleep:
    """Look again at `until`; no call is made before."""

    until: datetime
    message: str


@frozen
class TooLate:
    """It cannot be there before the deadline."""

    message: str


@frozen
class Stopped:
    """Nothing but an order starts it."""

    message: str


Rest = Asleep | TooLate | Stopped


class Sleeping:
    """The fold, by the endpoints' addresses. Total: what is unreadable is passed over."""

    def __init__(self) -> None:
        self._by_url: dict[str, EndpointState] = {}
        self._urls: dict[str, str] = {}

    def fold(self, record: Record) -> None:
        """Take in one record."""
        key = (record.key or b"").decode("utf-8", "replace")
        self._by_url.pop(self._urls.pop(key, ""), None)
        try:
            state = None if record.value is None else EndpointState.model_validate_json(record.value)
        except ValidationError:
            return
        if state is not None and state.url is not None:
            self._urls[key] = state.url.rstrip("/")
            self._by_url[state.url.rstrip("/")] = state

    def look(self, candidate: Candidate, now: datetime, deadline: datetime) -> Rest | None:
        """Whether a call to this candidate is to be made now (None), later, or not at all."""
        state = self._by_url.get(candidate.base_url.rstrip("/"))
        if state is None or state.serves:
            return None
        key = state.spec.key
        if state.status in STOPPED:
            return Stopped(f"the endpoint {key} is {state.status}")
        start = timedelta(seconds=state.cold_start_s)
        ready = (state.starting_since or now) + start
        if state.starting_since is None and state.status in STARTING:  # it runs, and its health route is silent yet
            ready = now
        if max(ready, now) >= deadline:
            left = (deadline - now).total_seconds()
            return TooLate(f"the endpoint {key} starts in {(ready - now).total_seconds():.0f} s; {left:.0f} s are left")
        wakes_itself = not state.spec.scaling.wake_on_lag or deadline - now <= LAST_MOMENT * start
        if state.status == "scaledToZero" and wakes_itself:
            return None
        until = now + min(LONGEST, max(LEAST, ready - now))
        return Asleep(min(until, deadline), f"the endpoint {key} is {state.status}")
