"""The offline checker says no: each lie that a run could tell is planted, and found."""

import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from stranger import Found
from verdict import Billed, Evidence, Sight, called_as, judge

LANE = "novix-worker-text.inference.text.v1.0"
WANTED = [("acme", f"job-{number}", 1) for number in range(6)]
PRICE = {"input_nanousd_per_million_tokens": 100_000, "output_nanousd_per_million_tokens": 300_000}
COST = 5  # ceil((8 * 100_000 + 12 * 300_000) / 1_000_000)


def found(topic: str, offset: int, value: Any, *headers: tuple[str, bytes]) -> Found:
    return Found(topic, 0, offset, b"key", json.dumps(value).encode(), list(headers))


def result(number: int, **more: Any) -> dict[str, Any]:
    attempts = [{"attempt": 1, "model": "m", "kind": None, "ambiguous": False}]
    told = {"tenant": "acme", "job_id": f"job-{number}", "submission": 1, "status": "succeeded", "attempts": attempts}
    return {**told, "served": {"model": "m", "provider": "p"}, "cost_nanousd": COST, **more}


def batch(sequence: int, previous: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    told = {"lane": LANE, "sequence": sequence, "entries": entries}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    return {**told, "previous": previous, "hash": hashlib.sha256(bytes.fromhex(previous) + canonical).hexdigest()}


def deed(number: int, action: str = "job.succeeded") -> dict[str, Any]:
    return {"action": action, "tenant": "acme", "job_id": f"job-{number}", "submission": 1}


def honest() -> Evidence:
    """A run in which all went well."""
    records = [found("inference.results.v1", number, result(number)) for number in range(6)]
    for number in range(6):
        assignment = {"candidates": [{"model": "m", "price": PRICE}]}
        job = {"job": {"tenant": "acme", "id": f"job-{number}"}, "submission": 1, "assignment": assignment}
        decision = {"tenant": "acme", "job_id": f"job-{number}", "submission": 1}
        records.append(found("inference.text.v1", number, job))
        records.append(found("inference.decisions.v1", number, {"decisions": [decision]}))
    head = "0" * 64
    for sequence in (1, 2, 3):
        linked = batch(sequence, head, [deed(2 * sequence - 2), deed(2 * sequence - 1)])
        head = linked["hash"]
        records.append(found("inference.audit.v1", sequence, linked))
    calls = [f"acme/job-{number}" for number in range(6)]
    bill = [Billed(trace, "m", 8, 12) for trace in calls]
    samples = [{("g", 0): 0, ("g", 1): 5}, {("g", 0): 4}, {("g", 0): 4, ("g", 1): 6}]
    return Evidence(WANTED, records, calls, bill, samples, {LANE: (3, head)}, 0, secrets=[b"hf_canary"])


def without(evidence: Evidence, topic: str, offset: int) -> Evidence:
    kept = [record for record in evidence.records if (record.topic, record.offset) != (topic, offset)]
    return replace(evidence, records=kept)


def also(evidence: Evidence, *records: Found) -> Evidence:
    return replace(evidence, records=[*evidence.records, *records])


def changed(evidence: Evidence, topic: str, offset: int, **fields: Any) -> Evidence:
    record = next(one for one in evidence.records if (one.topic, one.offset) == (topic, offset))
    return also(without(evidence, topic, offset), found(topic, offset, {**record.json, **fields}))


def test_an_honest_run_gives_nothing_to_complain_of():
    assert judge(honest()).complaints == []


LETTER = tuple((f"__dlq.errors.{name}", b"0") for name in ("topic", "partition", "offset", "group"))
LIES = {
    "lost": without(honest(), "inference.results.v1", 3),
    "doubled": also(honest(), found("inference.results.v1", 9, result(3))),
    "nobody asked for": also(honest(), found("inference.results.v1", 9, result(99))),
    "how they ended": changed(honest(), "inference.results.v1", 3, status="running"),
    "never decided": without(honest(), "inference.decisions.v1", 2),
    "decided twice": also(honest(), replace(honest().of("inference.decisions.v1")[1], offset=9)),
    "came to the workers 2 times": also(honest(), replace(honest().of("inference.text.v1")[1], offset=9)),
    "left for a retry 1 times": also(
        honest(), replace(honest().of("inference.text.v1")[1], topic="inference.retry.5s.v1")
    ),
    "set aside twice": also(honest(), *[found("inference.dlq.v1", number, {}, *LETTER) for number in (1, 2)]),
    "do not say where": also(honest(), found("inference.dlq.v1", 1, {})),
    "are not 1 to 2": without(honest(), "inference.audit.v1", 2),
    "ends at 2; 3 is committed": without(honest(), "inference.audit.v1", 3),
    "is broken at 2": changed(honest(), "inference.audit.v1", 2, entries=[deed(2), deed(2)]),
    "is gone": replace(honest(), heads={**honest().heads, "another": (4, "0" * 64)}),
    "does not tell of": changed(honest(), "inference.audit.v1", 2, entries=[deed(2), deed(3, "job.assigned")]),
    "only the audit tells of": changed(honest(), "inference.audit.v1", 2, entries=[deed(2), deed(3), deed(3)]),
    "went back from 6 to 5": replace(honest(), samples=[*honest().samples, {("g", 1): 5}]),
    "1 calls for nothing; 0 may be": replace(honest(), calls=[*honest().calls, "acme/job-1"]),
    "1 calls that no attempt tells of; 0 may be": replace(
        honest(), calls=[*honest().calls, "acme/job-1"], may_repeat=None
    ),
    "the provider charges 5": changed(honest(), "inference.results.v1", 3, cost_nanousd=COST - 1),
    "a secret of 9 bytes": changed(honest(), "inference.results.v1", 3, error={"message": "token hf_canary"}),
}  # fmt: skip


@pytest.mark.parametrize("told", LIES)
def test_each_planted_lie_is_found_and_named(told):
    complaints = judge(LIES[told]).complaints

    assert any(told in complaint for complaint in complaints), complaints


def test_a_forged_chain_whose_hashes_are_its_own_does_not_meet_the_committed_head():
    """Who rewrites every batch can make a chain that holds in itself; the head in the commit metadata tells."""
    evidence, head = honest(), "0" * 64
    for sequence in (1, 2, 3):
        entries = copy.deepcopy(
            next(f for f in honest().of("inference.audit.v1") if f.offset == sequence).json["entries"]
        )
        forged = batch(sequence, head, [{**entry, "detail": "forged"} for entry in entries])
        head = forged["hash"]
        evidence = also(
            without(evidence, "inference.audit.v1", sequence), found("inference.audit.v1", sequence, forged)
        )

    assert judge(evidence).complaints == [f"chain of {LANE} ends at 3; 3 is committed"]


def test_a_call_that_a_crash_repeated_is_no_lie_when_the_result_lists_it_and_the_bound_allows_it():
    interrupted = {"attempt": 1, "model": "m", "kind": "interrupted", "ambiguous": True}
    attempts = [interrupted, *result(1)["attempts"]]
    evidence = changed(honest(), "inference.results.v1", 1, attempts=attempts, cost_nanousd=3 * COST)
    evidence = replace(
        evidence, calls=[*evidence.calls, "acme/job-1"], bill=[*evidence.bill, Billed("acme/job-1", "m", 8, 12)],
        may_repeat=1,
    )  # fmt: skip

    verdict = judge(evidence)

    assert verdict.complaints == []
    assert verdict.repeated == verdict.ambiguous == {"acme/job-1": 1}


@pytest.mark.parametrize("job_id", ["x" * 250, "<b>two words</b>", "\u00fcber"])
def test_a_call_is_told_by_what_a_header_can_say_of_its_job(job_id):
    who, known = ("acme", job_id, 1), result(0)["attempts"]
    interrupted = {"attempt": 1, "model": "m", "kind": "interrupted", "ambiguous": True}
    told = found("inference.results.v1", 9, {**result(0), "job_id": job_id, "attempts": [interrupted, *known]})
    name = called_as(*who[:2])
    assert name.isascii()
    assert " " not in name
    assert len(name) <= 256

    verdict = judge(also(replace(honest(), calls=[*honest().calls, name, name], may_repeat=1), told))

    assert (verdict.repeated, verdict.ambiguous) == ({name: 1}, {name: 1})


def test_lost_and_doubled_are_counted_for_the_proof():
    lost = without(without(honest(), "inference.results.v1", 3), "inference.results.v1", 4)
    doubled = also(honest(), *[found("inference.results.v1", number, result(3)) for number in (9, 10)])

    assert (judge(lost).lost, judge(lost).doubled) == (2, 0)
    assert (judge(doubled).lost, judge(doubled).doubled) == (0, 2)


def test_what_was_written_past_the_router_needs_no_decision_and_may_be_unreadable_but_is_not_doubled():
    mine, noise = ("acme", "job-2", 1), found("inference.text.v1", 90, "noise")
    evidence = replace(also(without(honest(), "inference.decisions.v1", 2), noise), forged={mine})

    assert judge(evidence).complaints == []
    again = found("inference.results.v1", 9, result(2))
    assert any("1 doubled" in told for told in judge(also(evidence, again)).complaints)
    assert judge(replace(evidence, forged={("acme", "job-1", 1)})).complaints, "another one's decision is missed still"


def test_without_a_router_nobody_decides():
    evidence = honest()
    for number in range(6):
        evidence = without(evidence, "inference.decisions.v1", number)

    assert judge(evidence).complaints
    assert judge(replace(evidence, routed=False)).complaints == []


def test_what_was_seen_while_it_ran_is_judged_with_the_rest():
    """The single checks are in test_watched."""
    early = Sight({("novix-worker-text", 0): 5}, {("inference.results.v1", 0): 1})

    assert any("was passed at 5" in told for told in judge(replace(honest(), sights=[early])).complaints)
    assert judge(replace(honest(), peaks={"MiB of worker": (500, 300)})).complaints == ["500 MiB of worker; 300 may be"]
    opened = {"provider": "p", "model": "m", "state": "open", "since": "2026-11-22T12:00:00Z", "by": "w"}
    breaker = found("novix.breakers.v1", 0, {**opened, "at": opened["since"], "retry_at": "2026-11-22T12:05:00Z"})
    attempt = {**result(1)["attempts"][0], "provider": "p", "started_at": "2026-11-22T12:01:00Z"}
    evidence = also(changed(honest(), "inference.results.v1", 1, attempts=[attempt]), breaker)
    for number in (0, 2, 3, 4, 5):
        evidence = changed(evidence, "inference.results.v1", number, attempts=[{**attempt, "model": "another"}])
    assert judge(evidence).complaints == [], "of several processes nobody knows who had heard of it"
    assert judge(replace(evidence, alone=True)).complaints == ["1 calls of p/m while its breaker was open"]


@pytest.mark.parametrize(
    ("times", "breaks", "unexplained"),
    [
        ([2.0, 9.0], [5.0], 0),
        ([5.4, 9.0], [5.0], 0),  # it was in a socket when its process died
        ([2.0, 9.0], [0.5], 1),  # who began only after the break has no excuse
        ([2.0, 9.0], [9.5], 1),
        ([2.0, 3.0, 9.0], [5.0], 1),  # one break, two calls for nothing
        ([2.0, 5.0, 9.0], [3.0, 6.0], 0),
        ([2.0, 9.0], [], 1),
    ],
)
def test_a_call_for_nothing_is_explained_only_by_a_break_between_it_and_the_next(times, breaks, unexplained):
    interrupted = {"attempt": 1, "model": "m", "kind": "interrupted", "ambiguous": True}
    again = len(times) - 1
    attempts = [*[interrupted] * again, *result(1)["attempts"]]
    evidence = changed(honest(), "inference.results.v1", 1, attempts=attempts, cost_nanousd=4 * COST)
    calls = [*[call for call in evidence.calls if call != "acme/job-1"], *["acme/job-1"] * len(times)]
    evidence = replace(evidence, calls=calls, called_at=[*[0.0] * 5, *times], breaks=breaks, may_repeat=None)

    complaints = judge(evidence).complaints

    assert judge(replace(evidence, breaks=None)).complaints == []
    told = f"{unexplained} calls for nothing although nobody broke meanwhile: acme/job-1: {unexplained}"
    assert complaints == ([told] if unexplained else [])
    assert judge(replace(evidence, zombies=unexplained)).complaints == []


def test_a_call_whose_job_was_never_called_again_is_explained_by_a_break_after_it():
    """Its deadline had passed when somebody took over: the only attempt that its result lists was interrupted."""
    interrupted = {"attempt": 1, "model": "m", "kind": "interrupted", "ambiguous": True}
    evidence = changed(honest(), "inference.results.v1", 1, attempts=[interrupted])
    evidence = replace(evidence, called_at=[2.0] * 6, breaks=[5.0], may_repeat=None)

    assert judge(evidence).complaints == []
    assert judge(replace(evidence, breaks=[0.5])).complaints != []
