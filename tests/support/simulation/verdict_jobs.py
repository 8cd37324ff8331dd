"""The verdict on what each job was promised: who is called for it, how often, for how much and until when, and that
nobody is called meanwhile for who comes after it under its key. Pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from stranger import Found
from verdict import RESULTS, TEXT, Identity, called_as, called_for

from simulation.kernel import NOON, START_S
from simulation.provider import Call
from simulation.schedule import Plan

DELTAS = "inference.deltas.v1"
WAY_S = 0.1
"""Of a call to the provider, and of whoever was about to make it."""
ENDS_S = 3.0
"""After a deadline: until who waits, or is called for, is given up. A record that waits in its topic for want of a
place is read when there is one: behind slow calls, or who waits for a credential, that may be later."""
QUIET = frozenset({"storm", "publish_again", "refused", "redrive"})
"""Nobody who does the work is disturbed."""
STEADY = QUIET | {"kill", "kill_all", "terminate", "leave", "rolling", "hurry", "clock_step"}
"""No lane is opened again by the process that had it, which may do anew what it had done."""
Excuses = Mapping[int, Sequence[tuple[float, float]]]
Row = dict[str, Any]


def as_promised(
    records: Sequence[Found], calls: Sequence[Call], plan: Plan, excuses: Excuses, retries: int
) -> Iterator[str]:  # fmt: skip
    """Everything that was kept to nobody. `retries`: after the first call; `excuses`: as of `simulation.verdict`."""
    assigned: dict[str, list[Row]] = defaultdict(list)
    for one in records:
        if one.topic == TEXT:
            assigned[called_as(one.json["job"]["tenant"], one.json["job"]["id"])].append(one.json)
    results = [one.json for one in records if one.topic == RESULTS]
    kinds = {fault.kind for fault in plan.faults}
    for call in calls:
        timely = "clock_step" not in kinds and call.pid not in excuses
        yield from of_call(call, assigned[call.trace], timely=timely)
    crowded = "refused" in kinds or any(fault.mood is not None and fault.mood.slow for fault in plan.faults)
    for result in results:
        mine = [one for one in assigned[called_for(result)] if one["submission"] == result["submission"]]
        yield from of_result(result, mine, retries, timely=kinds <= QUIET and not crowded)
    if kinds <= STEADY:
        yield from one_at_a_time(records, calls, excuses)
    yield from streamed(records, results)


def of_call(call: Call, assigned: Sequence[Row], *, timely: bool = True) -> Iterator[str]:
    """A call goes to one of the job's candidates, and is not begun after the job's deadline. `assigned`: all
    submissions of its id."""
    candidates = {(at["model"], at["provider"]) for one in assigned for at in one["assignment"]["candidates"]}
    if (call.model, call.provider) not in candidates:
        yield f"jobs: {call.trace} was done by {call.model} of {call.provider}; its candidates are {candidates}"
    last = max((_seconds(one["assignment"]["deadline"]) for one in assigned), default=0.0)
    if timely and call.at > last + WAY_S:
        yield f"jobs: #{call.pid} called for {call.trace} {call.at - last:.2f} s after its deadline"


def of_result(result: Row, assigned: Sequence[Row], retries: int, *, timely: bool = True) -> Iterator[str]:
    """A result has no more attempts than may be, counted from 1, costs no more than the job's ceiling, and comes soon
    after the deadline: but for jobs of a key, which end behind those that came before them."""
    trace = called_for(result)
    numbers = [one["attempt"] for one in result["attempts"]]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"jobs: {trace} has the attempts {numbers}"
    made = sum(one["kind"] != "interrupted" for one in result["attempts"])
    if made > retries + 1:
        yield f"jobs: {trace} took {made} attempts; {retries + 1} may be"
    most = max((one["assignment"]["max_cost_nanousd"] for one in assigned), default=0)
    if result["cost_nanousd"] > most:
        yield f"jobs: {trace} cost {result['cost_nanousd']}; its ceiling is {most}"
    if timely and assigned and assigned[0]["job"].get("ordering_key") is None:
        late_s = _seconds(result["completed_at"]) - _seconds(assigned[0]["assignment"]["deadline"])
        if late_s > ENDS_S:
            yield f"jobs: {trace} ended as {result['status']} {late_s:.2f} s after its deadline"


def one_at_a_time(records: Sequence[Found], calls: Sequence[Call], excuses: Excuses) -> Iterator[str]:
    """Of one key: a process calls for nobody before it has the answer with which the one before ends."""
    named = {f"call-{call.number}": call for call in calls}
    places: dict[tuple[str, str], list[tuple[int, int, Identity]]] = defaultdict(list)
    last: dict[Identity, Call] = {}
    for one in records:
        if one.topic == TEXT and one.json["job"].get("ordering_key") is not None:
            job = one.json["job"]
            identity = job["tenant"], job["id"], one.json["submission"]
            places[job["tenant"], job["ordering_key"]].append((one.partition, one.offset, identity))
        elif one.topic == RESULTS:
            answered = [named[tried["request_id"]] for tried in one.json["attempts"] if tried["request_id"] in named]
            if answered:
                last[one.json["tenant"], one.json["job_id"], one.json["submission"]] = answered[-1]
    for key, came in places.items():
        identities = [identity for *_, identity in sorted(came)]
        once = [one for one in identities if sum(one[:2] == other[:2] for other in identities) == 1]
        for at, identity in enumerate(once):
            final = last.get(identity)
            if final is None or final.pid in excuses:
                continue
            later = {called_as(*other[:2]) for other in once[at + 1 :]}
            for call in calls:
                if call.pid == final.pid and call.trace in later and call.at < final.answered_at:
                    yield f"jobs: of {key} #{call.pid} called for {call.trace}, and had not ended {identity}"


def streamed(records: Sequence[Found], results: Sequence[Row]) -> Iterator[str]:
    """The pieces of an answer, where none is missing, are how it begins."""
    pieces: dict[tuple[str, int, int], dict[int, str]] = defaultdict(dict)
    for one in records:
        if one.topic == DELTAS:
            piece = one.json
            pieces[called_for(piece), piece["submission"], piece["attempt"]][piece["number"]] = piece["text"]
    for result in results:
        if result["status"] != "succeeded":
            continue
        told = pieces[called_for(result), result["submission"], result["attempts"][-1]["attempt"]]
        text = "".join(told[number] for number in sorted(told))
        whole = result["output"]["choices"][0]["message"]["content"]
        if sorted(told) == list(range(len(told))) and not whole.startswith(text):
            yield f"jobs: the pieces of {called_for(result)} are {text!r}, its answer is {whole!r}"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() - NOON.timestamp() + START_S
