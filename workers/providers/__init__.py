"""Provider dialects: pairs of pure maps. A new one: a file, a line in `PROVIDERS`, rows in `test_providers.py`."""

from collections.abc import Mapping
from typing import Any, Protocol

from schemas.assignment import Candidate
from workers.exchange import Ask, Call, Reply
from workers.providers.hf_inference import HfInference
from workers.providers.hf_router import HfRouter


class Dialect(Protocol):
    """How one family of doors is spoken to."""

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it can carry."""
        ...

    def request(self, ask: Ask, candidate: Candidate, headers: tuple[tuple[str, str], ...]) -> Call:
        """The request for `ask`; `headers` are those of every call (`workers.providers.common`)."""
        ...

    def read(self, ask: Ask, document: Any, headers: Mapping[str, str]) -> Reply:
        """The reply in the task's own terms; a stream comes put together. `headers` have lower-case names."""
        ...


PROVIDERS: dict[str, Dialect] = {"hf-router": HfRouter(), "hf-inference": HfInference()}
"""Dialects by the name that a candidate carries."""
