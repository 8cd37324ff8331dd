"""One endpoint as it lives: its states, its replicas, what they are billed for. Pure: time is an argument.

Nothing happens by itself. `advance(now)` does everything that was due until then, each thing at its own instant, so
that who looks rarely sees the same instants as who looks often.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

BILLED = frozenset({"initializing", "running", "updating", "updateFailed"})
"""States in which a replica's time is charged for."""
ANSWERING = frozenset({"running", "updating", "updateFailed"})
ASLEEP = "scaledToZero"
MINUTE_S = 60
PENDING_REQUESTS = 1.5
"""Requests in flight for each replica, above which another one is started: the provider's own default."""
SCALE_UP_EVERY = timedelta(seconds=60)
SCALE_DOWN_EVERY = timedelta(seconds=120)
CALM = timedelta(seconds=300)
"""Without more load than the fewer replicas could take, before one of them is stopped."""


@dataclass(frozen=True)
class Times:
    """How long things take, in seconds. `slow` stretches or shortens the starts and nothing else."""

    pending: float = 12.0
    """Until a machine is found."""
    initializing: Mapping[str, float] = field(default_factory=lambda: {"cpu": 75.0, "gpu": 180.0, "neuron": 300.0})
    """Image and weights are loaded, by accelerator."""
    health: float = 4.0
    """`running` is told so long before the health route answers."""
    no_capacity: float = 600.0
    """Until an endpoint for which there is no machine fails."""
    slow: float = 1.0

    def start(self, accelerator: str, seed: str) -> tuple[timedelta, timedelta]:
        """Until a machine is found, and until it runs then: up to a fifth more or less, the same for the same seed."""
        digest = hashlib.sha256(seed.encode()).digest()
        luck = 0.8 + 0.4 * digest[0] / 255
        initializing = self.initializing.get(accelerator, self.initializing["gpu"])
        return timedelta(seconds=self.pending * luck * self.slow), timedelta(seconds=initializing * luck * self.slow)


@dataclass
class Span:
    """One replica's time, from the beginning of its start."""

    start: datetime
    hour_nanousd: int
    end: datetime | None = None

    def minutes(self, now: datetime) -> int:
        """Started minutes."""
        return math.ceil(((self.end or now) - self.start).total_seconds() / MINUTE_S)


