"""text-to-speech: a text, spoken."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input; one sound."""
    words = asking.text(job_input.get("inputs"), "inputs", most=asking.MAX_SPOKEN_CHARS)
    given = asking.parameters_of(job_input)
    adapted = {**asking.one_output(given), **asking.generation(given)}
    return asking.asked("text-to-speech", words, given, units=asking.of_text(words), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{audio, sampling_rate?}`: bytes that are a sound, and its rate in hertz where its header tells it."""
    return made.one(ask, reply, "audio")
