"""text-to-video: a text, a video of it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input; one video. Frames, steps and guidance within limits."""
    asking.text(job_input.get("inputs"), "inputs", most=asking.MAX_PROMPT_CHARS)
    given = asking.parameters_of(job_input)
    adapted = asking.one_output(given)
    asking.prompts(given)
    return asking.asked("text-to-video", job_input["inputs"], given, units=asking.of_filming(given), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{video}`: bytes that are a video."""
    return made.one(ask, reply, "video")
