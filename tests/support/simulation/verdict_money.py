"""The verdict on the money of one schedule: budgets, reservations, the ledger and the provider's bill. Pure.

It shares no code with the rooms that it judges, as `tests/support/verdict.py` has it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from stranger import Found
from verdict import DECISIONS

from simulation.kernel import START_S
from simulation.provider import Call
from simulation.schedule import Limit

LEDGER = "inference.ledger.v1"
Entry = dict[str, Any]


def money_kept(
    written: Sequence[tuple[Found, float]], results: Sequence[Entry], calls: Sequence[Call], limits: Sequence[Limit]
) -> Iterator[str]:
    """Everything that is wrong with the money. `written`: each record, and when it could first be seen."""
    events = sorted(
        [
            (at, record.partition, record.offset, record)
            for record, at in written
            if record.topic in (DECISIONS, LEDGER)
        ],
        key=lambda one: one[:3],
    )
    reserves: dict[str, Entry] = {}
    entries: list[Entry] = []
    for *_, record in events:
        if record.topic == DECISIONS:
            reserves |= {one["decision_id"]: one for one in record.json["decisions"] if one.get("reserve")}
        else:
            entries += record.json["entries"]
    yield from each_ends_once(reserves, entries)
    yield from adds_up(reserves, entries)
    yield from as_told(entries, results)
    yield from as_billed(entries, calls)
    yield from within_budget([(at, record) for at, _, _, record in events], limits)


def each_ends_once(reserves: dict[str, Entry], entries: Sequence[Entry]) -> Iterator[str]:
    """Every reservation ends in one settle or one release, and nothing else ends."""
    ended = Counter(entry["decision_id"] for entry in entries)
    if leaked := [_trace(one) for name, one in reserves.items() if name not in ended]:
        yield f"money: {len(leaked)} reservations never ended: {leaked[:3]}"
    if strange := [_trace(entry) for entry in entries if entry["decision_id"] not in reserves]:
        yield f"money: {len(strange)} ends of what was never reserved: {strange[:3]}"
    if doubled := {name: count for name, count in ended.items() if count > 1}:
        yield f"money: {len(doubled)} reservations ended more than once: {list(doubled)[:3]}"


def adds_up(reserves: dict[str, Entry], entries: Sequence[Entry]) -> Iterator[str]:
    """An entry's charges are its cost, and that is no more than was reserved."""
    for entry in entries:
        name, charges = _trace(entry), sum(charge["nanousd"] for charge in entry["charges"])
        reserve = reserves.get(entry["decision_id"])
        if charges != entry["cost_nanousd"]:
            yield f"money: {name} cost {entry['cost_nanousd']} and its charges are {charges}"
        if reserve is not None and entry["reserved_nanousd"] != reserve["reserve"]["nanousd"]:
            yield f"money: {name} gives back {entry['reserved_nanousd']} of {reserve['reserve']['nanousd']}"
        if entry["cost_nanousd"] > entry["reserved_nanousd"]:
            yield f"money: {name} cost {entry['cost_nanousd']}, more than its reserve {entry['reserved_nanousd']}"
        if (entry["kind"] == "settle") != bool(entry["charges"]):
            yield f"money: {name} is a {entry['kind']} of {len(entry['charges'])} charges"


def as_told(entries: Sequence[Entry], results: Sequence[Entry]) -> Iterator[str]:
    """A result and its entry say the same cost."""
    told = {(_trace(entry), entry["submission"]): entry["cost_nanousd"] for entry in entries}
    for result in results:
        name = _trace(result), result["submission"]
        if result["cost_nanousd"] != told.pop(name, 0):
            yield f"money: {name[0]}: its result says {result['cost_nanousd']}, the ledger another sum"
    if told:
        yield f"money: {len(told)} ends without a result: {list(told)[:3]}"


def as_billed(entries: Sequence[Entry], calls: Sequence[Call]) -> Iterator[str]:
    """A charge that is certain is the bill of the call that it names; whatever else was billed is among the ambiguous,
    each with no more than its ceiling. Calls that nobody tells of are another check's affair."""
    bill = {f"call-{call.number}": call for call in calls if call.charged}
    doubtful: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        for charge in entry["charges"]:
            call = bill.pop(charge["request_id"] or "", None)
            if charge["ambiguous"]:
                if call is None:
                    doubtful[_trace(entry)].append(charge["nanousd"])
                elif call.charged > charge["nanousd"]:
                    yield f"money: {_trace(entry)}: the provider charges {call.charged}, and {charge['nanousd']} counts"
            elif call is None or call.charged != charge["nanousd"]:
                charged = call.charged if call is not None else 0
                yield f"money: {_trace(entry)} says {charge['nanousd']} for a call, the provider charges {charged}"
    for trace, ceilings in doubtful.items():
        mine = sorted((call.charged for call in bill.values() if call.trace == trace), reverse=True)
        for charged, ceiling in zip(mine, sorted(ceilings, reverse=True), strict=False):
            if charged > ceiling:
                yield f"money: {trace}: the provider charges {charged} for a call that counts as {ceiling} at most"


def within_budget(events: Sequence[tuple[float, Found]], limits: Sequence[Limit]) -> Iterator[str]:
    """After each event, in the order in which they could be seen: what is spent and reserved is within the budget."""
    budgets = {one.tenant: one for one in limits}
    taken: Counter[str] = Counter()
    open_now: dict[str, tuple[str, int]] = {}
    early: set[str] = set()
    """Ends that could be seen before their decisions."""
    over: dict[str, str] = {}
    for at, record in events:
        for one in record.json.get("decisions", ()):
            if one.get("reserve") and one["decision_id"] not in early:
                open_now[one["decision_id"]] = one["tenant"], one["reserve"]["nanousd"]
                taken[one["tenant"]] += one["reserve"]["nanousd"]
        for entry in record.json.get("entries", ()):
            tenant, reserved = open_now.pop(entry["decision_id"], (entry["tenant"], None))
            taken[tenant] += entry["cost_nanousd"] - (reserved or 0)
            if reserved is None:
                early.add(entry["decision_id"])
        for tenant, budget in budgets.items():
            limit = budget.nanousd
            if budget.raised_at_s is not None and at >= START_S + budget.raised_at_s:
                limit = max(limit, budget.raised_to)
            if taken[tenant] > limit:
                over.setdefault(tenant, f"money: {tenant} has {taken[tenant]} spent and reserved of {limit}")
    yield from over.values()


def _trace(row: Entry) -> str:
    return f"{row['tenant']}/{row['job_id']}"
