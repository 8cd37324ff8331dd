"""image-text-to-image: an image, words about it, or both; a new image."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input, which has an image, a prompt, or both."""
    given = asking.parameters_of(job_input)
    adapted = asking.one_output(given)
    image = asking.payload(job_input["inputs"], "image") if job_input.get("inputs") is not None else None
    if not asking.prompts(given) and image is None:
        raise asking.refused("has neither inputs nor parameters.prompt; one of them is needed")
    return asking.asked("image-text-to-image", image, given, units=asking.of_drawing(given), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{image}`: bytes that are an image."""
    return made.one(ask, reply, "image")
