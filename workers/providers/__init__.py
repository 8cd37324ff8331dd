"""Provider dialects: pairs of pure maps. A new provider: a row in `table`, its tasks in `schemas.providers`, and the
oracle or rows in `test_providers.py` that show its requests and answers."""

from typing import Protocol

from schemas.assignment import Candidate
from workers.exchange import Ask, Call, Got, Next, Reply
from workers.providers.doors import DOORS
from workers.providers.table import ROUTED


class Dialect(Protocol):
    """How one family of doors is spoken to."""

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it can carry."""
        ...

    def request(self, ask: Ask, candidate: Candidate, headers: tuple[tuple[str, str], ...]) -> Call:
        """The request for `ask`; `headers` are those of every call (`workers.providers.common`).

        `candidate.provider_model` and `candidate.base_url` are set. Raises `ProviderError` (`request_refused`,
        `nothing_sent`) for what this provider cannot be asked, naming it. Encoding a payload takes 1 ms a megabyte.
        """
        ...

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """The reply in the task's own terms, or the call that leads on to it. Raises `ProviderError`, and nothing else,
        whatever was answered.

        The calls of a `Next` that are not public, `cancel` among them, go to the origin that was asked first and carry
        its credential; they have the headers that the provider itself wants, and the caller adds those that say who
        pays and whose session it is.
        """
        ...


PROVIDERS: dict[str, Dialect] = {**DOORS, **{spoken.name: spoken for spoken in ROUTED}}
"""Dialects by the name that a candidate carries."""
