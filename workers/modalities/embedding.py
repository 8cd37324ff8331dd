"""feature-extraction: texts in, one vector each out."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities.reading import bad, given, kind_of, number

Vector = list[float]


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is: nothing in `parameters` is meant for an embedding."""
    return Ask("feature-extraction", given(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """Vectors, one an input, in the published 2-D form.

    A single vector (1-D) is that of the one input. Vectors of tokens (3-D, or 2-D with another number of rows for one
    input) are averaged over the tokens, which is what sentence-transformers do by default.
    """
    inputs = ask.body["inputs"]
    wanted = 1 if isinstance(inputs, str) else len(inputs)
    vectors = _vectors(reply.document, wanted)
    if len(vectors) != wanted:
        raise bad(f"{len(vectors)} vectors for {wanted} inputs")
    if len({len(vector) for vector in vectors}) > 1:
        raise bad("vectors of different lengths")
    return Answer(vectors, reply.usage, {"input_tokens": tokens_in(text_bytes(inputs)), "output_tokens": 0})


def _vectors(document: Any, wanted: int) -> list[Vector]:
    rank = _rank(document)
    if rank == 1:
        return [_vector(document, "0")]
    if rank == 2 and wanted == 1 and len(document) > 1:
        return [_mean([_vector(row, f"0.{at}") for at, row in enumerate(document)])]
    if rank == 2:
        return [_vector(row, str(at)) for at, row in enumerate(document)]
    if rank == 3:
        return [
            _mean([_vector(row, f"{at}.{token}") for token, row in enumerate(rows)]) for at, rows in enumerate(document)
        ]
    raise bad(f"is {kind_of(document)} of rank {rank}; vectors of rank 1 to 3 are needed")


def _rank(value: Any) -> int:
    rank = 0
    while isinstance(value, list) and value and rank < 5:
        value, rank = value[0], rank + 1
    return rank


def _vector(value: Any, place: str) -> Vector:
    if not isinstance(value, list) or not value:
        raise bad(f"{place}: is {kind_of(value)}; a vector is needed")
    return [number(item, place) for item in value]


def _mean(rows: list[Vector]) -> Vector:
    if len({len(row) for row in rows}) != 1:
        raise bad("token vectors of different lengths")
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
