"""The verdict on the money of one schedule: budgets, reservations, the ledger and the provider's bill. Pure.

It shares no code with the rooms that it judges, as `tests/support/verdict.py` has it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from stranger import Found
from verdict import DECISIONS, called_for

from simulation.kernel import NOON, START_S
from simulation.provider import Call
from simulation.schedule import Limit

LEDGER = "inference.ledger.v1"
ENOUGH = 10_000_000
"""What no job of a schedule reserves more than: the ceiling of one that names none."""
ASKED_WITHIN_S = 3.0
"""After money has come free, or a budget was raised."""
Entry = dict[str, Any]


def money_kept(
    written: Sequence[tuple[Found, float]], results: Sequence[Entry], calls: Sequence[Call], limits: Sequence[Limit],
    *, undisturbed: bool = False,
) -> Iterator[str]:  # fmt: skip
    """Everything that is wrong with the money. `written`: each record, and when it could first be seen. `undisturbed`:
    nothing happened to a router or the broker."""
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
    seen = [(at, record) for at, _, _, record in events]
    yield from within_budget(seen, limits)
    if undisturbed:
        yield from in_time(seen, results, limits)


def each_ends_once(reserves: dict[str, Entry], entries: Sequence[Entry]) -> Iterator[str]:
    """Every reservation ends in one settle or one release, and nothing else ends."""
    ended = Counter(entry["decision_id"] for entry in entries)
    if leaked := [called_for(one) for name, one in reserves.items() if name not in ended]:
        yield f"money: {len(leaked)} reservations never ended: {leaked[:3]}"
    if strange := [called_for(entry) for entry in entries if entry["decision_id"] not in reserves]:
        yield f"money: {len(strange)} ends of what was never reserved: {strange[:3]}"
    if doubled := {name: count for name, count in ended.items() if count > 1}:
        yield f"money: {len(doubled)} reservations ended more than once: {list(doubled)[:3]}"


def adds_up(reserves: dict[str, Entry], entries: Sequence[Entry]) -> Iterator[str]:
    """An entry's charges are its cost, and that is no more than was reserved."""
    for entry in entries:
        name, charges = called_for(entry), sum(charge["nanousd"] for charge in entry["charges"])
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
    told = {(called_for(entry), entry["submission"]): entry["cost_nanousd"] for entry in entries}
    for result in results:
        name = called_for(result), result["submission"]
        if result["cost_nanousd"] != told.pop(name, 0):
            yield f"money: {name[0]}: its result says {result['cost_nanousd']}, the ledger another sum"
    if told:
        yield f"money: {len(told)} ends without a result: {list(told)[:3]}"


def as_booked(booked: Mapping[str, Mapping[str, int]], results: Sequence[Entry]) -> Iterator[str]:
    """I10: what a router's lane counts as spent by a tenant is what the results of its jobs say that they cost."""
    cost: Counter[str] = Counter()
    for result in results:
        cost[result["tenant"]] += result["cost_nanousd"]
    for lane, spent in booked.items():
        for tenant, nanousd in spent.items():
            if nanousd != cost[tenant]:
                yield f"I10: {lane} counts {nanousd} as spent by {tenant}; its results say {cost[tenant]}"


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
                    doubtful[called_for(entry)].append(charge["nanousd"])
                elif call.charged > charge["nanousd"]:
                    counts = charge["nanousd"]
                    yield f"money: {called_for(entry)}: the provider charges {call.charged}, and {counts} counts"
            elif call is None or call.charged != charge["nanousd"]:
                charged = call.charged if call is not None else 0
                yield f"money: {called_for(entry)} says {charge['nanousd']} for a call, the provider charges {charged}"
    for trace, ceilings in doubtful.items():
        mine = sorted((call.charged for call in bill.values() if call.trace == trace), reverse=True)
        for charged, ceiling in zip(mine, sorted(ceilings, reverse=True), strict=False):
            if charged > ceiling:
                yield f"money: {trace}: the provider charges {charged} for a call that counts as {ceiling} at most"


