"""feature-extraction: texts in, one vector each out."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking
from workers.modalities.reading import answer_in_tokens, bad, given, kind_of, number, single

Vector = list[float]
_PLAIN = frozenset({float, int})
ROOT = ("normalize", "prompt_name", "truncate", "truncation_direction", "dimensions")
"""What stands beside the texts, at the root: text-embeddings-inference reads no `parameters`. The published schema
has all but `dimensions`, which Hugging Face's client sends as well."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is: nothing in the assignment's parameters is meant for an embedding."""
    inputs = job_input.get("inputs")
    if isinstance(inputs, list):
        asking.batch(inputs, "inputs")
    else:
        asking.text(inputs, "inputs")
    told = given(job_input)
    ask = asking.asked("feature-extraction", inputs, asking.parameters_of(job_input))
    return replace(ask, body={**ask.body, **{name: told[name] for name in ROOT if name in told}})


def answer(ask: Ask, reply: Reply) -> Answer:
    """Vectors, one an input, in the published 2-D form.

    A single vector (1-D) is that of the one input. Vectors of tokens (3-D, or 2-D with another number of rows for one
    input) are averaged over the tokens, which is what sentence-transformers do by default. Transformers answers each
    of several inputs by a batch of one (4-D); Hugging Face's inference toolkit names the whole `embeddings`.
    """
    inputs = ask.body["inputs"]
    wanted = 1 if isinstance(inputs, str) else len(inputs)
    document = reply.document
    vectors = _vectors(document.get("embeddings") if isinstance(document, dict) else document, wanted)
    if len(vectors) != wanted:
        raise bad(f"{len(vectors)} vectors for {wanted} inputs")
    if len({len(vector) for vector in vectors}) > 1:
        raise bad("vectors of different lengths")
    return answer_in_tokens(ask, reply, vectors, inputs)


def _vectors(document: Any, wanted: int) -> list[Vector]:
    rank = _rank(document)
    if rank == 1:
        return [_vector(document, "0")]
    if rank == 2 and wanted == 1 and len(document) > 1:
        return [_mean([_vector(row, f"0.{at}") for at, row in enumerate(document)])]
    if rank == 2:
        return [_vector(row, str(at)) for at, row in enumerate(document)]
    if rank == 3:
        return [_pooled(tokens, str(at)) for at, tokens in enumerate(document)]
    if rank == 4:
        return [_pooled(single(batch), str(at)) for at, batch in enumerate(document)]
    raise bad(f"is {kind_of(document)} of rank {rank}; vectors of rank 1 to 4 are needed")


def _pooled(tokens: Any, place: str) -> Vector:
    if not isinstance(tokens, list):
        raise bad(f"{place}: is {kind_of(tokens)}; vectors of tokens are needed")
    return _mean([_vector(row, f"{place}.{at}") for at, row in enumerate(tokens)])


def _rank(value: Any) -> int:
    rank = 0
    while isinstance(value, list) and value and rank < 5:
        value, rank = value[0], rank + 1
    return rank


def _vector(value: Any, place: str) -> Vector:
    if not isinstance(value, list) or not value:
        raise bad(f"{place}: is {kind_of(value)}; a vector is needed")
    if _PLAIN.issuperset(map(type, value)) and math.isfinite(sum(value)):  # a million numbers come in one answer
        return value
    return [number(item, place) for item in value]


def _mean(rows: list[Vector]) -> Vector:
    if len({len(row) for row in rows}) != 1:
        raise bad("token vectors of different lengths")
    return [number(sum(column) / len(rows), "mean") for column in zip(*rows, strict=True)]
