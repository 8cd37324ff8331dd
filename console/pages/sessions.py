"""Who is at the door of the pages: session cookies, form tokens, and how often one may try a token. Pure.

A session is a random name in a cookie, signed with HMAC-SHA256 (RFC 2104) under a key that is derived from the
console's token; so the cookie is not the token, outlives a restart of the console, and dies when the token changes.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

LEAST_TOKEN_CHARS = 16
SESSION_S = 12 * 3_600
"""From the last page that was asked for after half of it had passed."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
MOST_ADDRESSES = 1_000
"""Of those that failed last; 100 bytes each."""

Kind = Literal["known", "guest", "local"]
KINDS: dict[str, Kind] = {"known": "known", "guest": "guest", "local": "local"}


@dataclass(frozen=True, slots=True)
class Session:
    """One browser."""

    name: str
    kind: Kind
    """`known`: it has shown the token. `guest`: it may log in and nothing else. `local`: no token is wanted."""
    expires: int
    """Seconds since 1970."""
    form_token: str
    """What each form of its pages carries: another site can make the browser send the cookie, but cannot read this."""

    @property
    def known(self) -> bool:
        """Whether the pages are shown to it."""
        return self.kind != "guest"


_here: ContextVar[Session | None] = ContextVar("session", default=None)


def session() -> Session | None:
    """The session of the request that is being answered; None outside of one. Templates ask for it."""
    return _here.get()


@contextmanager
def serving(one: Session) -> Iterator[None]:
    """A request of this session is answered within the block."""
    mark = _here.set(one)
    try:
        yield
    finally:
        _here.reset(mark)


class Seal:
    """Makes sessions and knows its own again."""

    def __init__(self, secret: bytes) -> None:
        self._cookie = hmac.digest(secret, b"novix console: cookie", "sha256")
        self._form = hmac.digest(secret, b"novix console: form", "sha256")

    def session(self, name: str, kind: Kind, now: float) -> Session:
        """A session that begins, or goes on, now."""
        return self._made(name, kind, int(now) + SESSION_S)

    def cookie(self, session: Session) -> str:
        """What stands in its cookie."""
        told = f"{session.kind}.{session.name}.{session.expires}"
        return f"{told}.{_hex(self._cookie, told)}"

    def read(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie; None if it is not one of ours, or over."""
        told, _, signature = cookie.rpartition(".")
        if not signature.isascii() or not hmac.compare_digest(signature, _hex(self._cookie, told)):
            return None
        kind, name, expires = told.split(".")
        if now >= int(expires):
            return None
        return self._made(name, KINDS[kind], int(expires))

    def _made(self, name: str, kind: Kind, expires: int) -> Session:
        return Session(name, kind, expires, _hex(self._form, f"{kind}.{name}"))


def is_due(session: Session, now: float) -> bool:
    """Whether its cookie is to be renewed: half of its time has passed."""
    return session.expires - now < SESSION_S / 2


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of either."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode(errors="replace")).digest(), hashlib.sha256(wanted.encode()).digest()
    )


class Tries:
    """Failed tries by address: after each the next is heard only `FIRST_WAIT_S` later, twice as long each time, at most
    `LONGEST_WAIT_S`. A good token clears its address; others wait for nobody."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """How long until the address is heard again; 0: now."""
        count, last = self._failed.get(address, (0, now))
        return (
            0.0 if not count else max(0.0, last + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(count - 1, 20)) - now)
        )

    def failed(self, address: str, now: float) -> None:
        """A wrong token came from there."""
        count, _ = self._failed.pop(address, (0, 0.0))
        self._failed[address] = count + 1, now
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """The right one did."""
        self._failed.pop(address, None)


def _hex(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(errors="replace"), "sha256").hexdigest()
