"""What the verdict on a schedule says of the registry: decisions follow it, nobody calls what he knows to be gone."""

import json
from typing import Any

import pytest
from simulation.provider import LARGE, SMALL, Call
from simulation.schedule import plan
from simulation.verdict_registry import as_registered
from simulation.words import SHARE
from stranger import Found
from verdict import DECISIONS

from schemas.topics import REGISTRY

AT = "2026-11-22T12:00:00Z"


def word(offset: int, **event: Any) -> Found:
    value = json.dumps({"event": {"at": AT, **event}}).encode()
    return Found(REGISTRY.name, 0, offset, b"k", value, [])


WORDS = [
    word(0, kind="alias", alias="fast", targets=[[SMALL, "c0ffee"]]),
    word(1, kind="admission", model=SMALL, tenant="ants", state="withdrawn"),
]


def decided(version: int, **more: Any) -> Found:
    one = {
        "tenant": "ants", "job_id": "a", "versions": {"registry": str(version)}, "candidates": [], "exclusions": [],
        **more,
    }  # fmt: skip
    return Found(DECISIONS, 0, 0, None, json.dumps({"decisions": [one]}).encode(), [])


def said(*found: Found, calls: tuple[Call, ...] = (), **readings: Any) -> list[str]:
    return list(as_registered([*WORDS, *found], calls, readings.get("readings", {})))


def test_decisions_that_follow_the_registry_of_their_version_are_not_complained_of() -> None:
    gone = {"model": SMALL, "reason": "not_approved"}
    stood = {"alias": "fast", "version": 1, "model": SMALL, "revision": "c0ffee"}
    assert said(decided(1, candidates=[{"model": SMALL}], resolved=stood)) == []
    assert said(decided(2, candidates=[{"model": LARGE}], exclusions=[gone])) == []


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (decided(2, candidates=[{"model": SMALL}]), "was given"),
        (decided(1, exclusions=[{"model": SMALL, "reason": "not_approved"}]), "nothing against it"),
        (decided(3), "a registry that has 2"),
        (decided(1, resolved={"alias": "fast", "version": 1, "model": LARGE, "revision": None}), "stands for"),
        (decided(1, resolved={"alias": "fast", "version": 2, "model": SMALL, "revision": "c0ffee"}), "stands for"),
    ],
)
def test_a_decision_that_contradicts_the_registry_of_its_version_is(found: Found, what: str) -> None:
    [complaint] = said(found)
    assert what in complaint


def test_a_call_is_judged_by_what_its_process_had_read() -> None:
    readings = {1: [(10.0, 1), (20.0, 2)]}
    for at, count in ((15.0, 0), (20.01, 0), (21.0, 1)):
        assert len(said(calls=(Call(0, at, "ants/a", 1, "worker-0", SMALL),), readings=readings)) == count
    assert said(calls=(Call(0, 21.0, "bees/a", 1, "worker-0", SMALL),), readings=readings) == []
    assert said(calls=(Call(0, 21.0, "ants/a", 2, "worker-1", SMALL),), readings=readings) == []


def test_who_had_just_read_that_it_is_admitted_again_may_call() -> None:
    again = word(2, kind="admission", model=SMALL, tenant="ants", state="admitted")
    readings = {1: [(10.0, 2), (20.0, 3)]}
    for at, count in ((19.9, 1), (20.01, 0), (21.0, 0)):
        assert len(said(again, calls=(Call(0, at, "ants/a", 1, "worker-0", SMALL),), readings=readings)) == count


def test_a_share_of_all_schedules_says_words_and_some_of_their_jobs_name_the_alias() -> None:
    plans = [one for one in map(plan, range(400)) if one.words]
    assert 0.5 * SHARE < len(plans) / 400 < 2 * SHARE
    kinds = {(word.event["kind"], word.event.get("state")) for one in plans for word in one.words}
    assert kinds == {("admission", "withdrawn"), ("admission", "admitted"), ("alias", None)}
    assert any(b'"fast"' in job.value for one in plans for job in one.jobs)
