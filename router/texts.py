"""The words of a task's input: what a scorer reads and an estimate counts. Total over any JSON."""

from collections.abc import Iterator
from typing import Any

from schemas import media


def messages(task_input: Any) -> list[dict[str, Any]]:
    """A chat input's messages; empty where there are none."""
    found = task_input.get("messages") if isinstance(task_input, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def content(message: dict[str, Any]) -> str:
    """The text of one message, its chunks joined by line breaks."""
    value = message.get("content")
    if isinstance(value, str):
        return value
    chunks = value if isinstance(value, list) else []
    told = (chunk.get("text") for chunk in chunks if isinstance(chunk, dict))
    return "\n".join(text for text in told if isinstance(text, str))


def has_image(task_input: Any) -> bool:
    """Whether a chat message carries an image: its tokens cannot be told from its bytes."""
    for message in messages(task_input):
        value = message.get("content")
        if isinstance(value, list) and any(isinstance(chunk, dict) and "image_url" in chunk for chunk in value):
            return True
    return False


def parameters(task_input: Any) -> dict[str, Any]:
    """What stands under `parameters`; empty where nothing does."""
    found = task_input.get("parameters") if isinstance(task_input, dict) else None
    return found if isinstance(found, dict) else {}


def strings(value: Any) -> Iterator[str]:
    """Every text inside `value`, keys left out, in document order. Iterative: depth costs no stack."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            todo.extend(reversed(item))


def without_payloads(task: str, task_input: Any) -> Any:
    """The input with nothing where its images, sounds and videos stand: base64 is no text."""
    places = media.INPUTS.get(task, ())
    return media.replaced(places, task_input, lambda _, __: "") if places else task_input


def prompt(task: str, task_input: Any) -> str:
    """What the model is asked: the messages of a chat, else the texts under `inputs`, payloads left out."""
    if task == "chat-completion":
        return "\n".join(content(message) for message in messages(task_input))
    if isinstance(task_input, dict):
        return "\n".join(strings(without_payloads(task, task_input).get("inputs")))
    return ""
