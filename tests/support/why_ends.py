"""The ends that a job may come to, each driven on a real installation, and what `novix why` must say of it.

`evidence` is what was found on the topics, as a file: no prompt, no output, no name of a machine. The files under
tests/contracts/data/why are written by

    NOVIX_WRITE_STORIES=1 .venv/bin/pytest tests/broker/test_why.py -m long

and each golden text beside them by the same run. Read a changed text before it is kept.
"""

import asyncio
import getpass
import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from money_world import BUDGETS, PRICE, say
from stranger import Stranger
from system import chat

from console.telling.evidence import Arrival, DeadLetter, Deed, Entry, Evidence, Parked, Spell
from console.telling.gather import find
from runtime.bus import Bus

FOLDER = Path(__file__).parents[1] / "contracts" / "data" / "why"
TENANT, TIGHT = "acme", "tight"
WITHIN_S = 90
Drive = Callable[[Stranger, str], tuple[str, str]]
"""Brings a job to its end; answers with tenant and id."""


def catalogue(folder: Path) -> Path:
    """A model for each end, so that no end sees another's breaker: at groq, with a price, unless its row differs."""
    rows: list[dict[str, Any]] = []
    for name in ENDS:
        providers = ("groq", "together") if name == "fell_back" else ("groq",)
        offers: list[dict[str, Any]] = [
            {
                "provider": provider, "provider_model": model(name), "dialect": "hf-router", "base": "huggingface",
                "tasks": ["chat-completion"], "context_tokens": 131_072, "licence": "apache-2.0", "price": PRICE,
                "max_in_flight": 1 if name in ("throttled", "deadline_passed") else 64,
            }
            for provider in providers
        ]  # fmt: skip
        if name == "price_unknown":
            del offers[0]["price"]
        rows.append({"model": model(name), "tier": "small", "offers": offers})
    path = folder / "ends.json"
    known = {name: ["chat-completion"] for name in ("groq", "together")}
    path.write_text(json.dumps({"origin": "invented", "models": rows, "aliases": {}, "providers": known}))
    return path


def model(end: str) -> str:
    """The model of an end's jobs."""
    return f"lab/{end.replace('_', '-')}"


def driven(novix: Stranger, name: str) -> tuple[str, str]:
    """Bring a job to the end of that name; its tenant and id."""
    return ENDS[name](novix, name)


def _run(**how: Any) -> Drive:
    job = {name: how.pop(name) for name in ("timeout_s", "max_cost_nanousd", "quoted_nanousd") if name in how}

    def drive(novix: Stranger, name: str) -> tuple[str, str]:
        _behave(novix, name, **how)
        novix.run(chat(_id(name), TENANT, model=model(name), **job))
        return TENANT, _id(name)

    return drive


def _throttled(novix: Stranger, name: str) -> tuple[str, str]:
    """Three jobs and one slot: one of them waits longest."""
    _behave(novix, name, delay_ms=400)
    ids = [f"{_id(name)}-{number}" for number in range(3)]
    novix.publish(*(chat(one, TENANT, model=model(name)) for one in ids))
    waited = {one: novix.result(one, TENANT)["timing_ms"]["waiting"] for one in ids}
    return TENANT, max(waited, key=lambda one: waited[one])


def _deadline_passed(novix: Stranger, name: str) -> tuple[str, str]:
    """Another job holds the one slot for longer than this one has time."""
    _behave(novix, name, delay_ms=2_000)
    novix.publish(chat(f"{_id(name)}-before", TENANT, model=model(name)))
    _until_called(novix, TENANT, f"{_id(name)}-before")
    novix.run(chat(_id(name), TENANT, model=model(name), timeout_s=0.8))
    return TENANT, _id(name)


def _breaker_open(novix: Stranger, name: str) -> tuple[str, str]:
    """The one before has opened it; this one cannot wait until it is half-open."""
    _behave(novix, name, status=503)
    novix.run(chat(f"{_id(name)}-before", TENANT, model=model(name)))
    novix.run(chat(_id(name), TENANT, model=model(name), timeout_s=1.0))
    return TENANT, _id(name)


def _budget_refused(novix: Stranger, name: str) -> tuple[str, str]:
    """A budget holds some time after it was said."""
    say(novix, BUDGETS, kind="tenant", tenant=TIGHT, over_limit="refuse")
    say(novix, BUDGETS, kind="budget", id="month", tenant=TIGHT, window="month", limit_nanousd=1_000)
    until = time.monotonic() + WITHIN_S
    for number in range(1_000):
        job_id = f"{_id(name)}-{number}"
        if novix.run(chat(job_id, TIGHT, model=model("succeeded")))["status"] == "rejected":
            return TIGHT, job_id
        assert time.monotonic() < until
    raise AssertionError("it is never refused")


