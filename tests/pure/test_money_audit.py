"""The audit of a run finds each way in which money can go wrong: it is given one lie after the other."""

import json

import pytest
from money_world import COST_NANOUSD, DOLLAR, audited, is_spent
from stranger import Found

RESERVE = 3_600_000


def honest() -> dict[str, list]:
    """Three jobs: one that was paid, one whose first call may have been, one that was released."""
    jobs = {"a": [COST_NANOUSD], "b": [1_800_000, COST_NANOUSD], "c": []}
    decisions, entries, results = [], [], []
    for name, costs in jobs.items():
        charges = [{"nanousd": cost, "ambiguous": len(costs) - place > 1} for place, cost in enumerate(costs)]
        who = {"tenant": "acme", "job_id": name, "submission": 1}
        decisions.append({"decision_id": f"d-{name}", **who, "reserve": {"nanousd": RESERVE}})
        entries.append(
            {
                **who, "decision_id": f"d-{name}", "kind": "settle" if costs else "release", "charges": charges,
                "cost_nanousd": sum(costs), "reserved_nanousd": RESERVE,
            }
        )  # fmt: skip
        attempts = [{"ambiguous": charge["ambiguous"]} for charge in charges]
        results.append({**who, "cost_nanousd": sum(costs), "attempts": attempts})
    bill = [["acme/a", "m", 12, 12], ["acme/b", "m", 12, 12]]
    return {"decisions": decisions, "entries": entries, "results": results, "bill": bill}


def found(world: dict[str, list]) -> list[Found]:
    rows = [("inference.decisions.v1", {"decisions": world["decisions"]})]
    rows += [("inference.ledger.v1", {"entries": world["entries"]})]
    rows += [("inference.results.v1", result) for result in world["results"]]
    return [Found(topic, 0, place, None, json.dumps(row).encode(), []) for place, (topic, row) in enumerate(rows)]


def complaints(world: dict[str, list]) -> list[str]:
    return audited(found(world), world["bill"], limit=DOLLAR).complaints


def test_an_honest_run_has_nothing_to_complain_of_and_its_sums_are_those_of_its_jobs():
    audit = audited(found(honest()), honest()["bill"], limit=DOLLAR)

    assert audit.complaints == []
    assert audit.ledger == audit.results == 2 * COST_NANOUSD + 1_800_000
    assert audit.billed == 2 * COST_NANOUSD
    assert (audit.ambiguous, audit.ambiguous_nanousd) == ({"acme/b": 1}, 1_800_000)


def lie_leak(world):
    world["entries"].pop()


def lie_twice(world):
    world["entries"].append(world["entries"][0])


def lie_stranger(world):
    world["decisions"].pop()


def lie_sum(world):
    world["entries"][0]["charges"][0]["nanousd"] -= 1


def lie_reserve(world):
    world["entries"][0]["reserved_nanousd"] += 1


def lie_beyond(world):
    world["entries"][1]["reserved_nanousd"] = world["decisions"][1]["reserve"]["nanousd"] = 2_000_000


def lie_kind(world):
    world["entries"][2]["kind"] = "settle"


def lie_result(world):
    world["results"][1]["cost_nanousd"] += 1


def lie_cheap(world):
    world["bill"].append(["acme/a", "m", 1, 0])


def lie_dear(world):
    world["bill"].pop(0)


def lie_nobody(world):
    world["bill"].append(["acme/z", "m", 1, 0])


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (lie_leak, "never ended"), (lie_twice, "more than once"), (lie_stranger, "never reserved"),
        (lie_sum, "its charges are"), (lie_reserve, "another reserve"), (lie_beyond, "more than its reserve"),
        (lie_kind, "is a settle of 0"), (lie_result, "its result says"), (lie_cheap, "the provider charges"),
        (lie_dear, "the provider charges"), (lie_nobody, "without a result"),
    ],
)  # fmt: skip
def test_each_lie_is_found(lie, told):
    world = honest()
    lie(world)
    assert any(told in complaint for complaint in complaints(world)), complaints(world)


def test_a_budget_is_spent_when_all_has_ended_and_no_further_reserve_fits():
    world = honest()
    spent = sum(entry["cost_nanousd"] for entry in world["entries"])
    assert is_spent(found(world), spent + RESERVE - 1)
    assert not is_spent(found(world), spent + RESERVE)
    lie_leak(world)
    assert not is_spent(found(world), spent)
