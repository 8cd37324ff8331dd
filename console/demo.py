"""The demonstration behind `make demo`: real jobs through a real Kafka to real small models, and nothing lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from console import demo_media, demo_money, demo_report, health
from console.demo_report import KILLED, LIMITED
from console.exits import CommandError, Exit
from console.kafka import Log, all_records, connected, ends
from console.screen import Screen
from console.watch import Tally, Watch
from console.words import count, money
from console.world import living_world
from runtime.http import AsyncClient, Egress, HttpTransport
from runtime.ports import Outgoing
from runtime.settings import Loaded, load
from sandbox.hf import catalogue
from schemas import codec
from schemas.topics import JOBS, RESULTS

EXAMPLES = Path(__file__).parent.parent / "examples"
WITHIN_S = 240.0
"""For all results; the jobs take less than a minute on two cores."""
READ_TIMEOUT_S = 60.0
"""For an answer, unless the user says otherwise: a busy machine reads a page more slowly than a provider does."""
CALL_HELD_MS = 4_000
"""How long the sandbox holds the call during which the worker is killed."""


class Demo:
    """One run. Each has a tenant of its own, so that it can be repeated in a world that was kept."""

    def __init__(self, loaded: Loaded, screen: Screen, *, keep: bool, output: Path) -> None:
        self._screen = screen
        self._keep = keep
        self._tenant = f"demo-{int(time.time())}"
        self._output = output / self._tenant
        self._home = self._own_home(loaded.settings.home)
        self._environment = {**os.environ, "NOVIX_HOME": str(self._home)}
        if loaded.sources["read_timeout_s"] == "default":
            self._environment["NOVIX_READ_TIMEOUT_S"] = str(READ_TIMEOUT_S)
        self._loaded = loaded

    def _own_home(self, home: Path) -> Path:
        """The usual home if nothing runs there; a demonstration never meddles with somebody's world."""
        return home if living_world(home) is None else home / self._tenant

    async def run(self) -> Exit:
        """Everything; 0 when no result is lost or doubled, the accounts agree and all that was promised was shown."""
        demo_media.new_folder(self._output)
        try:
            self._command("up", "--hf", "local")
            self._loaded = load(self._environment)
            async with connected(self._loaded) as log, self._hugging_face() as sandbox:
                ended = await self._show(log, sandbox)
        except BaseException:
            with suppress(CommandError):  # what failed first is what to tell
                self._leave()
            raise
        self._leave()
        return ended

    def _leave(self) -> None:
        with suppress(OSError):
            self._output.rmdir()  # only if nothing was written
        if self._keep:
            self._line(f"what runs stays up: export NOVIX_HOME={self._home}; stop it with: novix down")
        else:
            self._command("down")

    async def _show(self, log: Log, sandbox: "Sandbox") -> Exit:
        text, media, last = map(self._jobs, ("demo.jsonl", "demo-media.jsonl", "demo-kill.jsonl"))
        self._line(f"\nthe page: {self._address('console')}   (jobs of tenant {self._tenant})")
        await sandbox.fault(f"{self._tenant}/{LIMITED}", {"kind": "rate_limit", "retry_after": "2"})
        await sandbox.fault(f"{self._tenant}/{KILLED}", {"kind": "delay", "delay_ms": CALL_HELD_MS})
        watch = Watch(log, self._tenant, self._screen, self._calls_in_flight)
        async with watch.following():
            self._line(f"publishing {len(text)} text jobs; one will meet a 429, one may cost at most 1 nano-dollar")
            await self._publish(log, text)
            await self._wait(watch, text)
            self._line(f"publishing {len(media)} jobs that make and read a picture, a sound and a page")
            await self._publish(log, media)
            first = [*text, *media]
            made = demo_media.on_what_was_made(await self._wait(watch, first), self._tenant)
            self._line(f"publishing {len(made)} jobs on what these have made, by reference:")
            for job in made:
                self._line(f"  {job['id']}: {demo_media.told_of_input(job)}")
            await self._publish(log, made)
            await self._wait(watch, [*first, *made])
            await self._publish(log, last)
            await self._wait_for_call(sandbox, f"{self._tenant}/{KILLED}")
            self._kill_worker()
            jobs = [*first, *made, *last]
            results = await self._wait(watch, jobs)
        thrifty = await self._within_a_budget(log)
        self._tell(jobs, results)
        self._command("why", KILLED, "--tenant", self._tenant)
        self._line("\nto open:")
        for path in await demo_media.written(self._loaded.settings, self._output, jobs, results):
            self._line(f"  {path}")
        agreed = await self._settle(log, sandbox, jobs)
        self._command("ledger", "balance")
        missing = demo_report.not_shown(jobs, results) + demo_money.not_shown(thrifty)
        for line in missing:
            self._line(f"promised, but not shown: {line}")
        return Exit.OK if agreed and not missing else Exit.FAILED

    # jobs

    def _jobs(self, name: str) -> list[dict[str, Any]]:
        lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
        return [{**json.loads(line), "tenant": self._tenant} for line in lines]

    async def _publish(self, log: Log, jobs: list[dict[str, Any]]) -> None:
        await log.publish([Outgoing(JOBS.name, self._tenant.encode(), codec.encode(job)) for job in jobs])

    async def _wait(self, watch: Watch, jobs: list[dict[str, Any]]) -> dict[str, Any]:
        watch.expect(len(jobs))
        try:
            async with asyncio.timeout(WITHIN_S):
                return await watch.until(len(jobs))
        except TimeoutError:
            missing = sorted({job["id"] for job in jobs} - set(watch.results))
            raise CommandError(f"no result within {WITHIN_S:g} s of: {', '.join(missing)}", Exit.NOT_MET) from None

    async def _within_a_budget(self, log: Log) -> dict[str, dict[str, Any]]:
        """A tenant of its own with a small hard budget: its jobs are quoted, and stop in time."""
        tenant = f"{self._tenant}-thrifty"
        jobs = demo_money.jobs(tenant)
        path = demo_money.written(self._home, jobs)
        self._command("budget", "set", tenant, demo_money.BUDGET, "--limit", demo_money.LIMIT, "--window", "total")
        self._command("quote", str(path), "--brief", may_fail=True)
        since = await ends(log, RESULTS.name)
        self._command("publish", str(path), "--quote")
        results = await demo_money.results_of(log, since, tenant, len(jobs), WITHIN_S)
        for line in demo_money.told(results):
            self._line(line)
        return results

    # the kill

    async def _wait_for_call(self, sandbox: "Sandbox", trace: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await sandbox.has_received(trace):  # noqa: ASYNC110 - another process: nothing tells us
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise CommandError(f"no call of {trace} within {WITHIN_S:g} s", Exit.NOT_MET) from None

    def _kill_worker(self) -> None:
        world = living_world(self._home)
        worker = world.process("worker") if world is not None else None
        if worker is None:
            raise CommandError("there is no worker to kill")
        os.kill(worker.pid, signal.SIGKILL)
        self._line(f"kill -9 of the worker (process {worker.pid}) in the middle of the call of {KILLED!r}")

    def _calls_in_flight(self) -> int:
        world = living_world(self._home)
        worker = world.process("worker") if world is not None else None
        return _in_hand(health.ask(worker.health)) if worker is not None and worker.health else 0

    # the end

    def _tell(self, jobs: list[dict[str, Any]], results: dict[str, Any]) -> None:
        self._line("\none result as JSON:")
        self._line(json.dumps(results["german"], indent=2, ensure_ascii=False))
        self._line("\nwhat came of it, and what it cost:")
        for line in demo_report.sections(jobs, results):
            self._line(line)
        self._line("\nwho answered, in the words of the sandbox (a model of 135 million parameters is often wrong):")
        for line in demo_report.what_they_are(results, {row["id"]: row["about"] for row in catalogue.catalogue()}):
            self._line(line)
        self._line("")

    async def _settle(self, log: Log, sandbox: "Sandbox", jobs: list[dict[str, Any]]) -> bool:
        """Count once more, from the beginning of the topic, and compare what was paid with the sandbox's own bill;
        whether all is there once and nothing is left over."""
        tally = Tally()
        async for record in all_records(log, RESULTS.name, await ends(log, RESULTS.name)):
            tally.add(record, self._tenant)
        seen = Counter(tally.ids)
        lost = len({job["id"] for job in jobs} - set(seen))
        doubled = sum(times - 1 for times in seen.values())
        billed = await sandbox.bill(self._tenant)
        known = tally.paid - tally.unsure
        # What the kill cut short may be on the bill or not: nobody can know, so its ceiling is told apart.
        difference = known - min(max(billed - tally.unsure, known), billed)
        self._line(f"\njobs in {len(jobs)}, results out {len(tally.ids)}, lost {lost}, duplicates {doubled}")
        accounts = f"paid {money(known)}, the sandbox's bill {money(billed)}"
        self._line(f"{accounts}, difference {difference} nano-dollars")
        if tally.cut:
            told = (
                f"cut short, by the kill or a timeout: {count(tally.cut, 'call')}, counted with {money(tally.unsure)}"
            )
            self._line(f"{told} at most; the bill may have it or not")
        self._line("(prices are the sandbox's own, invented in the range of real small models)")
        return not lost and not doubled and not difference

    # the world

    @asynccontextmanager
    async def _hugging_face(self) -> AsyncIterator["Sandbox"]:
        url = self._loaded.settings.sandbox_url
        async with AsyncClient(transport=HttpTransport(Egress([url])), base_url=url) as client:
            yield Sandbox(client)

    def _address(self, name: str) -> str:
        world = living_world(self._home)
        process = world.process(name) if world is not None else None
        return process.address if process is not None else "(none)"

    def _command(self, *words: str, may_fail: bool = False) -> None:
        self._line(f"$ novix {' '.join(words)}")
        done = subprocess.run([sys.executable, "-m", "console", *words], env=self._environment, check=False)
        if done.returncode and not (may_fail and done.returncode == Exit.FAILED):
            code = Exit.INTERRUPTED if done.returncode == Exit.INTERRUPTED else Exit.FAILED
            raise CommandError(f"`novix {' '.join(words)}` ended with {done.returncode}", code)

    def _line(self, text: str) -> None:
        self._screen.line(text)


class Sandbox:
    """The local Hugging Face's admin API."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def fault(self, trace: str, action: dict[str, Any]) -> None:
        """Spoil the first call of one job."""
        match = {"header": {"name": "X-Amzn-Trace-Id", "value": trace}, "first": 1}
        answer = await self._client.post("/admin/faults", json={"match": match, "action": action})
        answer.raise_for_status()

    async def has_received(self, trace: str) -> bool:
        """Whether a call of that job has come."""
        calls = (await self._client.get("/admin/log", params={"trace": trace})).json()
        return bool(calls["calls"])

    async def bill(self, session: str) -> int:
        """What the sandbox charges a tenant, nano-dollars."""
        return int((await self._client.get("/admin/bill", params={"session": session})).json()["total_nanousd"])


def _in_hand(told: Any) -> int:
    """Records that a process works on, of all the services that its `/healthz` tells of."""
    if not isinstance(told, dict):
        return 0
    window = told.get("window")
    if isinstance(window, dict):
        return int(window.get("used", 0))
    return sum(map(_in_hand, told.values()))
