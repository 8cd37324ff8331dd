"""An audit in memory: lanes, their batches on the partitions of a topic, checkpoints; and an export of it on disk."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from console.audit.batches import Place
from console.audit.export import Exported, export
from console.audit.folder import Folder
from console.audit.heads import Heads
from console.audit.keys import Ring, Signer
from console.audit.problems import Problem
from console.audit.verify import Report, verify
from console.cli import app
from runtime import audit
from runtime.progress import GENESIS
from schemas import codec
from schemas.audit import AuditEntry
from schemas.topics import AUDIT, CHECKPOINTS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROUTER, WORKER = "novix-router.inference.jobs.v1.0", "novix-worker-text.inference.text.v1.1"
KEY = Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key of a test").digest()))
OTHER_KEY = Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"another key").digest()))
RING = Ring.of(KEY)


def deed(action: str, job: str, at: datetime = NOON, **detail: Any) -> AuditEntry:
    """An entry about a job of acme's."""
    return AuditEntry(at=at, action=action, tenant="acme", job_id=job, submission=1, trace_id="ab" * 16, detail=detail)


class Trail:
    """The audit topic and the checkpoints topic."""

    def __init__(self, partitions: int = 2) -> None:
        self.partitions: dict[int, list[tuple[int, bytes | None]]] = {one: [] for one in range(partitions)}
        self.signed: list[tuple[int, bytes | None]] = []
        self.now = NOON
        self.signer = KEY
        self.heads = Heads()
        self._chains: dict[str, tuple[int, str]] = {}
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = dict.fromkeys(range(partitions), 0)

    def write(self, lane: str, *entries: AuditEntry, partition: int | None = None) -> tuple[int, int]:
        """One transaction of a lane: partition and offset of its batch."""
        sequence, head = self._chains.get(lane, (0, GENESIS))
        batch = audit.link(lane, sequence + 1, head, entries)
        self._chains[lane] = batch.sequence, batch.hash
        return self.put(audit.record(batch).value, self._home(lane) if partition is None else partition)

    def put(self, value: bytes | None, partition: int) -> tuple[int, int]:
        """Any bytes; two offsets on, for a transaction's marker takes one."""
        offset = self._ends[partition]
        self.partitions[partition].append((offset, value))
        self._ends[partition] = offset + 2
        return partition, offset

    def jobs(self, count: int, first: int = 0) -> None:
        """So many jobs, each accepted by a router and ended by a worker."""
        for number in range(first, first + count):
            self.now += timedelta(seconds=1)
            self.write(ROUTER, deed("job.assigned", f"j{number}", self.now, decision_id=f"d{number}"))
            self.write(WORKER, deed("job.succeeded", f"j{number}", self.now, cost_nanousd=number))

    def checkpoint(self) -> bytes:
        """A checkpoint over everything, as the service would write it."""
        for partition, records in self.partitions.items():
            for offset, value in records:
                self.heads.take(partition, offset, value, self.now)
        value = self.heads.checkpoint(self.signer, self.now, 30)
        self.heads.written(value)
        self.signed.append((2 * len(self.signed), value))
        return value

    def begin_anew(self, lane: str) -> None:
        """An operator has set the lane's commit metadata to `anew`."""
        del self._chains[lane]

    def expire(self, partition: int, offset: int) -> None:
        """Retention has deleted what lies below an offset."""
        self.partitions[partition] = [one for one in self.partitions[partition] if one[0] >= offset]
        self._begins[partition] = offset

    def _home(self, lane: str) -> int:
        return sum(lane.encode()) % len(self.partitions)

    # As a source

    topic = AUDIT.name

    @property
    def audit_bounds(self) -> dict[int, tuple[int, int]]:
        return {one: (self._begins.get(one, 0), end) for one, end in self._ends.items()}

    async def bounds(self) -> dict[int, int]:
        return {one: first for one, (first, _) in self.audit_bounds.items()}

    async def checkpoints(self) -> AsyncIterator[tuple[Place, bytes | None]]:
        for offset, value in self.signed:
            yield Place(CHECKPOINTS.name, 0, offset), value

    async def audit(self, partition: int) -> AsyncIterator[tuple[Place, bytes | None]]:
        for offset, value in self.partitions[partition]:
            yield Place(AUDIT.name, partition, offset), value

    def verified(self, **options: Any) -> Report:
        """What the verifier says of it."""
        return asyncio.run(verify(self, RING, **options))

    def exported(self, folder: Path, signer: Signer | None = KEY, **options: Any) -> Exported:
        """An export of it."""
        return asyncio.run(export(self, folder, RING, KEY.public_pem, signer, now=self.now, **options))


