"""What a task is, and what puts a stream of its answer together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.assignment import Candidate
from schemas.tasks import MODALITIES
from workers.exchange import Answer, Ask, Reply


class Assembler(Protocol):
    """The events of one streamed answer so far. What it gives does not depend on where the bytes were cut."""

    emitted: bool
    """Something of the output has come, so it has been paid."""
    done: bool
    """The stream has said that nothing follows."""
    kept_bytes: int
    """Of memory, about: what is kept of the answer so far."""

    def feed(self, data: bytes) -> None:
        """Take the data of one event. Raises `ProviderError` for an error that the stream carries, and for garbage."""
        ...

    @property
    def whole(self) -> bool:
        """The answer has told its end: nothing of it is missing."""
        ...

    def pieces(self) -> list[str]:
        """The text that was added to the answer since the last call."""
        ...

    def completion(self) -> dict[str, Any]:
        """The object that the same call gives in one piece. Only for a stream that is `whole`."""
        ...


class Maps(Protocol):
    """A task's file: two pure maps."""

    @property
    def ask(self) -> Callable[[Mapping[str, Any], Mapping[str, Any], Candidate], Ask]: ...

    @property
    def answer(self) -> Callable[[Ask, Reply], Answer]: ...


def _same(output: Any) -> Any:
    return output


@dataclass(frozen=True, slots=True)
class Task:
    """`ask(input, parameters, candidate)`: what to send. `answer(ask, reply)`: what came back.

    `parameters` are the assignment's, under task-neutral names (max_tokens, temperature, top_p); they win over the
    input's. `ask` raises `ProviderError` (`invalid_input`, `invalid_media`; `nothing_sent`) for an input that no
    provider can be asked with. `answer` raises it (`invalid_output`) for a reply that is no answer to what was asked.
    """

    ask: Callable[[Mapping[str, Any], Mapping[str, Any], Candidate], Ask]
    answer: Callable[[Ask, Reply], Answer]
    units: tuple[str, ...]
    """What it is charged by (`schemas.units`), the most usual first."""
    modality: str
    assembler: Callable[[], Assembler] | None = None
    """Puts a streamed answer together; None: the task does not stream."""
    shown: Callable[[Any], Any] = _same
    """The output as its published schema is shown it, where what models answer is sound and the schema is not."""

    @property
    def streams(self) -> bool:
        """Whether its answer may come in pieces."""
        return self.assembler is not None


def task(
    name: str,
    maps: Maps,
    *units: str,
    assembler: Callable[[], Assembler] | None = None,
    shown: Callable[[Any], Any] = _same,
) -> tuple[str, Task]:
    """One line of the registry. Raises KeyError for a name that `schemas.tasks.MODALITIES` has not."""
    return name, Task(maps.ask, maps.answer, units, MODALITIES[name], assembler, shown)
