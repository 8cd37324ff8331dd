"""image-segmentation: an image, which of its pixels belong to what."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    image = asking.payload(job_input.get("inputs"), "image")
    return asking.asked("image-segmentation", image, asking.parameters_of(job_input), units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{label, mask, score?}]`, which may be none; every mask is as large as the image."""
    segments = reading.rows(reply.document, "segments", least=0)
    seen = made.sizes(ask.body["inputs"])
    return reading.answer_of(ask, reply, [_segment(item, at, seen) for at, item in enumerate(segments)])


def _segment(item: dict[str, Any], at: int, seen: list[tuple[int, int]]) -> dict[str, Any]:
    label = reading.name(item.get("label"), f"{at}.label")
    if "score" in item:
        reading.probability(item["score"], f"{at}.score")
    mask = made.made(item.get("mask"), "image", f"{at}.mask")
    if seen and (mask.width, mask.height) not in seen:
        raise reading.bad(f"{at}.mask: {mask.width} x {mask.height} pixels; the image has {seen[0][0]} x {seen[0][1]}")
    return {**item, "label": label, "mask": mask}
