"""Records for the explorer, told by the real router and workers: an afternoon of three teams in the simulated world.

`python -m explorer_story FILE INSTANT` lets it happen, so that it ends about INSTANT (ISO 8601), and writes what is
committed on all topics, a JSON line each. A process of its own, because what dies in the simulated world is never
unwound (`simulation.story`). One seed, so the same bytes each time, instants apart.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SEED = 8
LASTS = timedelta(seconds=120)
"""From the first record to the last, at most."""
PROMPT = "the prompt that nobody may read here"
"""In every input; each answer says `ANSWER`."""
ANSWER = "the answer that nobody may read here"
NEEDLE = "the-slow-one"
"""Of `search`: its provider says 429 and to come again after `NEEDLE_WAITS_S`, so it lies in a retry topic so long."""
NEEDLE_WAITS_S = 45
MARKUP = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}"""
HOSTILE_IDS = (
    MARKUP,
    "..",
    "../../etc/passwd",
    "%2e%2e%2f%2e%2e",
    "javascript:alert(3)",
    "a/b//c?x=1#y",
    '=HYPERLINK("http://evil.example","x")',
    "' OR 1=1 --",
    "x" * 250,
)
"""As far as the contract of a job lets them be."""
REFUSED_IDS = ("\u202egpj.exe\u2066 right to left", "\x1b[31mred\x1b]0;title\x07", "\x00nul\x00")
"""They end as dead letters."""
HOSTILE_TENANT = "<b onmouseover=alert(4)>t</b>"


