"""zero-shot-classification: a text and labels of the job's own, a score each."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities.reading import bad, given, kind_of, labelled, single


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    return Ask("zero-shot-classification", given(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Exactly the candidate labels, each with a score.

    Until November 2025 the wire had `{sequence, labels, scores}`, since then `[{label, score}]`: both are read.
    """
    labels = set(ask.body["parameters"]["candidate_labels"])
    output = _published(reply.document)
    if len(output) != len(labels) or {item["label"] for item in output} != labels:
        raise bad(f"{len(output)} labels, not the {len(labels)} that were asked for")
    size = text_bytes(ask.body["inputs"]) * len(labels) + text_bytes(list(labels))
    return Answer(output, reply.usage, {"input_tokens": tokens_in(size), "output_tokens": 0})


def _published(document: Any) -> list[dict[str, Any]]:
    inner = single(document)
    if isinstance(inner, dict) and "labels" in inner:
        names, scores = inner["labels"], inner.get("scores")
        if not isinstance(names, list) or not isinstance(scores, list) or len(names) != len(scores):
            raise bad(f"labels are {kind_of(names)}, scores {kind_of(scores)}")
        return labelled([{"label": name, "score": score} for name, score in zip(names, scores, strict=True)], "labels")
    return labelled(inner if isinstance(inner, list) else document, "(whole)")