def _cancelled(novix: Stranger, name: str) -> tuple[str, str]:
    _behave(novix, name, stall=True)
    novix.publish(chat(_id(name), TENANT, model=model(name)))
    _until_called(novix, TENANT, _id(name))
    novix.cli("cancel", _id(name), "--tenant", TENANT)
    novix.result(_id(name), TENANT)
    return TENANT, _id(name)


def _ambiguous(novix: Stranger, name: str) -> tuple[str, str]:
    """The worker dies in mid-call; the next one on this machine knows of the call, and makes it again."""
    _behave(novix, name, stall=True)
    novix.publish(chat(_id(name), TENANT, model=model(name), max_cost_nanousd=10**8))
    _until_called(novix, TENANT, _id(name))
    novix.system.worker.kill()
    _behave(novix, name)
    novix.system.worker.start()
    novix.result(_id(name), TENANT)
    return TENANT, _id(name)


def _behave(novix: Stranger, name: str, **how: Any) -> None:
    novix.system.stub("/admin/behave", {"model": model(name), **how})


def _until_called(novix: Stranger, tenant: str, job_id: str) -> None:
    until = time.monotonic() + WITHIN_S
    while not novix.system.calls()[f"{tenant}/{job_id}"]:
        assert time.monotonic() < until
        time.sleep(0.05)  # the stub tells nobody


def _id(name: str) -> str:
    return name.replace("_", "-")


ENDS: dict[str, Drive] = {
    "succeeded": _run(quoted_nanousd=1_500_000),
    "fell_back": _run(fail_first=1, fail_status=404),
    "retried": _run(statuses=[429, 503, 200]),
    "throttled": _throttled,
    "breaker_open": _breaker_open,
    "budget_refused": _budget_refused,
    "price_unknown": _run(),
    "deadline_passed": _deadline_passed,
    "gated_model": _run(status=403),
    "invalid_output": _run(answer={"no": "answer"}),
    "dead_letter": _run(status=400),
    "cancelled": _cancelled,
    "ambiguous_payment": _ambiguous,
}


def found_of(novix: Stranger, tenant: str, job_id: str) -> Evidence:
    """What `novix why` finds on the topics."""

    async def look() -> Evidence | None:
        async with Bus(novix.system.settings) as bus:
            return await find(bus, tenant, job_id)

    found = asyncio.run(look())
    assert found is not None
    return found


def written(found: Evidence) -> str:
    """The evidence as a file."""
    document = asdict(found)
    assert found.arrival is not None
    document["arrival"]["job"] = {name: one for name, one in found.arrival.job.items() if name != "input"}
    document["results"] = [{name: one for name, one in told.items() if name != "output"} for told in found.results]
    text = json.dumps(document, indent=1, sort_keys=True)
    for private, public in ((socket.gethostname(), "host"), (getpass.getuser(), "operator")):
        text = re.sub(rf"\b{re.escape(private)}\b", public, text)
    return text + "\n"


def read(text: str) -> Evidence:
    """The evidence that `written` wrote."""
    document = json.loads(text)
    parts: dict[str, Any] = {
        "dead_letters": DeadLetter, "deeds": Deed, "ledger": Entry, "spells": Spell, "parked": Parked,
    }  # fmt: skip
    for name, kind in parts.items():
        document[name] = [kind(**one) for one in document[name]]
    document["arrival"] = Arrival(**document["arrival"])
    document["written_ms"] = {int(number): at for number, at in document["written_ms"].items()}
    return Evidence(**document)


STABLE = (
    (re.compile(r"\n {11}"), " "),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z|\+00:00)?"), "INSTANT"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min)\b"), "SPAN"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "TRACE"),
    (re.compile(r"\b(offset|partition|sequence|catalogue|prices|policies|accounts) [0-9a-f.-]+\b"), r"\1 N"),
    (re.compile(r"\b\d+/\d+\b"), "N/N"),
    (re.compile(r"v1\.\d+\b"), "v1.N"),
    (re.compile(r"\b[\d,]+ (bytes|spans?)\b"), r"N \1"),
    (re.compile(r", having waited SPAN"), ""),
    (re.compile(r" most of it, .*$", re.MULTILINE), ""),
    (re.compile(r"^(time|waited) .*\n", re.MULTILINE), ""),
)
"""What differs from run to run, and the word that stands for it."""


def stable(lines: list[str]) -> list[str]:
    """A story without its wrapping, its instants, lengths and places."""
    text = "\n".join(lines)
    for pattern, stands in STABLE:
        text = pattern.sub(stands, text)
    return text.splitlines()