@dataclass
class Machine:
    """One endpoint. Changed by one owner, the server's loop."""

    key: str
    accelerator: str
    hour_nanousd: int
    least: int
    most: int
    scale_to_zero: timedelta | None
    since: datetime
    """Of its state."""
    pending_requests: float = PENDING_REQUESTS
    state: str = "pending"
    message: str = "Endpoint waiting to be scheduled"
    ready: int = 0
    target: int = 0
    times: Times = field(default_factory=Times)
    capacity: bool = True
    """False: no machine is found for it."""
    update_fails: bool = False
    spans: list[Span] = field(default_factory=list)
    due: tuple[datetime, str] | None = None
    """The next change of state."""
    healthy_at: datetime | None = None
    last_used: datetime | None = None
    in_flight: int = 0
    starts: int = 0
    replica_due: datetime | None = None
    """When one more replica is ready."""
    looked_up: datetime | None = None
    looked_down: datetime | None = None
    calm_since: datetime | None = None
    lines: list[tuple[datetime, str]] = field(default_factory=list)
    """Its log."""

    def begin(self, now: datetime) -> None:
        """Start it: find a machine, then initialize."""
        self.starts += 1
        found, _ = self._durations()
        self._enter("pending", now, "Endpoint waiting to be scheduled")
        self.target = max(1, self.least)
        wait = found if self.capacity else timedelta(seconds=self.times.no_capacity * self.times.slow)
        self.due = (now + wait, "initializing" if self.capacity else "failed")

    def pause(self, now: datetime) -> None:
        """Stop until somebody resumes it."""
        self._stop("paused", now, "Endpoint is paused")

    def sleep(self, now: datetime) -> None:
        """Stop until the next request."""
        self._stop(ASLEEP, now, "Endpoint scaled to zero")

    def fail(self, now: datetime, message: str) -> None:
        """It broke."""
        self._stop("failed", now, message)

    def delete(self, now: datetime) -> None:
        """End what is billed."""
        self._stop("deleted", now, "")

    def update(self, now: datetime, accelerator: str, hour_nanousd: int) -> None:
        """New replicas take the place of the old ones, which serve until then. One that does not run keeps its state:
        what is new counts at its next start."""
        self.accelerator = accelerator
        if self.state not in ANSWERING:
            self.hour_nanousd = hour_nanousd
            return
        self.starts += 1
        _, start = self._durations()
        self._enter("updating", now, "Endpoint waiting for the update")
        self._next_price = hour_nanousd
        self.due = (now + start, "updateFailed" if self.update_fails else "running")

    _next_price: int | None = None

    def scale(self, least: int, most: int, now: datetime) -> None:
        """Within other bounds from now on."""
        self.least, self.most = least, most
        if self.state in ANSWERING:
            self._resize(min(max(self.target, least, 1), most), now)

    def used(self, now: datetime) -> None:
        """A request has come: it may wake it, and its rest begins anew."""
        self.last_used = now
        if self.state == ASLEEP:
            self.begin(now)

    def answers(self, now: datetime) -> bool:
        """Whether a request is answered now."""
        return self.state in ANSWERING and self.healthy_at is not None and now >= self.healthy_at

    def advance(self, now: datetime) -> None:
        """Do what was due until `now`."""
        while (due := self._next_due()) is not None and due[0] <= now:
            at, what = due
            if what == "replica":
                self.ready, self.replica_due = self.target, None
            elif what == "load":
                self._look_at_load(at)
            elif what == ASLEEP:
                self.sleep(at)
            else:
                self._arrive(what, at)

    def billed_minutes(self, now: datetime) -> int:
        """Of all its replicas."""
        return sum(span.minutes(now) for span in self.spans)

    def bill(self, now: datetime) -> int:
        """Nano-dollars until `now`: each started minute of a replica at a sixtieth of its hour, rounded up once."""
        return -(-sum(span.minutes(now) * span.hour_nanousd for span in self.spans) // 60)

    def status(self) -> dict[str, Any]:
        """What of `status` changes."""
        return {
            "state": self.state, "message": self.message, "readyReplica": self.ready, "targetReplica": self.target,
        } | ({"errorMessage": self.message} if self.state in ("failed", "updateFailed") else {})  # fmt: skip

    def _durations(self) -> tuple[timedelta, timedelta]:
        return self.times.start(self.accelerator, f"{self.key}/{self.starts}")

    def _next_due(self) -> tuple[datetime, str] | None:
        found = [self.due] if self.due is not None else []
        if self.replica_due is not None:
            found.append((self.replica_due, "replica"))
        if self.state == "running":
            assert self.looked_up is not None  # noqa: S101 - set on arrival
            if self.most > max(self.least, 1):
                found.append((self.looked_up + SCALE_UP_EVERY, "load"))
            if self.scale_to_zero is not None and self.least == 0 and self.in_flight == 0:
                rest = max(self.since, self.last_used or self.since)
                found.append((rest + self.scale_to_zero, ASLEEP))
        return min(found, default=None)

    def _arrive(self, state: str, at: datetime) -> None:
        self.due = None
        if state == "failed":
            return self.fail(at, "Endpoint failed to deploy: no capacity for the instance")
        if state == "initializing":
            _, start = self._durations()
            self._enter("initializing", at, "Endpoint is initializing")
            self.spans += [Span(at, self.hour_nanousd) for _ in range(self.target)]
            self.due = (at + start, "running")
            return None
        was = self.state
        if state == "updateFailed":
            self._next_price = None
            self._enter("updateFailed", at, "Endpoint failed to update: the container does not start")
            return None
        if was == "updating":
            self._end_spans(at)
            self.hour_nanousd = self._next_price or self.hour_nanousd
            self._next_price = None
            self.spans += [Span(at, self.hour_nanousd) for _ in range(self.target)]
        self._enter("running", at, "Endpoint is ready")
        self.ready = self.target
        self.healthy_at = at + timedelta(seconds=self.times.health * self.times.slow if was == "initializing" else 0)
        self.looked_up = self.looked_down = self.calm_since = at
        return None

    def _look_at_load(self, at: datetime) -> None:
        assert self.looked_down is not None  # noqa: S101 - set on arrival
        self.looked_up = at
        wanted = max(1, self.least, min(self.most, math.ceil(self.in_flight / self.pending_requests)))
        if wanted > self.target:
            self.calm_since = None
            self._resize(self.target + 1, at)
            return
        self.calm_since = None if wanted == self.target else (self.calm_since or at)
        calm = self.calm_since is not None and at - self.calm_since >= CALM
        if calm and self.replica_due is None and at - self.looked_down >= SCALE_DOWN_EVERY:
            self.looked_down = at
            self._resize(self.target - 1, at)

    def _resize(self, target: int, at: datetime) -> None:
        if target > self.target:
            self.starts += 1
            self.spans += [Span(at, self.hour_nanousd) for _ in range(target - self.target)]
            self.replica_due = at + self._durations()[1]
        elif target < self.target:
            running = [span for span in self.spans if span.end is None]
            for span in running[target:]:
                span.end = at
            self.ready, self.replica_due = min(self.ready, target), None
        self.since = at if target != self.target else self.since
        self.target = target

    def _stop(self, state: str, at: datetime, message: str) -> None:
        self._end_spans(at)
        self.due = self.replica_due = self.healthy_at = self._next_price = None
        self.ready = self.target = 0
        self._enter(state, at, message)

    def _end_spans(self, at: datetime) -> None:
        for span in self.spans:
            span.end = span.end or at

    def _enter(self, state: str, at: datetime, message: str) -> None:
        self.state, self.since, self.message = state, at, message
        self.lines.append((at, f"{state}: {message}" if message else state))
