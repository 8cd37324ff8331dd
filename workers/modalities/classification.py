"""text-classification: a text, the model's own labels with scores."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities.reading import given, labelled


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    return Ask("text-classification", given(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Labels with scores. The wire nests them once (`[[...]]`), the published schema does not: both are read."""
    document = reply.document
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], list):
        document = document[0]
    size = text_bytes(ask.body["inputs"])
    return Answer(labelled(document, "(whole)"), reply.usage, {"input_tokens": tokens_in(size), "output_tokens": 0})
