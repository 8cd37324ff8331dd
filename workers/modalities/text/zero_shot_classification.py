"""zero-shot-classification: a text and labels of the job's own, a score each."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input, each label once."""
    asking.text(job_input.get("inputs"), "inputs")
    given = asking.parameters_of(job_input)
    given["candidate_labels"] = asking.labels(given)
    return asking.asked("zero-shot-classification", job_input["inputs"], given)


def answer(ask: Ask, reply: Reply) -> Answer:
    """Exactly the candidate labels, each with a probability.

    Until November 2025 the wire had `{sequence, labels, scores}`, since then `[{label, score}]`: both are read.
    """
    given = ask.body["parameters"]
    labels = given["candidate_labels"]
    output = reading.chosen(_published(reply.document), labels, shared=given.get("multi_label") is not True)
    return reading.answer_in_tokens(ask, reply, output, [*labels, *[ask.body["inputs"]] * len(labels)])


def _published(document: Any) -> Any:
    inner = reading.single(document)
    if isinstance(inner, dict) and "labels" in inner:
        names, scores = inner["labels"], inner.get("scores")
        if not isinstance(names, list) or not isinstance(scores, list) or len(names) != len(scores):
            raise reading.bad(f"labels are {reading.kind_of(names)}, scores {reading.kind_of(scores)}")
        return [{"label": name, "score": score} for name, score in zip(names, scores, strict=True)]
    return document
