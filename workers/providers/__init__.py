"""Provider dialects: pairs of pure maps. A new one: a file, a line in `PROVIDERS`, rows in `test_providers.py`."""

from typing import Protocol

from schemas.assignment import Candidate
from workers.exchange import Ask, Call, Got, Next, Reply
from workers.providers.hf_inference import HfInference
from workers.providers.hf_router import HfRouter


class Dialect(Protocol):
    """How one family of doors is spoken to."""

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it can carry."""
        ...

    def request(self, ask: Ask, candidate: Candidate, headers: tuple[tuple[str, str], ...]) -> Call:
        """The request for `ask`; `headers` are those of every call (`workers.providers.common`).

        `candidate.provider_model` and `candidate.base_url` are set. Raises `ProviderError` (`request_refused`,
        `nothing_sent`) for what this provider cannot be asked, naming it.
        """
        ...

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """The reply in the task's own terms, or the call that leads on to it. Raises `ProviderError`."""
        ...


PROVIDERS: dict[str, Dialect] = {"hf-router": HfRouter(), "hf-inference": HfInference()}
"""Dialects by the name that a candidate carries."""
