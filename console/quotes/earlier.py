"""Jobs of a file that were published before: so that a total holds over all commands that publish the same jobs.

Whoever was killed told nobody how far it came; the jobs topic knows. A job is known again by tenant and id for as long
as the router knows it (`NOVIX_DEDUP_HOURS`): published once more it would be run no more, and it is not published.
"""

import io
from collections.abc import Set

from console.kafka import Log
from console.lines import Lines, outgoing_of, result_key
from console.quotes.allowance import Place
from runtime.ports import Record
from schemas import codec
from schemas.job import DEFAULT_TENANT, ReadableJob, read_job
from schemas.topics import JOBS
from schemas.values import frozen

CHUNK_BYTES = 262_144


@frozen
class Published:
    """One job as it lies in the jobs topic."""

    place: Place
    ceiling_nanousd: int
    """The most that it may cost, all its calls together."""
    timestamp_ms: int
    again: list[Place]
    """Where it lies once more. Such a record is run only if what came before it was rejected."""


def named(source: io.BufferedReader, tenant: str) -> set[bytes]:
    """`tenant/id` of each job in a file from where it is read; it is then there again."""
    splitter, found, start = Lines(), set[bytes](), source.tell()
    while not splitter.ended:
        for _, line in splitter.feed(source.read(CHUNK_BYTES)):
            outgoing = outgoing_of(line, tenant)
            key = None if isinstance(outgoing, str) else result_key(outgoing)
            if key is not None:
                found.add(key)
    source.seek(start)
    return found


async def earlier(log: Log, wanted: Set[bytes], since_ms: int, default_ceiling: int) -> dict[bytes, Published]:
    """Those of the `wanted` jobs (`tenant/id`) that were published since an instant, each as it was first.
    `default_ceiling` is that of a job which names none."""
    found: dict[bytes, Published] = {}
    reader = log.reader()
    for partition in range(await reader.partitions(JOBS.name)):
        _, end = await reader.bounds(JOBS.name, partition)
        start = await log.find_since(JOBS.name, partition, since_ms)
        async for record in reader.read(JOBS.name, partition, start, end):
            if (key := _key(record)) not in wanted:
                continue
            if key in found:
                found[key].again.append((partition, record.offset))
                continue
            reading = read_job(record.value, record.headers)
            if isinstance(reading, ReadableJob):
                most = reading.job.max_cost_nanousd
                ceiling = default_ceiling if most is None else most
                found[key] = Published((partition, record.offset), ceiling, record.timestamp_ms, [])
    return found


def _key(record: Record) -> bytes:
    """`tenant/id`; nothing for what is no job."""
    try:
        document = codec.decode(record.value or b"")
    except codec.Undecodable:
        return b""
    if not isinstance(document, dict):
        return b""
    job_id, tenant = document.get("id"), document.get("tenant", DEFAULT_TENANT)
    return f"{tenant}/{job_id}".encode() if isinstance(job_id, str) else b""
