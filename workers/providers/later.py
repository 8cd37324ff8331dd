"""Answers that are not there yet: queues to look into again, addresses to fetch. Rebuilt on the origin that was asked.

An address inside an answer is a stranger's word. Of one that is called with our credential only the path is taken; the
call goes where the first one went, as the official client does it. A host that is neither that one nor the provider's
own is refused. What is fetched from elsewhere is fetched without a credential (`Call.public`).
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from schemas.values import frozen
from workers.exchange import FIRST, Binary, Call, Got, Next, Reply
from workers.providers.common import FETCH, Headers, bad, from_base64, usage_of

FAR = (("accept-encoding", "identity"), ("user-agent", "novix"))
_PATH = re.compile(r"(/[A-Za-z0-9._~:@+-]{1,200}){1,20}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
MAX_URL_CHARS = 8_192
"""Of an address in an answer: those with a signature in them are long."""


@frozen
class Site:
    """Where a provider's paths begin, and what each call below them carries."""

    name: str
    root: str
    """`https://router.huggingface.co/fal-ai`, or the provider's own host."""
    query: str = ""
    """With its question mark: what every call of a queue has to carry on its way through the router."""
    headers: Headers = ()
    hosts: frozenset[str] = frozenset()
    """The provider's own: addresses in its answers may name them."""

    def call(self, path: str, *, method: str = "GET") -> Call:
        """A call below the root, with our credential. Who pays and whose session: the caller adds that."""
        return Call(method, f"{self.root}{path}{self.query}", (*FAR, ("accept", "application/json"), *self.headers))

    def path_of(self, address: Any, what: str) -> str:
        """The path in an address that an answer named. Raises `invalid_output` for one that must not be called."""
        if not isinstance(address, str) or not 0 < len(address) <= MAX_URL_CHARS:
            raise bad(f"the answer has no {what}")
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").lower()
        except ValueError:
            raise bad(f"the {what} of {len(address)} characters is no address") from None
        if host and host != urlsplit(self.root).hostname and host not in self.hosts:
            raise bad(f"the {what} is at a host that is neither {self.name}'s nor the one that was called")
        if not _PATH.fullmatch(parts.path) or any(step in (".", "..") for step in parts.path.split("/")):
            raise bad(f"the {what} has a path of {len(parts.path)} characters that is not called")
        return parts.path


def id_in(value: Any, what: str) -> str:
    """A job's id as it can stand in a path. Raises `invalid_output`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _ID.fullmatch(value) or value in (".", ".."):
        raise bad(f"the answer has no {what}")
    return value


def payload(got: Got, address: Any, what: str) -> Reply | Next:
    """The bytes at `address`: those of a `data:` URI at once, others by a call of their own."""
    if not isinstance(address, str) or not address:
        raise bad(f"the answer of {len(got.body)} bytes has no {what}")
    if address.startswith("data:"):
        return Reply(from_base64(address), usage_of(got))
    if not address.startswith(("https://", "http://")) or not address.isprintable() or len(address) > MAX_URL_CHARS:
        raise bad(f"the {what} of {len(address)} characters is no address that is fetched")
    return Next(Call("GET", address, FAR, public=True), FETCH, memo={"usage": usage_of(got)})


def fetched(got: Got) -> Binary:
    """What lay at an address. Raises `invalid_output` for nothing."""
    if not got.body:
        raise bad("the address that the answer named has nothing")
    return Binary(bytes(got.body), got.media_type)


Reader = Callable[[Any, Site, Got], Reply | Next]
"""Reads the answers to one task's calls. The first argument is the `Ask`."""


def is_first(got: Got) -> bool:
    """Whether it answers the call that `Dialect.request` made."""
    return got.stage == FIRST
