"""What the simulation asks of jobs with an ordering key: the order of their records, with an id that was sent again."""

import json
from collections.abc import Sequence
from typing import Any

from simulation.schedule import Publication
from simulation.verdict import in_order
from stranger import Found
from verdict import AUDIT, TEXT

LANE = "novix-worker-text.inference.text.v1.0"


def job(id: str, **more: Any) -> dict[str, Any]:
    return {"tenant": "acme", "id": id, "ordering_key": "k", **more}


FIRST, SECOND = job("a"), job("b")
FIRST_AGAIN = job("a", metadata={"again": True})
ASKED = (FIRST, SECOND, FIRST_AGAIN)
"""In the order of the jobs topic."""


def complaints(*came: tuple[dict[str, Any], int], ended: Sequence[tuple[str, int]] = ()) -> list[str]:
    """Of these jobs and submissions at the workers, in that order; `ended`: ids and submissions, in that order."""
    published = [Publication(0.0, "acme", one["id"], json.dumps(one).encode()) for one in ASKED]
    told: list[tuple[str, Any]] = [(TEXT, {"job": one, "submission": submission}) for one, submission in came]
    entries = [{"tenant": "acme", "job_id": id, "submission": submission} for id, submission in ended]
    told.append((AUDIT, {"lane": LANE, "entries": entries}))
    records = [Found(topic, 0, at, None, json.dumps(value).encode(), []) for at, (topic, value) in enumerate(told)]
    return list(in_order(published, records))


def test_an_id_that_was_rejected_and_is_sent_again_has_the_place_of_its_new_record() -> None:
    """Its first record was refused, so the job behind it came to the workers before it."""
    assert complaints((SECOND, 1), (FIRST_AGAIN, 2), ended=[("b", 1), ("a", 2)]) == []


def test_jobs_that_came_or_ended_in_another_order_are_told() -> None:
    assert complaints((FIRST, 1), (SECOND, 1), ended=[("a", 1), ("b", 1)]) == []

    [came] = complaints((SECOND, 1), (FIRST, 1))
    assert "in the order ['b', 'a']" in came
    [came] = complaints((FIRST_AGAIN, 2), (SECOND, 1))
    assert "in the order ['a', 'b']" in came
    [ended] = complaints((SECOND, 1), (FIRST_AGAIN, 2), ended=[("a", 2), ("b", 1)])
    assert "ended in another order" in ended


def test_nobody_takes_the_place_of_a_record_that_is_not_his() -> None:
    """A first submission has the first record's place, and no later one has it."""
    for wrong in ((FIRST_AGAIN, 1), (FIRST, 2)):
        [told] = complaints((SECOND, 1), wrong)
        assert "is not what its id's records ask for" in told
