"""Faults on demand: which call is spoilt, and how. Validated by pydantic; the choice is a pure fold over the calls."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Immutable; an unknown field is refused by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Header(Strict):
    """A request header and the value it must have, e.g. `X-Amzn-Trace-Id` and a trace id."""

    name: str = Field(min_length=1)
    value: str


class Match(Strict):
    """Which calls a profile is for. What is not given matches every call; conditions hold together."""

    model: str | None = None
    """Exact model id, without suffix."""
    path: str | None = None
    """Shell pattern on the URL path, e.g. `/v1/chat/*`."""
    header: Header | None = None
    nth: int | None = Field(default=None, ge=1)
    """Only the nth of the calls that match so far, counted from 1."""
    first: int | None = Field(default=None, ge=1)
    """Only the first so many of them."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """Share of them, drawn from a generator seeded with `seed`."""
    seed: int = 0


class Status(Strict):
    """Answer with this status instead of working: 402, 500, 503 with `estimated_time`, and the like."""

    kind: Literal["status"]
    status: int = Field(ge=200, le=599)
    body: Any = None
    """JSON; text is sent as text/plain; None as an empty body."""
    headers: dict[str, str] = {}


class RateLimit(Strict):
    """429 with or without `Retry-After`."""

    kind: Literal["rate_limit"]
    retry_after: str | None = None
    """As it goes over the wire: seconds or an HTTP date."""
    body: Any = {"error": "Rate limit reached. Please log in or use a HF access token"}


class Delay(Strict):
    """Wait, then work as usual."""

    kind: Literal["delay"]
    delay_ms: int = Field(ge=0, le=3_600_000)


class Stall(Strict):
    """Take the call and never answer."""

    kind: Literal["stall"]


class Drip(Strict):
    """Work as usual and send the body a few bytes at a time."""

    kind: Literal["drip"]
    delay_ms: int = Field(ge=0, le=60_000)
    chunk_bytes: int = Field(default=1, ge=1)


class Cut(Strict):
    """Work as usual and close the connection within the body. The call is charged: the provider did the work."""

    kind: Literal["cut"]
    after_bytes: int = Field(ge=0)
    """Bytes of the body that still go out."""


class Garbage(Strict):
    """Answer 200 with random bytes under a JSON content type, without working."""

    kind: Literal["garbage"]
    size_bytes: int = Field(default=512, ge=0, le=64 * 1024 * 1024)
    content_type: str = "application/json"


class StreamError(Strict):
    """Put an error object into a 200 stream after some events, then end it. The tokens until then are charged."""

    kind: Literal["stream_error"]
    after_events: int = Field(default=1, ge=0)
    error: str = "Request failed during generation: out of memory"
    error_type: str = "generation"


Action = Annotated[Status | RateLimit | Delay | Stall | Drip | Cut | Garbage | StreamError, Field(discriminator="kind")]


class Profile(Strict):
    """One rule: when a call matches, this happens to it."""

    name: str = "fault"
    match: Match = Match()
    action: Action


@dataclass(slots=True)
class Armed:
    """A profile at work. `fired <= seen`; the dice roll once for each call that passes the other conditions."""

    profile: Profile
    seen: int = 0
    fired: int = 0
    dice: random.Random = field(default_factory=random.Random)

    def sees(self, *, model: str | None, path: str, headers: Mapping[str, str]) -> bool:
        """Count this call if it is one of the profile's, and say whether it is due to be spoilt."""
        match = self.profile.match
        if match.model is not None and match.model != model:
            return False
        if match.path is not None and not fnmatchcase(path, match.path):
            return False
        if match.header is not None and headers.get(match.header.name.lower()) != match.header.value:
            return False
        self.seen += 1
        if match.nth is not None and self.seen != match.nth:
            return False
        if match.first is not None and self.seen > match.first:
            return False
        return match.probability >= 1 or self.dice.random() < match.probability


class Faults:
    """The profiles in force, in the order they were added: the first that takes a call decides it."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def add(self, profile: Profile) -> None:
        """Put a profile in force, with fresh counters."""
        self._armed.append(Armed(profile, dice=random.Random(profile.match.seed)))  # noqa: S311, repeatable on purpose

    def clear(self) -> None:
        """Spoil nothing any more. Calls that are stalled stay stalled."""
        self._armed.clear()

    def pick(self, *, model: str | None, path: str, headers: Mapping[str, str]) -> Profile | None:
        """The profile that spoils this call, or None: the first that is due fires. All of them count the call."""
        due = [armed for armed in self._armed if armed.sees(model=model, path=path, headers=headers)]
        if not due:
            return None
        due[0].fired += 1
        return due[0].profile

    def listing(self) -> list[dict[str, Any]]:
        """Each profile with how many calls it has `seen` and how many it has `fired` on."""
        return [
            armed.profile.model_dump(mode="json") | {"seen": armed.seen, "fired": armed.fired} for armed in self._armed
        ]