@dataclass(frozen=True, slots=True)
class Told:
    """One committed record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def happened(file: Path, at: datetime) -> list[Told]:
    """Let it happen, in a process of its own; the records as a consumer of one partition after the other sees them."""
    path = os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "explorer_story", str(file), at.isoformat()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return read(file)


def read(file: Path) -> list[Told]:
    """What was written."""
    return [_told(json.loads(line)) for line in file.read_text().splitlines()]


def _told(row: list[Any]) -> Told:
    topic, partition, offset, timestamp_ms, key, value, headers = row
    told = tuple((name, base64.b64decode(content)) for name, content in headers)
    return Told(topic, partition, offset, timestamp_ms, _bytes(key), _bytes(value), told)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def main(arguments: Sequence[str]) -> int:
    """Tell the story. 1: something in it went wrong, said on standard error."""
    from simulation import kernel

    kernel.NOON = datetime.fromisoformat(arguments[1]) - LASTS  # before whatever else takes it
    from simulation import installation, provider, story
    from simulation.story import Story

    story.SimProvider = _holding_back(provider.SimProvider)  # type: ignore[attr-defined]
    usual = installation._settings
    # So long a wait is taken from a provider, and no longer.
    installation._settings = lambda size: usual(size).model_copy(update={"backoff_max_s": 60.0})  # type: ignore[assignment]
    installation.TOKEN = "hf_plantedtokenplantedtoken"
    provider.WORDS = {number: f"{ANSWER} {MARKUP} " * min(number, 3) for number in range(65)}
    told = Story(_plan())
    outcome = told.run()
    for complaint in outcome.complaints:
        sys.stderr.write(f"{complaint}\n")
    with Path(arguments[0]).open("w") as file:
        for part in sorted(told.broker.logs):
            for one in told.broker.raw(part):
                if one.is_committed:
                    headers = [[name, _text(content)] for name, content in one.headers]
                    row = [*part, one.offset, one.timestamp, _text(one.key), _text(one.value), headers]
                    file.write(json.dumps(row) + "\n")
    return 1 if outcome.complaints else 0


def _holding_back(kind: Any) -> Any:
    """The simulated provider, but for the first call of the needle."""
    import httpx
    from simulation.provider import Call, _give

    class HoldingBack(kind):  # type: ignore[misc]
        held = False

        def arrive(self, request: Any, process: Any, answer: Any) -> None:
            trace = request.headers.get("x-amzn-trace-id", "")
            if self.held or not trace.endswith(NEEDLE):
                super().arrive(request, process, answer)
                return
            self.held = True
            kernel = self.kernel
            call = Call(len(self.calls), kernel.monotonic, trace, process.pid, process.name, "acme/small", "groq", 429)
            self.calls.append(call)
            headers = {"content-type": "application/json", "retry-after": str(NEEDLE_WAITS_S)}
            reply = httpx.Response(429, headers=headers, content=b'{"error":"later"}', request=request)
            kernel.call_later(0.02, lambda: process.deliver(_give, answer, reply))

    return HoldingBack


def _plan() -> Any:
    from simulation.installation import Size
    from simulation.provider import Mood
    from simulation.schedule import DOLLAR, Fault, Limit, Plan

    jobs = _jobs()
    limits = [
        Limit("search", 10 * DOLLAR),
        Limit("billing", 3_000_000, over_limit="refuse"),
        Limit("support", 6_000_000, 24.0, 10 * DOLLAR),
    ]
    faults = [
        Fault(9.0, "storm", for_s=4.0, mood=Mood(limited=0.6)),
        Fault(16.0, "storm", for_s=4.0, mood=Mood(broken=0.9)),
        Fault(24.5, "kill", "worker-0", for_s=2.0),
        Fault(32.0, "redrive"),
    ]
    cancels = [(job.at_s + 0.12, job.tenant, job.id) for job in jobs if job.id.startswith("cancelled")]
    mood = Mood(slow=0.15, limited=0.03)
    return Plan(SEED, Size(2, 1, 2, max_in_flight=4), jobs, limits, cancels, faults, mood)


def _jobs() -> list[Any]:
    from simulation.provider import LARGE, SMALL
    from simulation.schedule import Publication

    told = []

    def publish(at_s: float, tenant: str, job_id: str, **more: Any) -> None:
        inside = {"messages": [{"role": "user", "content": f"{PROMPT} {number}"}], "max_tokens": 16}
        job = {"id": job_id, "tenant": tenant, "task": "chat-completion", "model": SMALL, "input": inside, **more}
        told.append(Publication(at_s, tenant, job_id, json.dumps({"timeout_s": 40.0, **job}).encode()))

    for number in range(60):
        tenant = ("search", "support", "billing")[number % 3]
        model = (SMALL, SMALL, SMALL, "auto", LARGE)[number % 5]
        priority = ("normal", "interactive", "batch")[number % 4 % 3]
        team = ("ranking", "answers")[number % 2]
        publish(
            number * 0.45, tenant, f"{tenant}-{number:03}", model=model, priority=priority, team=team,
            metadata={"campaign": ("autumn", "winter")[number // 30]},
        )  # fmt: skip
    number = 60
    for at_s in (3.0, 9.5):
        publish(at_s, "search", f"hurried-{at_s:.0f}", timeout_s=0.3)
        publish(at_s, "search", f"cheap-{at_s:.0f}", max_cost_nanousd=10)
        publish(at_s, "support", f"cancelled-{at_s:.0f}", model=LARGE)
        publish(at_s, "support", f"unknown-task-{at_s:.0f}", task="no-such-task")
        publish(at_s, "search", f"pinned-{at_s:.0f}", provider="groq")
        publish(at_s, "search", f"streamed-{at_s:.0f}", stream=True)
    publish(30.0, "search", NEEDLE, timeout_s=300.0, provider="groq", team="ranking")
    publish(5.0, "search", "conflict", metadata={"campaign": "autumn"})
    publish(8.0, "search", "conflict", metadata={"campaign": "winter"})
    publish(5.0, "search", "twice")
    publish(6.0, "search", "twice")
    for at, job_id in enumerate(HOSTILE_IDS):
        publish(20.0 + at * 0.2, "search", job_id, metadata={"note": MARKUP})
    unreadable = [b"{", b"\xff\x00", b'{"tenant": "search"}', b"[" * 500]
    for job_id in REFUSED_IDS:
        unreadable.append(json.dumps({"id": job_id, "task": "chat-completion", "input": {"inputs": PROMPT}}).encode())
    # With an ordering key, so that the redrive of all letters leaves it where it is.
    unreadable.append(json.dumps({"id": "odd", "tenant": HOSTILE_TENANT, "ordering_key": "k"}).encode())
    told += [Publication(4.0 + 0.1 * at, "search", "", value) for at, value in enumerate(unreadable)]
    return sorted(told, key=lambda one: one.at_s)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what died in the story is never unwound
