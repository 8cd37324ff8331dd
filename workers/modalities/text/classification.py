"""text-classification: a text, the model's own labels with scores."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    asking.text(job_input.get("inputs"), "inputs")
    return asking.asked("text-classification", job_input["inputs"], asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Labels with scores. The wire nests them once (`[[...]]`), the published schema does not: both are read.

    A regression's score is no probability, so they are held to be some only if the job asked for a function.
    """
    output = reading.classes(reply.document, ask.body.get("parameters", {}), chances=False)
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])
