"""What brokers and processes say at the end of the explorer's afternoon, and what the processes have logged."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from explorer_story import Told
from live_world import Said

from console.live.processes import ProcessNow
from console.live.rates import Rates
from console.live.reader import Brokers
from console.live.traffic import LANE_GROUPS, topics
from runtime.survey import Group, Member, Survey
from schemas.topics import DECISIONS, JOBS, LEDGER, RESULTS, TEXT

LOOKS_S = 2
IN_FLIGHT = 3
"""Records of the last partition that the worker still has."""


def said(told: Sequence[Told]) -> Said:
    """A `Live` that looked every other second, for a minute up to the last record but a few."""
    rates, ends = Rates(), dict[tuple[str, int], int]()
    last_ms = max(one.timestamp_ms for one in told if one.topic == JOBS.name)
    for second in range(0, 61, LOOKS_S):
        now_ms = last_ms - 60_000 + second * 1_000
        ends = Counter((one.topic, one.partition) for one in told if one.timestamp_ms <= now_ms)
        rates.add(float(second), ends)
    groups = tuple(_groups(ends))
    survey = Survey(ends, groups, 1)
    lanes = {
        group.name: {"lanes": [_lane(group.name, place, ends[place] - at) for place, at in group.committed.items()]}
        for group in groups
    }
    router, worker = lanes.values()
    counted = {place: ends[place] - at for group in groups for place, at in group.committed.items()}
    processes = [_process("router", 301, router), _process("worker-text", 302, worker), _process("console", 303, {})]
    return Said(
        Brokers(topics(survey, rates, counted, [router, worker]), groups, 1, rates.over_s, ()),
        processes,
        list(_budgets(told)),
    )


def _groups(ends: dict[tuple[str, int], int]) -> Iterator[Group]:
    for topic in (JOBS.name, TEXT.name):
        places = sorted(place for place in ends if place[0] == topic)
        behind = {place: IN_FLIGHT * (topic == TEXT.name and place == places[-1]) for place in places}
        member = Member(f"{LANE_GROUPS[topic]}-a", "127.0.0.1", tuple(places))
        yield Group(LANE_GROUPS[topic], "Stable", (member,), {place: ends[place] - behind[place] for place in places})


def _lane(group: str, place: tuple[str, int], open_now: int) -> dict[str, Any]:
    return {"lane": f"{group}.{place[0]}.{place[1]}", "state": "open", "open": open_now, "oldest_s": 1.2 * open_now}


def _process(name: str, pid: int, told: dict[str, Any]) -> ProcessNow:
    return ProcessNow(name, pid, "healthy", True, True, f"http://127.0.0.1:{pid}", 0, "2026-11-22T14:50:00Z", (), told)


def _budgets(told: Sequence[Told]) -> Iterator[dict[str, Any]]:
    limits = {"search": 10_000_000_000, "support": 10_000_000_000, "billing": 3_000_000}
    spent: Counter[str] = Counter()
    for one in told:
        if one.topic == LEDGER.name:
            for entry in json.loads(one.value or b"{}").get("entries", ()):
                spent[entry["tenant"]] += sum(charge["nanousd"] for charge in entry.get("charges", ()))
    for tenant, limit in limits.items():
        yield {
            "tenant": tenant, "id": "b", "holds_for": "", "present_window": "total", "hard": True,
            "limit_with_transfers_nanousd": limit, "spent_nanousd": spent[tenant], "reserved_nanousd": 0,
            "available_nanousd": limit - spent[tenant], "next_window": None,
        }  # fmt: skip


def write_logs(folder: Path, told: Iterable[Told]) -> None:
    """The events that router and worker log of these decisions and results."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "router.log").open("w") as router, (folder / "worker-text.log").open("w") as worker:
        for one in told:
            if one.topic == RESULTS.name:
                result = json.loads(one.value or b"")
                _line(worker, f"job.{result['status']}", result["completed_at"], result)
            elif one.topic == DECISIONS.name:
                for decision in json.loads(one.value or b"")["decisions"]:
                    _line(router, f"job.{decision['verdict']}", decision["decided_at"], decision)


def _line(file: Any, event: str, at: str, of: dict[str, Any]) -> None:
    line = {
        "event": event, "level": "info", "logger": "novix", "timestamp": at, "trace_id": of["trace_id"],
        "tenant": of["tenant"], "job_id": of["job_id"], "submission": of["submission"],
    }  # fmt: skip
    file.write(json.dumps(line) + "\n")