def of_folder(path: Path, ring: Ring = RING, **options: Any) -> Report:
    """What the verifier says of an export."""
    folder = Folder(path)
    folder.open(ring)
    return asyncio.run(verify(folder, ring, **options))


@contextmanager
def edited(path: Path) -> Any:
    """The lines of an export's file, to be changed."""
    lines = path.read_bytes().splitlines(keepends=True)
    yield lines
    path.write_bytes(b"".join(lines))


def forged(value: bytes, **changes: Any) -> bytes:
    """A batch with other fields, its hash made to fit."""
    told = codec.decode(value) | changes
    told["hash"] = audit._hash(told["lane"], told["sequence"], told["previous"], told["entries"])
    return codec.encode(told)


def rehashed(records: list[tuple[int, bytes | None]], lane: str) -> list[tuple[int, bytes | None]]:
    """A lane's whole chain made to fit again, after one of its batches was changed."""
    made, previous = [], GENESIS
    for offset, value in records:
        told = codec.decode(value or b"{}")
        if told.get("lane") == lane:
            made.append((offset, forged(cast(bytes, value), previous=previous)))
            previous = codec.decode(made[-1][1] or b"")["hash"]
        else:
            made.append((offset, value))
    return made


def trail() -> Trail:
    """Ten jobs, two checkpoints over eight of them; the router's batches on partition 0, the worker's on 1."""
    made = Trail()
    made.jobs(4)
    made.checkpoint()
    made.jobs(4, 4)
    made.checkpoint()
    made.jobs(2, 8)
    return made


def first(report: Report) -> tuple[str, str, int, str]:
    """Kind, lane, sequence and place of the first problem."""
    problem = report.problems[0]
    return problem.kind, problem.lane, problem.sequence, str(problem.place)


def records(world: Trail, lane: str) -> list[tuple[int, bytes | None]]:
    """The records of a lane's partition."""
    return world.partitions[world._home(lane)]


def place(world: Trail, lane: str, index: int) -> str:
    """Where a lane's batch stands."""
    return f"{AUDIT.name}/{world._home(lane)}/{records(world, lane)[index][0]}"


STRANGER = "novix-worker-text.inference.text.v1.9"
"""A lane that no checkpoint knows."""


def value_of(world: Trail, lane: str, index: int) -> bytes:
    """A lane's batch as it stands in the log."""
    return records(world, lane)[index][1] or b""


def entry(world: Trail, lane: str, index: int) -> dict[str, Any]:
    """The one entry of a lane's batch."""
    told: dict[str, Any] = codec.decode(value_of(world, lane, index))["entries"][0]
    return told


def replaced(world: Trail, lane: str, index: int, value: bytes) -> None:
    """Put another value into the place of a lane's batch."""
    records(world, lane)[index] = records(world, lane)[index][0], value


def ten_jobs() -> Trail:
    """Ten jobs, with a checkpoint after every third: the last is newer than all."""
    made = Trail()
    for first in range(0, 9, 3):
        made.jobs(3, first)
        made.checkpoint()
    made.jobs(1, 9)
    return made


def exported_beside_its_key(trail: Trail, folder: Path) -> Path:
    """An export in `folder`, and in the file `trusted.pem` beside it the key that its reader trusts."""
    trail.exported(folder)
    (folder.parent / "trusted.pem").write_bytes(KEY.public_pem)
    return folder


def novix_audit(*arguments: str) -> tuple[int, str]:
    """Exit code, and all that `novix audit` says; an exception that it does not say in words is raised."""
    done = CliRunner().invoke(app, ["audit", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output
