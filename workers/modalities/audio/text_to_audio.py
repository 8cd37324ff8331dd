"""text-to-audio: a text, the sound or the music that it describes."""

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
    return asking.asked("text-to-audio", words, given, units=asking.of_text(words), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{audio, sampling_rate?}`: bytes that are a sound, and its rate in hertz where its header tells it."""
    return made.one(ask, reply, "audio")


def shown(output: dict[str, Any]) -> dict[str, Any]:
    """With the rate that the published schema asks for, where the sound's header tells none."""
    return {"sampling_rate": 0, **output}
