"""depth-estimation: an image, how far away each of its pixels is."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, made, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    image = asking.payload(job_input.get("inputs"), "image")
    return asking.asked("depth-estimation", image, asking.parameters_of(job_input), units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{depth, predicted_depth?}`: the depth as an image, and the numbers where the model gives them.

    An image alone is the depth; numbers alone are an answer as well.
    """
    document = reading.single(reply.document)
    if not isinstance(document, dict):
        return reading.answer_of(ask, reply, made.alone(document, "depth", "image"))
    output = reading.given(document)
    if "depth" in output:
        output["depth"] = made.made(output["depth"], "image", "depth")
    if "predicted_depth" in output:
        _numbers(output["predicted_depth"], 0)
    elif "depth" not in output:
        raise reading.bad("has neither depth nor predicted_depth")
    return reading.answer_of(ask, reply, output)


def _numbers(value: Any, rank: int) -> None:
    """A tensor: lists of lists of finite numbers. Four deep is a batch of one with one channel."""
    if not isinstance(value, list) or not value:
        raise reading.bad(f"predicted_depth: is {reading.kind_of(value)}; a tensor is needed")
    for item in value:
        if isinstance(item, list) and rank < 3:
            _numbers(item, rank + 1)
        else:
            reading.number(item, "predicted_depth")
