"""audio-to-audio: a sound changed into others: cleaned, separated."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    sound = asking.payload(job_input.get("inputs"), "audio")
    return asking.asked("audio-to-audio", sound, asking.parameters_of(job_input), units=asking.of_sound(sound))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{label, blob, content-type}]`; a sound alone is one without a name. The media type is what the bytes are."""
    document = reply.document
    if not isinstance(document, list | dict):
        document = [{"label": "", "blob": document}]
    output = [_sound(item, at) for at, item in enumerate(reading.rows(document, "sounds"))]
    return reading.answer_of(ask, reply, output)


def _sound(item: dict[str, Any], at: int) -> dict[str, Any]:
    label = reading.words(item.get("label", ""), f"{at}.label")
    blob = made.made(item.get("blob"), "audio", f"{at}.blob")
    return {**item, "label": label, "blob": blob, "content-type": blob.media_type}
