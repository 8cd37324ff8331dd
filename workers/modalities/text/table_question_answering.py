"""table-question-answering: a question about a table, the cells that answer it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading

MAX_CELLS = 20_000
"""Of a table. TAPAS reads 512 tokens of it; this is no table to ask such a model about."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is: every column with as many cells."""
    inputs = asking.members(job_input.get("inputs"))
    asking.text(inputs.get("question"), "inputs.question")
    _table(inputs.get("table"))
    return asking.asked("table-question-answering", inputs, asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{answer, cells, coordinates, aggregator?}]`; the wire has the object without the list.

    A model that writes its answer (TAPEX) names no cells: their lists are empty then.
    """
    table = ask.body["inputs"]["table"]
    depth = len(next(iter(table.values())))
    output = [
        _answer(item, at, len(table), depth) for at, item in enumerate(reading.rows(reply.document, "answers", most=1))
    ]
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])


def _table(table: Any) -> None:
    if not isinstance(table, Mapping) or not table:
        raise asking.refused(f"inputs.table: is {reading.kind_of(table)}; columns are needed")
    depths = {len(column) if isinstance(column, list) else -1 for column in table.values()}
    if len(depths) > 1 or -1 in depths:
        lengths = ", ".join(map(str, sorted(depths)[:8]))
        raise asking.refused(f"inputs.table: columns of different lengths ({lengths}); they must agree")
    cells = len(table) * depths.pop()
    if not 0 < cells <= MAX_CELLS:
        raise asking.refused(f"inputs.table: has {cells} cells; it may have 1 to {MAX_CELLS}")


def _answer(item: dict[str, Any], at: int, width: int, depth: int) -> dict[str, Any]:
    reading.words(item.get("answer"), f"{at}.answer")
    cells, places = item.get("cells") or [], item.get("coordinates") or []
    if not isinstance(cells, list) or not isinstance(places, list) or len(cells) != len(places):
        raise reading.bad(f"{at}: cells are {reading.kind_of(cells)}, coordinates {reading.kind_of(places)}")
    coordinates = []
    for number, (cell, place) in enumerate(zip(cells, places, strict=True)):
        reading.words(cell, f"{at}.cells.{number}")
        if not isinstance(place, list) or len(place) != 2:
            raise reading.bad(f"{at}.coordinates.{number}: is {reading.kind_of(place)}; row and column are needed")
        row = reading.whole(place[0], 0, depth - 1, f"{at}.coordinates.{number}.0")
        coordinates.append([row, reading.whole(place[1], 0, width - 1, f"{at}.coordinates.{number}.1")])
    return {**item, "cells": cells, "coordinates": coordinates}
