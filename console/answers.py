"""Results in the topic and what they say. Finding them reads, outside any group; the rest is pure."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from console.kafka import Log, all_records, ends
from console.words import money, shown, span
from runtime.ports import Record
from schemas import codec
from schemas.job import DEFAULT_TENANT
from schemas.media import REF, is_ref
from schemas.topics import RESULTS

Wanted = Callable[[Record], bool]


def result_key(tenant: str, job_id: str) -> bytes:
    """The key of a job's results."""
    return f"{tenant}/{job_id}".encode()


def of_job(tenant: str, job_id: str) -> Wanted:
    """Whether a record of the results topic is a result of this job, whatever its submission."""
    key = result_key(tenant, job_id)
    return lambda record: record.key == key


def of_tenant(tenant: str) -> Wanted:
    """Whether a record of the results topic belongs to this tenant."""
    prefix = f"{tenant}/".encode()
    return lambda record: (record.key or b"").startswith(prefix)


async def results_now(log: Log, until: dict[int, int], wanted: Wanted) -> AsyncIterator[Record]:
    """The wanted results from the beginning of the topic up to `until`."""
    async for record in all_records(log, RESULTS.name, until):
        if wanted(record):
            yield record


async def results_after(log: Log, since: dict[int, int], wanted: Wanted) -> AsyncIterator[Record]:
    """The wanted results from `since` on, as they come, without end."""
    async for record in log.follow(RESULTS.name, since):
        if wanted(record):
            yield record


async def result_ends(log: Log) -> dict[int, int]:
    """The present end of each partition of the results topic."""
    return await ends(log, RESULTS.name)


async def result_beginnings(log: Log) -> dict[int, int]:
    """The first offset that each partition of the results topic still has."""
    reader = log.reader()
    return {partition: (await reader.bounds(RESULTS.name, partition))[0] for partition in await result_ends(log)}


def is_of(result: dict[str, Any], published: tuple[int, int]) -> bool:
    """Whether this is the result of the job that lies there, by partition and offset, and not of an earlier one."""
    received = result.get("received") or {}
    return (received.get("partition"), received.get("offset")) == published


def document(record: Record) -> dict[str, Any]:
    """A record's JSON object; what is none becomes `{"undecodable": size}` so that a reader of results sees it."""
    try:
        value = codec.decode(record.value or b"")
    except codec.Undecodable:
        value = None
    return value if isinstance(value, dict) else {"undecodable": f"{len(record.value or b'')} bytes"}


def line(result: dict[str, Any]) -> str:
    """A result in one line: status, job, task, who served it, money, time."""
    served = result.get("served") or {}
    who = f"{served.get('model')} at {served.get('provider')}" if served else "nobody"
    timing = result.get("timing_ms") or {}
    error = result.get("error") or {}
    parts = [
        f"{result.get('status', 'unknown'):9}",
        f"{result.get('tenant', DEFAULT_TENANT)}/{result.get('job_id')}",
        str(result.get("task")),
        who if not error else f"{error.get('kind')}: {error.get('message')}",
        paid(result),
        span(timing.get("total")),
    ]
    return shown("\t".join(parts).replace("\n", " "))


def paid(result: dict[str, Any]) -> str:
    """What it cost; beside it, where it is told, what was quoted and reserved, and who priced it:
    `$0.0000012 (quoted $0.000001, reserved $0.00001, priced by brief/1 prices@812)`."""
    cost, told = money(_whole(result.get("cost_nanousd"))), result.get("money")
    if not isinstance(told, dict):
        return cost
    quoted = told.get("quoted_nanousd")
    parts = [f"quoted {money(quoted)}"] if isinstance(quoted, int) else []
    parts.append(f"reserved {money(_whole(told.get('reserved_nanousd')))}")
    if unsure := _whole(told.get("ambiguous_nanousd")):
        parts.append(f"{money(unsure)} of it may not have been charged")
    if told.get("priced_by"):
        parts.append(f"priced by {told['priced_by']}")
    return f"{cost} ({', '.join(parts)})"


def text_of(result: dict[str, Any]) -> str:
    """The answer that a person reads: the chat's last message, the generated text, else the output as JSON."""
    output = result.get("output")
    match output:
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            return shown(content)
        case {"generated_text": str(content)} | [{"generated_text": str(content)}, *_]:
            return shown(content)
        case _:
            return shown(codec.encode(_in_words(output)).decode())


def _in_words(output: Any) -> Any:
    """An output with each payload as `{"$ref": "image/png, 512 x 512, 12,345 bytes"}`: base64 is nothing to read."""
    if isinstance(output, list):
        return [_in_words(item) for item in output]
    if not isinstance(output, dict):
        return output
    if is_ref(output):
        ref = output[REF] if isinstance(output[REF], dict) else {}
        size = f"{ref.get('width')} x {ref.get('height')}, " if ref.get("width") else ""
        length = f"{ref['duration_ms'] / 1_000:.1f} s, " if isinstance(ref.get("duration_ms"), int) else ""
        return {REF: f"{ref.get('media_type')}, {size}{length}{ref.get('bytes')} bytes, sha256 {ref.get('sha256')}"}
    return {name: _in_words(value) for name, value in output.items()}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
