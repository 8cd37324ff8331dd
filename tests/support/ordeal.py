"""An installation under faults: load, a look at what is committed while it runs, and the verdict when all is quiet."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from proof import Proof
from stranger import TOKEN, Found, Stranger, installation
from system import Process, System, chat
from verdict import Billed, Evidence, Identity, Place, Sight, Verdict, judge

from schemas.topics import RETRY_TIERS, TOPICS, retry_group

IN_FLIGHT = 16
CALL_MS = 60
SESSION = {"NOVIX_SESSION_TIMEOUT_MS": "3000", "NOVIX_HEARTBEAT_INTERVAL_MS": "500"}
"""For tests in which somebody has to be missed soon."""
PER_FREEZE = 4 * IN_FLIGHT
"""Calls that a worker may make that was frozen, before it learns that it was put out."""
MEMORY_MIB = 300
"""Of each process, whenever one looks: 100 when idle, and what a few hundred jobs need."""
TENANTS = 12
WITHIN_S = 150.0
LANES = (
    ("novix-router", "inference.jobs.v1"),
    ("novix-worker-text", "inference.text.v1"),
    *((retry_group(topic), topic.name) for _, topic in RETRY_TIERS),
)
OUTCOMES = ("inference.results.v1", *(topic.name for _, topic in RETRY_TIERS))
"""Where what became of an assigned job can be read."""


@dataclass
class Ordeal:
    """One run: what was asked of it, and what it must answer for."""

    stranger: Stranger
    proof: Proof | None = None
    """Where the verdict is handed in, if it belongs to a row of the fault matrix."""
    recovery_s: float | None = None
    """From `healed` to the first job that was published after it and ended (`recover`), else to the last result."""
    wanted: list[Identity] = field(default_factory=list)
    forged: set[Identity] = field(default_factory=set)
    """Jobs that the test wrote to the workers' topic itself."""
    samples: list[dict[Place, int]] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    peaks: dict[str, tuple[float, float]] = field(default_factory=dict)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    _jobs: list[dict[str, Any]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _looker: threading.Thread | None = None
    _healed_at: float | None = None

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
        jobs = len({identity[:2] for identity in self.wanted})
        goal = jobs if count is None else min(count, jobs)
        try:
            self.stranger.until(lambda results: len({found.key for found in results}) >= goal, within_s)
        except AssertionError:
            raise AssertionError(f"{self.ended()} of {goal} have ended; {self.state()}") from None

    def more(self, count: int) -> None:
        """Wait until so many more have ended than now."""
        self.until(self.ended() + count)

    def healed(self) -> None:
        """The last fault is over: what comes from here on is recovery."""
        self._healed_at, self.recovery_s = time.monotonic(), None

    def recover(self, **more: Any) -> None:
        """Publish one job after `healed` and wait until it has ended: so long did the system take to be back."""
        assert self._healed_at is not None, "nothing has healed"
        [job] = self.publish(1, **more)
        self.stranger.result(job["id"], job["tenant"])
        self.recovery_s = time.monotonic() - self._healed_at

    def calls_out(self, count: int, within_s: float = 60) -> None:
        """Wait until so many calls wait for the provider's answer."""
        self.wait(lambda: self.system.stub("/admin/state")["in_flight"] >= count, f"{count} calls out", within_s)

    def wait(self, done: Callable[[], bool], what: str, within_s: float = 60) -> None:
        """Wait until `done`: for states of other processes that send no event."""
        until = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < until, f"no {what} within {within_s} s; {self.state()}"
            time.sleep(0.05)

    def healthy(self, processes: Iterable[Process] | None = None, within_s: float = WITHIN_S) -> None:
        """Wait until they all say that they are well."""
        for process in processes or [one for one in self.system.processes if one.child is not None]:
            self.wait(lambda process=process: process.health()[0] == 200, f"healthy {process.name}", within_s)

    def said(self, words: str) -> bool:
        """Whether the words stand in the log of a process."""
        return any(words in process.log.read_text() for process in self.system.processes)

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
        admin = AdminClient({"bootstrap.servers": self.stranger.bootstrap, "log_level": 0, "socket.timeout.ms": 5_000})
        while not self._over.wait(0.3):
            self._weigh()
            for group, topic, looker in lookers:
                with contextlib.suppress(KafkaException):
                    sample = {
                        (group, source.partition): source.offset
                        for source in self._committed(looker, topic)
                        if source.offset >= 0 and source.error is None
                    }
                    self.samples.append(sample)
                    if topic == LANES[1][1]:
                        ends = self._ends(admin)
                        if min(ends.values()) >= 0:  # -1001: a broker that is away said nothing, and no error either
                            self.sights.append(Sight(sample, ends))
        for _, _, looker in lookers:
            looker.close()

    def over(self) -> None:
        """Ends `look`."""
        self._over.set()

    def _ends(self, admin: AdminClient) -> dict[tuple[str, int], int]:
        """Where each partition ends that outcomes go to, whatever of it is committed."""
        known = admin.list_topics(timeout=5).topics  # they may have grown
        places = [(topic, number) for topic in OUTCOMES for number in known[self.stranger.named(topic)].partitions]
        asked = {TopicPartition(self.stranger.named(topic), number): OffsetSpec.latest() for topic, number in places}
        told = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=5)
        prefix = self.system.settings.topic_prefix
        return {(one.topic.removeprefix(prefix), one.partition): end.result().offset for one, end in told.items()}

    def _weigh(self) -> None:
        """The most memory that each process had so far (VmHWM)."""
        for process in self.system.processes:
            with contextlib.suppress(OSError, AttributeError, ValueError, IndexError):  # it has just ended
                status = Path(f"/proc/{process.child.pid}/status").read_text()  # type: ignore[union-attr]
                mib = int(status.partition("VmHWM:")[2].split()[0]) / 1024
                what = f"MiB of {process.name}"
                self.peaks[what] = max(mib, self.peaks.get(what, (0.0, 0.0))[0]), MEMORY_MIB

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

    def verdict(
        self,
        *,
        may_repeat: int | None = 0,
        excused: bool = False,
        zombies: int | None = 0,
        samples: bool = True,
        deleted: Sequence[Found] = (),
        stepped: bool = False,
        note: str = "",
    ) -> Verdict:
        """Wait for every job and for quiet, stop everything, judge, and hand in the verdict where there is a `proof`.

        `excused`: instead of a number, each call for nothing has to have been out, or finished and not committed, when
        a worker died, was frozen or began again (`Process.breaks`). `stepped`: the processes' clock was set meanwhile.
        Fails with what there is to complain of; a run that does not come to its end is judged as it stands.
        """
        stuck = self._ended_well()
        codes = {process.name: process.terminate() for process in self.system.processes if process.running}
        self._over.set()
        if not stuck:
            asyncio.run(self._noted())  # who ends last may have taken lanes of who ended before, and said so
        may_repeat = None if excused else may_repeat
        alone = len(self.system.workers) == 1 and may_repeat == zombies == 0
        if alone and not self.system.worker.breaks:  # a call of who was killed is at the provider a while longer
            most = self.system.stub("/admin/state")["most_in_flight"]
            self.peaks["calls at once"] = most, self.system.settings.max_in_flight
        verdict = judge(
            Evidence(
                wanted=[*self.wanted, *self.forged],
                records=self.stranger.read(*(topic.name for topic in TOPICS)),
                calls=[trace for trace, _ in self.system.stub("/admin/calls")],
                bill=[Billed(*row) for row in self.system.stub("/admin/bill")],
                deleted=deleted,
                samples=self.samples if samples else (),
                sights=self.sights if samples else (),
                peaks=self.peaks,
                alone=alone,
                stepped=stepped,
                forged=self.forged or None,
                heads=self.heads,
                may_repeat=may_repeat,
                called_at=self.system.stub("/admin/times"),
                breaks=[at for worker in self.system.workers for at in worker.breaks] if excused else None,
                zombies=zombies,
                secrets=[TOKEN.encode()],
            )
        )
        leaks = [log.name for log in self.stranger.folder.glob("*.log") if TOKEN.encode() in log.read_bytes()]
        verdict.complaints.extend(stuck)
        verdict.complaints.extend(f"the token stands in {log}" for log in leaks)
        if set(codes.values()) - {0}:
            verdict.complaints.append(f"exit codes {codes}")
        if self.proof is not None:
            self.proof.judged(verdict, jobs=len(self.wanted), recovery_s=self.recovery_s, note=note)
        assert not verdict.complaints, str(verdict)
        return verdict

    def _ended_well(self) -> list[str]:
        """Wait for every job, for quiet and for health; what did not come, if anything."""
        try:
            self.until()
            if self._healed_at is not None and self.recovery_s is None:
                self.recovery_s = time.monotonic() - self._healed_at
            self.quiet()
            self.healthy(one for one in self.system.processes if one.running)
        except AssertionError as stuck:
            return [str(stuck)]
        return []


@contextmanager
def ordeal(
    bootstrap: str, folder: Path, *, crew: int = 1, start: bool = True, proof: Proof | None = None, **settings: str
) -> Iterator[Ordeal]:
    """An installation of its own on that broker, with a provider that takes 60 ms for an answer."""
    settings = {"NOVIX_MAX_IN_FLIGHT": str(IN_FLIGHT), "NOVIX_LOG_LEVEL": "info", **settings}
    with installation(bootstrap, folder, start=start, crew=crew, **settings) as stranger:
        stranger.system.stub("/admin/behave", {"delay_ms": CALL_MS})
        run = Ordeal(stranger, proof)
        looking = threading.Thread(target=run.look, daemon=True)
        looking.start()
        try:
            yield run
        finally:
            run.over()
            looking.join(20)
