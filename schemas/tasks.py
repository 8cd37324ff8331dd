"""Hugging Face's tasks: their published schemas, and which modality's worker does them."""

import functools
from importlib import resources
from typing import Any

import jsonschema_rs

from schemas import codec, media

MODALITIES: dict[str, str] = {
    "audio-classification": "audio",
    "audio-to-audio": "audio",
    "automatic-speech-recognition": "audio",
    "chat-completion": "text",
    "depth-estimation": "image",
    "document-question-answering": "multimodal",
    "feature-extraction": "text",
    "fill-mask": "text",
    "image-classification": "image",
    "image-segmentation": "image",
    "image-text-to-image": "multimodal",
    "image-text-to-video": "multimodal",
    "image-to-image": "image",
    "image-to-text": "image",
    "image-to-video": "image",
    "object-detection": "image",
    "question-answering": "text",
    "sentence-similarity": "text",
    "summarization": "text",
    "table-question-answering": "text",
    "text-classification": "text",
    "text-generation": "text",
    "text-to-audio": "audio",
    "text-to-image": "image",
    "text-to-speech": "audio",
    "text-to-video": "image",
    "token-classification": "text",
    "translation": "text",
    "video-classification": "image",
    "visual-question-answering": "multimodal",
    "zero-shot-classification": "text",
    "zero-shot-image-classification": "image",
    "zero-shot-object-detection": "image",
}
"""Every task and the modality it belongs to; see `modality_of`. A task is served when the catalogue has a model for it.
Each has a published schema but audio-to-audio, whose schema is ours."""


def modality_of(task: str, task_input: Any) -> str:
    """Whose worker does a job: the task's, but `multimodal` for a chat that shows an image. Raises KeyError."""
    if task == "chat-completion" and media.found(media.INPUTS[task], task_input):
        return "multimodal"
    return MODALITIES[task]


_COMMON = ("/inference/schemas/common-definitions.json", "json-schema:///inference/schemas/common-definitions.json")
"""Where the published schemas say that their common definitions are, as it is written and as it is resolved."""


def input_fault(task: str, value: Any) -> str | None:
    """Why the task's published input schema refuses `value`: `path: reason`, at most 300 characters.

    None if it does not. The reason names types, lengths and the rule, never the value itself; the path shows names that
    the schema knows, others as `*`. Raises KeyError for a task that is not in `MODALITIES`.
    """
    return _fault(task, "input", media.published_form(task, "input", value))


def output_fault(task: str, value: Any) -> str | None:
    """Why the task's published output schema refuses `value`; None if it does not."""
    return _fault(task, "output", media.published_form(task, "output", value))


def _fault(task: str, part: str, value: Any) -> str | None:
    validator = _validator(task, part)
    if validator.is_valid(value):
        return None
    error = next(iter(validator.iter_errors(value)))
    known = _names(task, part)
    path = ".".join(str(step) if isinstance(step, int) or step in known else "*" for step in error.instance_path)
    rule = ".".join(str(part) for part in error.schema_path[-1:]) or "schema"
    size = f", size {len(error.instance)}" if isinstance(error.instance, str | list | dict) else ""
    detail = (
        error.message if rule == "required" else f"is a {_type_name(error.instance)}{size}; fails the rule {rule!r}"
    )
    return f"{path[:100] or '(whole)'}: {detail}"[:300]


def _type_name(value: Any) -> str:
    names = {
        str: "text",
        bool: "boolean",
        int: "number",
        float: "number",
        list: "list",
        dict: "object",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


@functools.cache
def _validator(task: str, part: str) -> jsonschema_rs.Draft6Validator:
    common = _nullable(_load("common-definitions.json"))
    registry = jsonschema_rs.Registry([(name, common) for name in _COMMON], draft=jsonschema_rs.Draft6)
    return jsonschema_rs.Draft6Validator(published(task, part), registry=registry)


@functools.cache
def _names(task: str, part: str) -> frozenset[str]:
    """Every property name in a task's schema and in the common definitions."""
    found: set[str] = set()
    todo = [published(task, part), _load("common-definitions.json")]
    while todo:
        node = todo.pop()
        properties = node.get("properties")
        if isinstance(properties, dict):
            found.update(properties)
        for child in node.values():
            todo.extend(item for item in (child if isinstance(child, list) else [child]) if isinstance(item, dict))
    return frozenset(found)


@functools.cache
def published(task: str, part: str) -> dict[str, Any]:
    """A task's schema as Hugging Face publishes it, with OpenAPI's `nullable` told in JSON Schema's words."""
    if task not in MODALITIES:
        raise KeyError(f"no published task of this name ({len(task)} characters)")
    schema: dict[str, Any] = _nullable(_load(f"{task}/{part}.json"))
    return schema


def _load(name: str) -> Any:
    return codec.decode(resources.files("schemas").joinpath("data", "tasks", *name.split("/")).read_bytes())


def _nullable(node: Any) -> Any:
    """`nullable: true` is OpenAPI's; a JSON Schema validator would refuse the null that Hugging Face accepts."""
    if isinstance(node, list):
        return [_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    mended = {key: _nullable(item) for key, item in node.items()}
    if mended.get("nullable") is not True:
        return mended
    del mended["nullable"]
    return {"anyOf": [mended, {"type": "null"}]}
