"""The forms by which a page asks a model: for each task the fields that a person fills, and its input. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas import codec
from schemas.tasks import MODALITIES, input_fault

MAX_INPUT_CHARS = 20_000
"""Of one field: a form is small; what is larger is published as a file."""
MAX_TOKENS = 128


class BadForm(ValueError):
    """A field that makes no input; the message names the field, its size and the limit."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    example: str
    lines: int = 1
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """How one task is asked."""

    task: str
    fields: tuple[Field, ...]
    make: Callable[[Mapping[str, str]], Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A job that one click publishes."""

    name: str
    task: str
    title: str
    values: Mapping[str, str]


_TEXT = Field("text", "Text", "Novix runs jobs from Kafka.", 3)


def _inputs(values: Mapping[str, str]) -> dict[str, Any]:
    return {"inputs": values["text"]}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _chat(values: Mapping[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": values["text"]}], "max_tokens": MAX_TOKENS}


def _plain(task: str, example: str, label: str = "Text") -> Form:
    return Form(task, (Field("text", label, example, 3),), _inputs)


FORMS: dict[str, Form] = {
    form.task: form
    for form in (
        Form("chat-completion", (Field("text", "Message", "What do bees make?", 3),), _chat),
        Form(
            "text-generation",
            (Field("text", "Text to go on with", "Once upon a time", 3),),
            lambda values: {**_inputs(values), "parameters": {"max_new_tokens": MAX_TOKENS}},
        ),
        _plain("text-classification", "I loved this film: funny, warm and never dull."),
        _plain("token-classification", "Ada Lovelace was born in London and wrote to Charles Babbage."),
        _plain("fill-mask", "Paris is the [MASK] of France."),
        _plain("feature-extraction", "A sentence that becomes numbers."),
        _plain("summarization", "Kafka keeps records in topics. Each topic has partitions, and each record an offset."),
        _plain("translation", "The house is small."),
        _plain("text-to-image", "A red bicycle in front of a blue door", "What the picture shows"),
        _plain("text-to-video", "Waves on a beach at dusk", "What the video shows"),
        _plain("text-to-speech", "Good morning.", "Text to be read aloud"),
        _plain("text-to-audio", "Rain on a tin roof", "What is heard"),
        Form(
            "question-answering",
            (Field("question", "Question", "Where do bees live?"),
             Field("context", "Text with the answer", "Bees live in hives, and make honey.", 3)),
            lambda values: {"inputs": {"question": values["question"], "context": values["context"]}},
        ),
        Form(
            "zero-shot-classification",
            (Field("text", "Text", "The match ended two to one.", 3),
             Field("labels", "Labels", "sport, politics, science", hint="separated by commas")),
            lambda values: {**_inputs(values), "parameters": {"candidate_labels": _words(values["labels"])}},
        ),
        Form(
            "sentence-similarity",
            (Field("text", "Sentence", "A dog runs in the park."),
             Field("others", "Sentences to compare it with", "A puppy plays outside.\nShares fell today.", 3,
                   "one a line")),
            lambda values: {"inputs": {"source_sentence": values["text"], "sentences": [
                line.strip() for line in values["others"].splitlines() if line.strip()]}},
        ),
    )
}  # fmt: skip
TEMPLATES = (
    Template("text-classification", "text-classification", "Text classification",
             {"text": "The parcel came two weeks late and broken."}),
    Template("sentiment", "text-classification", "Sentiment",
             {"text": "I loved this film: funny, warm and never dull."}),
    Template("ner", "token-classification", "Named entities (NER)",
             {"text": "Ada Lovelace was born in London and wrote to Charles Babbage."}),
)  # fmt: skip


def form_of(task: str) -> Form | None:
    """The form of a task: its own, else its whole input as JSON; None for a task that Novix does not know."""
    if task in FORMS:
        return FORMS[task]
    if task not in MODALITIES:
        return None
    example = '{"inputs": "https://example.org/file"}'
    hint = "the task's published input; a payload is base64, a data: address or an https address"
    return Form(task, (Field("json", "Input, as JSON", example, 4, hint),), _json)


def input_of(task: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The input that a filled form makes. Raises `BadForm`."""
    form = form_of(task)
    if form is None:
        raise BadForm(f"task {task[:64]!r} is none that Novix knows: there are {len(MODALITIES)}, see docs/tasks.md")
    for field in form.fields:
        size = len(values.get(field.name, ""))
        if not 1 <= size <= MAX_INPUT_CHARS:
            raise BadForm(f"{field.label} has {size:,} characters; it may have 1 to {MAX_INPUT_CHARS:,}")
    made = form.make(values)
    if not isinstance(made, dict):
        raise BadForm(f"Input is a {type(made).__name__}; it must be a JSON object")
    if fault := input_fault(task, made):
        raise BadForm(f"input.{fault}")
    return made


def _json(values: Mapping[str, str]) -> Any:
    try:
        return codec.decode(values["json"].encode("utf-8", "replace"))
    except codec.Undecodable as error:
        raise BadForm(f"Input is no JSON: {error}") from None
