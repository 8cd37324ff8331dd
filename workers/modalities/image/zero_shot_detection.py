"""zero-shot-object-detection: an image and labels of the job's own, where each of them is."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made, reading
from workers.modalities.image.detection import found


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input, each label once."""
    image = asking.payload(job_input.get("inputs"), "image")
    given = asking.parameters_of(job_input)
    given["candidate_labels"] = asking.labels(given)
    return asking.asked("zero-shot-object-detection", image, given, units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{label, score, box}]`, which may be none: labels that were asked for, boxes within the image."""
    output = found(reply.document, made.sizes(ask.body["inputs"]))
    labels = set(ask.body["parameters"]["candidate_labels"])
    strangers = sum(item["label"] not in labels for item in output)
    if strangers:
        raise reading.bad(f"{strangers} objects have labels that were not asked for")
    return reading.answer_of(ask, reply, output)
