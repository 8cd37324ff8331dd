"""text-to-image: a text, an image of it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input; one image. Size, steps and guidance within limits."""
    asking.text(job_input.get("inputs"), "inputs", most=asking.MAX_PROMPT_CHARS)
    given = asking.parameters_of(job_input)
    adapted = asking.one_output(given)
    asking.prompts(given)
    return asking.asked("text-to-image", job_input["inputs"], given, units=asking.of_drawing(given), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{image}`: bytes that are an image, whatever was declared."""
    return made.one(ask, reply, "image")
