"""The hf-inference tasks that answer in one step: how each runs on its engine. Blocking; run on the seat's thread."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.hf import audio_tasks, embedding, image_tasks, wire
from sandbox.hf.catalogue import Model
from sandbox.hf.e5 import E5, fit
from sandbox.hf.engines import Engines
from schemas import codec

DEFAULT_TOP_K = 5
"""Labels of a text classification when `top_k` is not given: what hf-inference returns."""

LANGUAGES = 176

MOST_TEXTS = 256
"""In one call: a client batch, the sentences or the labels. text-embeddings-inference takes 32 by default."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One task: how it runs, and how many characters of work a request is. Answers JSON, or a `Product`."""

    run: Callable[[Engines, Model, dict[str, Any]], Any]
    """The first step, on the seat of the model's engine."""
    characters: Callable[[dict[str, Any]], int]
    then: tuple[str, Callable[[Engines, Model, dict[str, Any], Any], Any]] | None = None
    """A second step on another engine's seat: its name, and what it makes of the first step's answer."""


def feature_extraction(engines: Engines, model: Model, body: dict[str, Any]) -> Any:
    """One vector for a text, a list of vectors for a list, as recorded from hf-inference.

    Vectors have length one whatever `normalize` says, as the model's own last step makes them. A text over the
    model's length is refused (413) unless `truncate` is set.
    """
    inputs = body["inputs"]
    _few(1 if isinstance(inputs, str) else len(inputs))
    prompt = body.get("prompt_name") or "query"
    if prompt not in ("query", "passage"):
        raise wire.invalid("`prompt_name` must be one of `query`, `passage`")
    limit = model.context_length or 512
    keep_end = body.get("truncation_direction") == "left"
    texts = [
        _fitting(engines.e5, text, limit, truncate=bool(body.get("truncate")), keep_end=keep_end)
        for text in ([inputs] if isinstance(inputs, str) else inputs)
    ]
    vectors = engines.e5.embed(texts, prompt).tolist()
    return vectors[0] if isinstance(inputs, str) else vectors


def sentence_similarity(engines: Engines, model: Model, body: dict[str, Any]) -> Any:
    """`[float]`: the cosine of each sentence with the source."""
    inputs = body["inputs"]
    _few(len(inputs["sentences"]))
    vectors = engines.e5.embed([inputs["source_sentence"], *inputs["sentences"]])
    return embedding.similarity(vectors[0], vectors[1:])


def zero_shot_classification(engines: Engines, model: Model, body: dict[str, Any]) -> Any:
    """`[{label, score}]`, best first."""
    given = body["parameters"]
    labels = given["candidate_labels"]
    if not labels:
        raise wire.invalid("`parameters.candidate_labels` must have at least 1 label. Given: 0")
    _few(len(labels))
    several = bool(given.get("multi_label"))
    said = embedding.hypotheses(labels, given.get("hypothesis_template"), multi_label=several)
    vectors = engines.e5.embed([body["inputs"], *said])
    return embedding.zero_shot(vectors[0], vectors[1:], labels, multi_label=several)


def text_classification(engines: Engines, model: Model, body: dict[str, Any]) -> Any:
    """`[[{label, score}]]`, best first: nested once, as recorded from hf-inference.

    Raises 400 for a `function_to_apply` other than softmax: these models give shares, not logits.
    """
    given = body.get("parameters") or {}
    if given.get("function_to_apply") not in (None, "softmax"):
        raise wire.unsupported("function_to_apply", "parameters")
    top_k = given.get("top_k")
    if top_k is not None and top_k < 1:
        raise wire.invalid(f"`parameters.top_k` must be at least 1. Given: {top_k}")
    wanted = DEFAULT_TOP_K if top_k is None else min(top_k, LANGUAGES)
    if model.engine == "language":
        return [engines.language.classify(body["inputs"], wanted)]
    [text] = engines.e5.embed([body["inputs"]])
    return [embedding.sentiment(text, engines.e5.sentiment_centroids())[:wanted]]


def token_classification(engines: Engines, model: Model, body: dict[str, Any]) -> Any:
    """`[{entity_group, score, word, start, end}]`, or word by word if `aggregation_strategy` is `none`."""
    given = body.get("parameters") or {}
    unwanted = given.get("ignore_labels") or ()
    found = engines.spacy.find(body["inputs"], grouped=given.get("aggregation_strategy") != "none")
    return [row for row in found if row.get("entity_group", row.get("entity")) not in unwanted]


def default_task(model: Model, content: bytes) -> str:
    """The task of a call whose path names none: the one its body has the shape of, else the model's first."""
    first = [task for task in model.tasks if task != "chat-completion"]
    if len(first) == 1:
        return first[0]
    with suppress(codec.Undecodable):
        body = codec.decode(content)
        if not isinstance(body, dict):
            return first[0]
        inputs, given = body.get("inputs"), body.get("parameters")
        if isinstance(inputs, dict) and "source_sentence" in inputs and "sentence-similarity" in model.tasks:
            return "sentence-similarity"
        if isinstance(given, dict) and "candidate_labels" in given and "zero-shot-classification" in model.tasks:
            return "zero-shot-classification"
    return first[0]


def _fitting(engine: E5, text: str, limit: int, *, truncate: bool, keep_end: bool) -> str:
    if truncate:
        return fit(engine, text, limit, keep_end=keep_end)
    tokens = engine.tokens(text)
    if tokens > limit:
        raise wire.input_too_long(tokens, limit)
    return text


def _few(count: int) -> None:
    if count > MOST_TEXTS:
        raise wire.invalid(f"batch size {count} > maximum allowed batch size {MOST_TEXTS}")


def _length_of_inputs(body: dict[str, Any]) -> int:
    inputs = body["inputs"]
    return len(inputs) if isinstance(inputs, str) else sum(map(len, inputs))


def _length_of_sentences(body: dict[str, Any]) -> int:
    inputs = body["inputs"]
    return len(inputs["source_sentence"]) + sum(map(len, inputs["sentences"]))


def _no_text(_: dict[str, Any]) -> int:
    """What hf-inference tells of a file."""
    return -1


PIPELINES = {
    "feature-extraction": Pipeline(feature_extraction, _length_of_inputs),
    "sentence-similarity": Pipeline(sentence_similarity, _length_of_sentences),
    "zero-shot-classification": Pipeline(zero_shot_classification, _length_of_inputs),
    "text-classification": Pipeline(text_classification, _length_of_inputs),
    "token-classification": Pipeline(token_classification, _length_of_inputs),
    "automatic-speech-recognition": Pipeline(audio_tasks.automatic_speech_recognition, _no_text),
    "audio-classification": Pipeline(audio_tasks.audio_classification, _no_text),
    "audio-to-audio": Pipeline(audio_tasks.audio_to_audio, _no_text),
    "text-to-speech": Pipeline(audio_tasks.text_to_speech, _length_of_inputs),
    "image-to-text": Pipeline(image_tasks.image_to_text, _no_text),
    "image-classification": Pipeline(image_tasks.image_classification, _no_text),
    "document-question-answering": Pipeline(
        image_tasks.document_lines,
        lambda body: len(body["inputs"]["question"]),
        then=("e5", image_tasks.nearest_lines),
    ),
    "text-to-image": Pipeline(image_tasks.text_to_image, _length_of_inputs),
}
"""Every task but those of the chat model."""
