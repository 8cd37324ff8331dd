"""Tasks: each a pair of pure maps. A new one: a file, a line in `TASKS`, rows in `test_modalities.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.assignment import Candidate
from schemas.tasks import output_fault
from workers.exchange import Answer, Ask, Reply
from workers.modalities import chat, classification, embedding, generation, similarity, zero_shot
from workers.modalities.reading import bad


@dataclass(frozen=True, slots=True)
class Task:
    """`ask(input, parameters, candidate)`: what to send. `answer(ask, reply)`: what came back.

    `parameters` are the assignment's, under task-neutral names (max_tokens, temperature, top_p); they win over the
    input's.
    `answer` raises `ProviderError` with `invalid_output` for a reply that is no answer to what was asked.
    """

    ask: Callable[[Mapping[str, Any], Mapping[str, Any], Candidate], Ask]
    answer: Callable[[Ask, Reply], Answer]


TASKS: dict[str, Task] = {
    "chat-completion": Task(chat.ask, chat.answer),
    "text-generation": Task(generation.ask, generation.answer),
    "feature-extraction": Task(embedding.ask, embedding.answer),
    "sentence-similarity": Task(similarity.ask, similarity.answer),
    "zero-shot-classification": Task(zero_shot.ask, zero_shot.answer),
    "text-classification": Task(classification.ask, classification.answer),
}
"""Tasks that the text worker does."""


def answered(ask: Ask, reply: Reply) -> Answer:
    """The answer in `reply`, held against the task's published output schema.

    Raises `ProviderError` with `invalid_output`; its message names places and types, never values.
    """
    answer = TASKS[ask.task].answer(ask, reply)
    fault = output_fault(ask.task, _as_published(ask.task, answer.output))
    if fault is not None:
        raise bad(f"not the task's published output: {fault}")
    return answer


def _as_published(task: str, output: Any) -> Any:
    """The published chat schema allows text or tool calls and not both; models do say something before they call.

    Hugging Face's own client has both members, so both are kept; the schema is shown the calls alone.
    """
    if task != "chat-completion" or not any("tool_calls" in choice["message"] for choice in output["choices"]):
        return output
    choices = []
    for choice in output["choices"]:
        message = choice["message"]
        if "tool_calls" in message and "content" in message:
            message = {name: value for name, value in message.items() if name != "content"}
        choices.append({**choice, "message": message})
    return {**output, "choices": choices}
