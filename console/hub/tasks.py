"""The forms by which a page asks a model: for each task the fields that a person fills, and its input. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from console.hub.small_media import SMALL, WORDS
from schemas import codec
from schemas.media import INPUTS, is_ref
from schemas.tasks import MODALITIES, input_fault

MAX_INPUT_CHARS = 20_000
"""Of one field: a form is small; what is larger is published as a file."""
MAX_TOKENS = 128
FILE = "file"
"""The name of a form's field for an address, and of the file in its place."""
FILE_PART = "chosen"
"""The name of the part of a form that is the file."""


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
    accept: str = ""
    """Of a field for a file: which types a browser offers. Such a field is an address where no file is chosen."""

    @property
    def is_file(self) -> bool:
        """Whether a file may be chosen."""
        return bool(self.accept)


@dataclass(frozen=True, slots=True)
class Form:
    """How one task is asked."""

    task: str
    fields: tuple[Field, ...]
    make: Callable[[Mapping[str, Any]], Any]

    @property
    def has_file(self) -> bool:
        """Whether a file may be chosen for it."""
        return any(field.is_file for field in self.fields)


@dataclass(frozen=True, slots=True)
class Template:
    """A job that one click publishes."""

    name: str
    task: str
    title: str
    values: Mapping[str, str]


_TEXT = Field("text", "Text", "Novix runs jobs from Kafka.", 3)


def _inputs(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": values["text"]}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _chat(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": values["text"]}], "max_tokens": MAX_TOKENS}


def _plain(task: str, example: str, label: str = "Text") -> Form:
    return Form(task, (Field("text", label, example, 3),), _inputs)


def _file(task: str) -> Field:
    kind = INPUTS[task][0].kind
    named = {"image": "Picture", "audio": "Sound", "video": "Video"}[kind]
    sample = f"; neither: {WORDS[kind]} is sent" if kind in SMALL else ""
    return Field(FILE, named, SMALL.get(kind, ""), hint=f"a file, or an https address{sample}", accept=f"{kind}/*")


def _given(task: str, *others: Field, make: Callable[[Mapping[str, Any]], Any] | None = None) -> Form:
    """A form with a file in it."""
    return Form(task, (_file(task), *others), make or (lambda values: {"inputs": values[FILE]}))


def _asked_of_it(task: str, example: str) -> Form:
    return _given(task, Field("question", "Question", example),
                  make=lambda values: {"inputs": {"image": values[FILE], "question": values["question"]}})  # fmt: skip


def _prompted(task: str, example: str) -> Form:
    return _given(task, Field("prompt", "What shall become of it", example),
                  make=lambda values: {"inputs": values[FILE], "parameters": {"prompt": values["prompt"]}})  # fmt: skip


def _labelled(task: str) -> Form:
    return _given(
        task, Field("labels", "Labels", "field, house, dog", hint="separated by commas"),
        make=lambda values: {"inputs": values[FILE], "parameters": {"candidate_labels": _words(values["labels"])}},
    )  # fmt: skip


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
        Form("fill-mask", (Field("text", "Text", "Paris is the [MASK] of France.", 3,
                                 "with the model's own mask: [MASK], or <mask> for RoBERTa's kin"),), _inputs),
        _plain("feature-extraction", "A sentence that becomes numbers."),
        _plain("summarization", "Kafka keeps records in topics. Each topic has partitions, and each record an offset."),
        _plain("translation", "The house is small."),
        _plain("text-to-image", "A red bicycle in front of a blue door", "What the picture shows"),
        _plain("text-to-video", "Waves on a beach at dusk", "What the video shows"),
        _plain("text-to-speech", "Good morning.", "Text to be read aloud"),
        _plain("text-to-audio", "Rain on a tin roof", "What is heard"),
        *(
            _given(task)
            for task in ("audio-classification", "audio-to-audio", "automatic-speech-recognition", "depth-estimation",
                         "image-classification", "image-segmentation", "image-to-text", "object-detection",
                         "video-classification")
        ),
        _asked_of_it("visual-question-answering", "What colour is the sky?"),
        _asked_of_it("document-question-answering", "What is the total?"),
        _prompted("image-to-image", "The same in winter"),
        _prompted("image-text-to-image", "The same in winter"),
        _prompted("image-to-video", "Wind moves the grass"),
        _prompted("image-text-to-video", "Wind moves the grass"),
        _labelled("zero-shot-image-classification"),
        _labelled("zero-shot-object-detection"),
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
EXAMPLES = {
    "table-question-answering": '{"inputs": {"table": {"City": ["Oslo", "Rome"], "People": ["709,000", "2,755,000"]}, '
    '"question": "How many people live in Oslo?"}}',
}
"""Inputs of tasks whose form is their whole input."""
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
    example = EXAMPLES.get(task, '{"inputs": ""}')
    hint = "as the task's published schema has it"
    return Form(task, (Field("json", "Input, as JSON", example, 4, hint),), _json)


def input_of(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The input that a filled form makes. A field for a file has its payload: an address, or a reference; where it is
    empty, a small sample stands for it. Raises `BadForm`."""
    form = form_of(task)
    if form is None:
        raise BadForm(f"task {task[:64]!r} is none that Novix knows: there are {len(MODALITIES)}, see docs/tasks.md")
    filled = dict(values)
    for field in form.fields:
        if field.is_file:
            filled[field.name] = _payload(field, values.get(field.name) or field.example)
        elif not 1 <= (size := len(values.get(field.name, ""))) <= MAX_INPUT_CHARS:
            raise BadForm(f"{field.label} has {size:,} characters; it may have 1 to {MAX_INPUT_CHARS:,}")
    made = form.make(filled)
    if not isinstance(made, dict):
        raise BadForm(f"Input is a {type(made).__name__}; it must be a JSON object")
    if fault := input_fault(task, made):
        raise BadForm(f"input.{fault}")
    return made


def _payload(field: Field, given: Any) -> Any:
    if is_ref(given) or str(given).startswith(("https://", "data:")):
        return given
    if not given:
        raise BadForm(f"{field.label}: choose a file, or give its https address")
    raise BadForm(f"{field.label}: {len(str(given)):,} characters that are no https address")


def _json(values: Mapping[str, Any]) -> Any:
    try:
        return codec.decode(values["json"].encode("utf-8", "replace"))
    except codec.Undecodable as error:
        raise BadForm(f"Input is no JSON: {error}") from None
