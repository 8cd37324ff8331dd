"""video-classification: a video, the model's own labels with scores."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    shown = asking.payload(job_input.get("inputs"), "video")
    return asking.asked("video-classification", shown, asking.parameters_of(job_input), units=asking.of_video(shown))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Labels with scores, which are probabilities unless the job asked for `function_to_apply: none`."""
    output = reading.classes(reply.document, ask.body.get("parameters", {}), chances=True)
    return reading.answer_of(ask, reply, output)