def within_budget(events: Sequence[tuple[float, Found]], limits: Sequence[Limit]) -> Iterator[str]:
    """After each event, in the order in which they could be seen: what is spent and reserved is within every budget. A
    job counts in the hour of its decision, and for a model or provider if it may be done there, until it is known."""
    taken: Counter[tuple[Limit, str]] = Counter()
    open_now: dict[str, Entry] = {}
    early: set[str] = set()
    """Ends that could be seen before their decisions."""
    over: dict[Limit, str] = {}
    for at, record in events:
        for one in record.json.get("decisions", ()):
            if one.get("reserve") and one["decision_id"] not in early:
                open_now[one["decision_id"]] = one
                taken.update(_reserved(one, limits))
        for entry in record.json.get("entries", ()):
            decision = open_now.pop(entry["decision_id"], None)
            if decision is None:
                early.add(entry["decision_id"])
            else:
                taken.subtract(_reserved(decision, limits))
            taken.update(_charged(entry, decision or {"decided_at": entry["at"]}, limits))
        for (limit, window), nanousd in taken.items():
            most = limit.nanousd
            if limit.raised_at_s is not None and at >= START_S + limit.raised_at_s:
                most = max(most, limit.raised_to)
            if nanousd > most:
                where = f"{limit.tenant}/{limit.id} {window}"
                over.setdefault(limit, f"money: {where} has {nanousd} spent and reserved of {most}")
    yield from over.values()


def in_time(events: Sequence[tuple[float, Found]], results: Sequence[Entry], limits: Sequence[Limit]) -> Iterator[str]:
    """Nobody's time runs out while the tenant's money lies there: where no router and no broker was in trouble."""
    left = _left(events, limits)
    for result in results:
        error = result["error"] or {}
        if result["status"] != "expired" or error.get("kind") != "over_budget":
            continue
        begin = result["received"]["timestamp_ms"] / 1_000
        until = datetime.fromisoformat(result["completed_at"]).timestamp()
        since: float | None = None
        for at, room in [*left[result["tenant"]], (until, 0)]:
            if since is not None and min(at, until) - max(since, begin) > ASKED_WITHIN_S:
                lay_s = min(at, until) - since
                yield f"money: {called_for(result)} waited for money while {ENOUGH} lay there for {lay_s:.1f} s"
                break
            since = (at if since is None else since) if room >= ENOUGH else None


def _left(events: Sequence[tuple[float, Found]], limits: Sequence[Limit]) -> dict[str, list[tuple[float, int]]]:
    """Of each tenant, from which instants on (since 1970) how much is left in the scarcest of its budgets. What was
    spent in an hour counts for ever."""
    moves: list[tuple[float, str, int]] = []
    for at, record in events:
        for one in record.json.get("decisions", ()):
            if one.get("reserve"):
                moves.append((_wall(at), one["tenant"], -one["reserve"]["nanousd"]))
        for entry in record.json.get("entries", ()):
            moves.append((_wall(at), entry["tenant"], entry["reserved_nanousd"] - entry["cost_nanousd"]))
    told: dict[str, list[tuple[float, int]]] = {}
    for tenant in {one.tenant for one in limits}:
        mine = [one for one in limits if one.tenant == tenant]
        raises = [one for one in mine if one.raised_at_s is not None]
        turns = [(_wall(START_S + (one.raised_at_s or 0.0)), tenant, 0) for one in raises]
        taken, told[tenant] = 0, []
        for at, who, nanousd in sorted([*moves, *turns], key=lambda one: one[0]):
            if who != tenant:
                continue
            taken -= nanousd
            most = min(
                one.raised_to if one in raises and at >= _wall(START_S + (one.raised_at_s or 0.0)) else one.nanousd
                for one in mine
            )
            told[tenant].append((at, most - taken))
    return told


def _wall(at: float) -> float:
    return NOON.timestamp() + at - START_S


def _reserved(decision: Entry, limits: Sequence[Limit]) -> dict[tuple[Limit, str], int]:
    return {
        (limit, _window(limit, decision)): decision["reserve"]["nanousd"]
        for limit in limits
        if limit.tenant == decision["tenant"] and any(_is_at(limit, place) for place in decision["candidates"])
    }


def _charged(entry: Entry, decision: Entry, limits: Sequence[Limit]) -> dict[tuple[Limit, str], int]:
    return {
        (limit, _window(limit, decision)): sum(one["nanousd"] for one in entry["charges"] if _is_at(limit, one))
        for limit in limits
        if limit.tenant == entry["tenant"]
    }


def _window(limit: Limit, decision: Entry) -> str:
    return str(decision["decided_at"])[:13] if limit.window == "hour" else ""


def _is_at(limit: Limit, place: Entry) -> bool:
    return limit.model in (None, place["model"]) and limit.provider in (None, place["provider"])
