"""object-detection: an image, what is on it and where."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    image = asking.payload(job_input.get("inputs"), "image")
    return asking.asked("object-detection", image, asking.parameters_of(job_input), units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{label, score, box}]`, which may be none; every box lies within the image."""
    output = found(reply.document, made.sizes(ask.body["inputs"]))
    return reading.answer_of(ask, reply, output)


def found(document: Any, seen: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Labelled boxes within an image of one of the sizes that were `seen`."""
    objects = reading.rows(document, "objects", least=0)
    output = []
    for at, item in enumerate(objects):
        label = reading.name(item.get("label"), f"{at}.label")
        reading.probability(item.get("score"), f"{at}.score")
        output.append({**item, "label": label, "box": made.boxed(item.get("box"), seen, f"{at}.box")})
    return output
