"""zero-shot-image-classification: an image and labels of the job's own, a score each."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input, each label once."""
    image = asking.payload(job_input.get("inputs"), "image")
    given = asking.parameters_of(job_input)
    given["candidate_labels"] = asking.labels(given)
    return asking.asked("zero-shot-image-classification", image, given, units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Exactly the candidate labels, each with a probability.

    CLIP's share one; those of SigLIP, which weighs each label by itself, may come to more.
    """
    labels = ask.body["parameters"]["candidate_labels"]
    return reading.answer_of(ask, reply, reading.chosen(reply.document, labels, shared=False))
