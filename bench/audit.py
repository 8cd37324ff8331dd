"""What the audit costs to verify and to prove: `python -m bench audit`, without Kafka, from an exported folder.

A million records, one job's entry each, in eight lanes; a checkpoint every thousand records of a lane. One entry a
record is the worst case: a lane under load puts hundreds into one. Verified in a process of its own, whose memory and
CPU are told.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.figure import Figure, median
from console.audit.checkpoints import made
from console.audit.folder import CHECKPOINT_FILE, KEY, MANIFEST, Folder, Written, audit_file, manifest_of
from console.audit.heads import Heads
from console.audit.keys import Ring, Signer
from console.audit.proof import encode
from console.audit.prove import prove
from runtime import audit
from runtime.progress import GENESIS
from schemas.audit import AuditEntry

NAME = "audit"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTITIONS, LANES = 6, 8
A_CHECKPOINT = 8_000
"""Records."""
RECORDS, QUICK = 1_000_000, 50_000


def measure(*, quick: bool) -> list[Figure]:
    """Verify a folder, prove an entry of it, and what a head's fold and an entry cost."""
    count = QUICK if quick else RECORDS
    with tempfile.TemporaryDirectory(prefix="novix-audit-bench-") as name:
        folder = Path(name)
        ring, folded_s = write(folder, count)
        seconds, cpu_s, peak_mb, entries = _verified(folder)
        began = time.process_time()
        found = asyncio.run(prove(Folder(folder), ring, "acme", f"job-{count // 2:08}"))
        proved_s = time.process_time() - began
        size_mb = sum(one.stat().st_size for one in folder.iterdir()) / 1e6
    one_lane = len(encode(found.proofs))
    return [
        Figure(NAME, "verify", seconds, "s", "", f"{entries:,} records, {LANES} lanes, {size_mb:,.0f} MB"),
        Figure(NAME, "verify, CPU", cpu_s, "s", "", f"{cpu_s / entries * 1e6:.0f} us a record"),
        Figure(NAME, "verify, peak memory of the process", peak_mb, "MB"),
        Figure(NAME, "checkpoint service, CPU to fold a record", folded_s / count * 1e6, "us"),
        Figure(NAME, "prove one job's end, CPU", proved_s, "s", "", "found and proved, from the folder"),
        Figure(NAME, "its proof", one_lane, "bytes", "under 1,000"),
        *_entry(5 if quick else 15),
    ]


def write(folder: Path, count: int) -> tuple[Ring, float]:
    """An export of so many records; and the seconds that a checkpoint service would have spent on folding them."""
    signer = Signer(Ed25519PrivateKey.generate())
    chains: dict[str, tuple[int, str]] = {}
    heads, spent = Heads(), 0.0
    files = [Written((folder / audit_file(one)).open("xb"), audit_file(one)) for one in range(PARTITIONS)]
    signed = Written((folder / CHECKPOINT_FILE).open("xb"), CHECKPOINT_FILE)
    for number in range(count):
        which = number % LANES
        lane, partition, at = f"novix-worker-text.inference.text.v1.{which}", which % PARTITIONS, number // LANES
        sequence, head = chains.get(lane, (0, GENESIS))
        batch = audit.link(lane, sequence + 1, head, [entry(number)])
        chains[lane] = batch.sequence, batch.hash
        value = audit.record(batch).value
        offset = files[partition].records * 2
        files[partition].add(offset, value)
        began = time.thread_time()
        heads.take(partition, offset, value, NOON)
        spent += time.thread_time() - began
        if number % A_CHECKPOINT == A_CHECKPOINT - 1 or number == count - 1:
            when = NOON + timedelta(milliseconds=at)
            checkpoint = made(
                signer, heads.lanes, heads.offsets, number=heads.number + 1, previous=heads.digest, at=when, every_s=30
            )
            heads.written(checkpoint)
            signed.add(signed.records, checkpoint)
    for one in (*files, signed):
        one.file.close()
    (folder / KEY).write_bytes(signer.public_pem)
    bounds = {number: (0, one.records * 2) for number, one in enumerate(files)}
    described = [one.document() for one in (signed, *files)]
    (folder / MANIFEST).write_bytes(
        manifest_of(
            described, bounds, made_at=NOON, since=None, until=None, newest=(heads.number, heads.digest), signer=signer
        )
    )
    return Ring.of(signer), spent


def entry(number: int) -> AuditEntry:
    """A job's end as a worker tells it."""
    return AuditEntry.made(
        at=NOON + timedelta(microseconds=number), action="job.succeeded" if number % 2 else "job.assigned",
        tenant="acme", job_id=f"job-{number - number % 2:08}", submission=1, trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        detail={
            "cost_nanousd": 1_070, "cost_source": "usage", "attempts": 1, "assigned_bytes": 2_071,
            "result_bytes": 1_402, "result_sha256": hashlib.sha256(b"%d" % number).hexdigest(), "hf_api_version": "2.4",
            "model": "meta-llama/Llama-3.1-8B-Instruct",
            "provider": "hf-inference",
        },
        authority=f"decision:{number:032x}",
    )  # fmt: skip


_VERIFY = """
import json, resource, sys, time
began = time.monotonic()
from console.cli import app
from typer.testing import CliRunner
done = CliRunner().invoke(app, ["audit", "verify", "--folder", sys.argv[1], "--public-key", sys.argv[2], "--json"])
report = json.loads(done.stdout)
print(json.dumps({"s": time.monotonic() - began, "cpu_s": time.process_time(),
                  "kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                  "records": report["records"], "first": report["first_problem"], "proved": report["proved"]}))
"""


def _verified(folder: Path) -> tuple[float, float, float, int]:
    done = subprocess.run(
        [sys.executable, "-c", _VERIFY, str(folder), str(folder / KEY)], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    if told["first"] is not None or told["proved"] != told["records"]:
        raise RuntimeError(f"an export that nobody touched does not verify: {told}")
    return told["s"], told["cpu_s"], told["kb"] / 1_024, told["records"]


def _entry(rounds: int) -> list[Figure]:
    """What an entry costs its lane: measured, digested, chained and written, a hundred in a batch."""
    entries = [entry(number) for number in range(100)]
    costs = []
    for _ in range(rounds * 10):
        began = time.process_time()
        for one in entries:
            audit.size_of(one)
        audit.record(audit.link("novix-worker-text.inference.text.v1.0", 1, GENESIS, entries))
        costs.append((time.process_time() - began) / len(entries) * 1e6)
    return [Figure(NAME, "an entry in its lane's chain", median(costs), "us", "", "100 in a batch")]
