"""image-to-image: an image changed into another."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input; one image."""
    image = asking.payload(job_input.get("inputs"), "image")
    given = asking.parameters_of(job_input)
    adapted = asking.one_output(given)
    asking.prompts(given)
    return asking.asked("image-to-image", image, given, units=asking.of_drawing(given), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{image}`: bytes that are an image."""
    return made.one(ask, reply, "image")
