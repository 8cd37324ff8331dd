"""Files of jobs: their lines, and the record that each becomes. Pure."""

from runtime.ports import Outgoing
from schemas import codec, openai_batch
from schemas.job import DEFAULT_TENANT
from schemas.topics import JOBS

LINE_LIMIT_BYTES = 1_040_000
"""With key and framing a line must fit into one record."""


class Lines:
    """Bytes in chunks as numbered lines, blank ones left out. Holds one unfinished line, cut where it is too long."""

    def __init__(self) -> None:
        self.ended = False
        self._number = 0
        self._partial = b""

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """The lines that `chunk` completes, counted from 1; an empty chunk is the end and completes the last one."""
        self.ended = not chunk
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if self.ended:
            whole.append(self._partial)
        # Longer than the limit is refused anyway: no more of it is kept than shows that.
        self._partial = self._partial[: LINE_LIMIT_BYTES + 1]
        numbered = enumerate(whole, self._number + 1)
        self._number += len(whole)
        return [(number, line.strip()) for number, line in numbered if line.strip()]


def are_lines(head: bytes) -> bool:
    """Whether a file that begins with `head` has one job a line, rather than one job in all: its first line is a whole
    JSON object, and another follows."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        return isinstance(codec.decode(first), dict)
    except codec.Undecodable:
        return False


def outgoing_of(value: bytes, batch_tenant: str = DEFAULT_TENANT, *, stream: bool = False) -> Outgoing | str:
    """The record of one line, keyed by tenant; or why it is none.

    A job's bytes are untouched; a line of an OpenAI batch file becomes a job of `batch_tenant`. With `stream`, a job
    that does not say whether its answer shall come in pieces asks for it, before its own bytes.
    """
    if len(value) > LINE_LIMIT_BYTES:
        return f"longer than a record may be; the limit is {LINE_LIMIT_BYTES} bytes"
    try:
        document = codec.decode(value)
    except codec.Undecodable as error:
        return str(error)
    if not isinstance(document, dict):
        return f"a {type(document).__name__}; a job is a JSON object, several are one a line"
    if openai_batch.is_request(document):
        job = openai_batch.job_of(document, batch_tenant)
        if isinstance(job, str):
            return job
        document, value = job, codec.encode(job)
    if stream and document and "stream" not in document:
        value = b'{"stream":true,' + value.lstrip()[1:]
    tenant = document.get("tenant", DEFAULT_TENANT)
    key = tenant if isinstance(tenant, str) and tenant else DEFAULT_TENANT
    return Outgoing(JOBS.name, key.encode(), value)


def result_key(outgoing: Outgoing) -> bytes | None:
    """The key that deltas and result of a job will have; None for one that tells no id."""
    job_id = codec.decode(outgoing.value or b"{}").get("id")
    return b"%s/%s" % (outgoing.key or b"", job_id.encode()) if isinstance(job_id, str) and job_id else None
