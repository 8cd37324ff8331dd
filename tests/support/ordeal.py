"""An installation under faults: load, a look at what is committed while it runs, and the verdict when all is quiet."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, KafkaException, TopicPartition
from stranger import TOKEN, Stranger, installation
from system import Process, System, chat
from verdict import Billed, Evidence, Identity, Place, Verdict, judge

from schemas.topics import RETRY_TIERS, TOPICS, retry_group

IN_FLIGHT = 16
CALL_MS = 60
SESSION = {"NOVIX_SESSION_TIMEOUT_MS": "3000", "NOVIX_HEARTBEAT_INTERVAL_MS": "500"}
"""For tests in which somebody has to be missed soon."""
PER_FREEZE = 4 * IN_FLIGHT
"""Calls that a worker may make that was frozen, before it learns that it was put out."""
PER_KILL = 4 * IN_FLIGHT
"""Calls that the death of one worker may repeat: in flight, and finished within the last commit's time."""
TENANTS = 12
WITHIN_S = 150.0
LANES = (
    ("novix-router", "inference.jobs.v1"),
    ("novix-worker-text", "inference.text.v1"),
    *((retry_group(topic), topic.name) for _, topic in RETRY_TIERS),
)


@dataclass
class Ordeal:
    """One run: what was asked of it, and what it must answer for."""

    stranger: Stranger
    wanted: list[Identity] = field(default_factory=list)
    samples: list[dict[Place, int]] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    _jobs: list[dict[str, Any]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _looker: threading.Thread | None = None

    @property
    def system(self) -> System:
        return self.stranger.system

    def publish(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """So many more jobs of twelve tenants."""
        first = len(self.wanted)
        jobs = [
            chat(f"job-{number}", tenant=f"tenant-{number % TENANTS}", **more) for number in range(first, first + count)
        ]
        self.wanted += [(job["tenant"], job["id"], 1) for job in jobs]
        self._jobs += jobs
        self.stranger.publish(*jobs)
        return jobs

    def repeat(self, count: int) -> None:
        """Publish the last so many once more, as a producer does who heard no answer."""
        self.stranger.publish(*self._jobs[-count:])

    def ended(self) -> int:
        """Different jobs that have a result so far."""
        return len({found.key for found in self.stranger.until(lambda _: True)})

    def until(self, count: int | None = None, *, within_s: float = WITHIN_S) -> None:
        """Wait until so many different jobs have ended; by default all of them."""
        goal = len(self.wanted) if count is None else min(count, len(self.wanted))
        try:
            self.stranger.until(lambda results: len({found.key for found in results}) >= goal, within_s)
        except AssertionError:
            raise AssertionError(f"{self.ended()} of {goal} have ended; {self.state()}") from None

    def more(self, count: int) -> None:
        """Wait until so many more have ended than now."""
        self.until(self.ended() + count)

    def calls_out(self, count: int, within_s: float = 60) -> None:
        """Wait until so many calls wait for the provider's answer."""
        self.wait(lambda: self.system.stub("/admin/state")["in_flight"] >= count, f"{count} calls out", within_s)

    def wait(self, done: Callable[[], bool], what: str, within_s: float = 60) -> None:
        """Wait until `done`: for states of other processes that send no event."""
        until = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < until, f"no {what} within {within_s} s; {self.state()}"
            time.sleep(0.05)

    def healthy(self, processes: Iterable[Process] | None = None, within_s: float = 60) -> None:
        """Wait until they all say that they are well."""
        for process in processes or [one for one in self.system.processes if one.child is not None]:
            self.wait(lambda process=process: process.health()[0] == 200, f"healthy {process.name}", within_s)

    def state(self) -> str:
        """For a person who reads a failure: what each process says of itself."""
        told = []
        for process in self.system.processes:
            if process.child is None:
                continue
            code = process.health()[0] if process.running else process.child.returncode
            lanes = [
                (lane["lane"], lane["state"], lane["reason"], lane["works"])
                for lane in process.lanes()
                if lane["works"] or lane["state"] != "open"
            ]
            told.append(f"{process.name}: {code} {lanes}")
        return "; ".join(told)

    # what is committed

    def _committed(self, looker: Consumer, topic: str) -> list[TopicPartition]:
        name = self.stranger.named(topic)
        known = looker.list_topics(name, timeout=5).topics[name].partitions
        return list(looker.committed([TopicPartition(name, partition) for partition in known], timeout=5))

    def _looker_of(self, group: str) -> Consumer:
        settings = {"bootstrap.servers": self.stranger.bootstrap, "group.id": self.stranger.named(group)}
        return Consumer({**settings, "isolation.level": "read_committed", "log_level": 0, "socket.timeout.ms": 5_000})

    def look(self) -> None:
        """Note committed offsets, again and again, until the run is over. A broker that is away is no finding."""
        lookers = [(group, topic, self._looker_of(group)) for group, topic in LANES[:2]]
        while not self._over.wait(0.3):
            for group, topic, looker in lookers:
                with contextlib.suppress(KafkaException):
                    self.samples.append(
                        {
                            (group, source.partition): source.offset
                            for source in self._committed(looker, topic)
                            if source.offset >= 0 and source.error is None
                        }
                    )
        for _, _, looker in lookers:
            looker.close()

    def quiet(self, within_s: float = 60) -> None:
        """Wait until every lane has committed to the end of its topic; note what stands beside the offsets."""
        until = time.monotonic() + within_s
        for group, topic in LANES:
            looker = self._looker_of(group)
            while lag := self._lag(looker, group, topic):
                assert time.monotonic() < until, f"{group} lacks {lag} of {topic} after {within_s} s; {self.state()}"
                time.sleep(0.1)
            looker.close()
        asyncio.run(self._noted())

    def _lag(self, looker: Consumer, group: str, topic: str) -> dict[int, int]:
        lag = {}
        for source in self._committed(looker, topic):
            low, high = looker.get_watermark_offsets(TopicPartition(source.topic, source.partition), timeout=5)
            if behind := high - max(low, source.offset):
                lag[source.partition] = behind
        return lag

    async def _noted(self) -> None:
        """What stands beside the offsets; asked by aiokafka, for confluent-kafka reads past the end of metadata."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stranger.bootstrap)
        await admin.start()
        try:
            for group, topic in LANES:
                found = await admin.list_consumer_group_offsets(self.stranger.named(group))
                for source, position in found.items():
                    _, sequence, head, *_ = position.metadata.split(",")
                    self.heads[f"{group}.{topic}.{source.partition}"] = int(sequence), head
        finally:
            await admin.close()

    # the end

    def verdict(self, *, may_repeat: int | None = 0, zombies: int | None = 0, samples: bool = True) -> Verdict:
        """Wait for every job and for quiet, stop everything, and judge. Fails with what there is to complain of."""
        self.until()
        self.quiet()
        self.healthy(one for one in self.system.processes if one.running)
        codes = {process.name: process.terminate() for process in self.system.processes if process.running}
        self._over.set()
        verdict = judge(
            Evidence(
                wanted=self.wanted,
                records=self.stranger.read(*(topic.name for topic in TOPICS)),
                calls=[trace for trace, _ in self.system.stub("/admin/calls")],
                bill=[Billed(*row) for row in self.system.stub("/admin/bill")],
                samples=self.samples if samples else (),
                heads=self.heads,
                may_repeat=may_repeat,
                zombies=zombies,
                secrets=[TOKEN.encode()],
            )
        )
        leaks = [log.name for log in self.stranger.folder.glob("*.log") if TOKEN.encode() in log.read_bytes()]
        assert not verdict.complaints, str(verdict)
        assert not leaks, f"the token stands in {leaks}"
        assert set(codes.values()) <= {0}, f"exit codes {codes}"
        return verdict


@contextmanager
def ordeal(bootstrap: str, folder: Path, *, crew: int = 1, start: bool = True, **settings: str) -> Iterator[Ordeal]:
    """An installation of its own on that broker, with a provider that takes 60 ms for an answer."""
    settings = {"NOVIX_MAX_IN_FLIGHT": str(IN_FLIGHT), "NOVIX_LOG_LEVEL": "info", **settings}
    with installation(bootstrap, folder, start=start, crew=crew, **settings) as stranger:
        stranger.system.stub("/admin/behave", {"delay_ms": CALL_MS})
        run = Ordeal(stranger)
        looking = threading.Thread(target=run.look, daemon=True)
        looking.start()
        try:
            yield run
        finally:
            run._over.set()
            looking.join(20)
