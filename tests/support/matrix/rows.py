"""The fault matrix: each row a fault and the invariants that must hold in spite of it. Data, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

INVARIANTS: Mapping[str, str] = {
    "I1": "every job that was acknowledged ends: in a result, or in a dead letter if nobody can read whose it is",
    "I2": "no job has two results, for readers with `isolation.level=read_committed`",
    "I3": "a committed offset never goes back, and never passes a job that has not ended",
    "I4": "memory and calls in flight stay within their bounds, whenever one looks",
    "I5": "each call that no finished attempt accounts for was out, or answered and not committed, at a break",
    "I6": "each lane's audit chain is whole up to the head that is committed, and tells of each end once",
    "I7": "no secret in any topic, log or span",
    "I8": "the system gets on again after the fault, within a bounded time",
    "I9": "jobs with one ordering key end in their order",
    "I10": "an open breaker lets nothing through but its trial calls",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    fault: str
    must_hold: str
    """Invariants by name, and what else is asked of this row."""


ROWS: Mapping[int, Row] = {
    1: Row("worker killed (-9) in mid-call", "I1 I2 I5"),
    2: Row(
        "kill between answer and note, note and commit, in mid-commit", "I1 I2; repeated calls at most those in flight"
    ),
    3: Row("worker frozen beyond its session, its partition moved, then thawed", "I2 I3; the zombie is fenced"),
    4: Row("SIGTERM under load", "I1; ends within its grace, no call repeated"),
    5: Row("SIGTERM twice, SIGTERM and SIGINT during the start", "I1; no hang"),
    6: Row("rolling restart of all workers", "I1 I2; no storm of rebalances"),
    7: Row("a member joins and leaves every few seconds, long calls running", "I1 I2 I3 I8"),
    8: Row("partition revoked and given back with calls in flight", "no job stuck, none twice"),
    9: Row("more members than partitions", "who has nothing is healthy"),
    10: Row("two processes with one instance id", "I2; told by name, no endless flapping"),
    11: Row("partitions added while running", "I1; the rule for keys' order is documented"),
    12: Row("event loop blocked for 10 s", "I1 I2; the watchdog tells"),
    13: Row("broker restarted (SIGTERM)", "I1 I2; producers are rebuilt"),
    14: Row(
        "broker killed (-9) or set back, acknowledged records lost",
        "detected: offset regression or out of range is told; no crash loop",
    ),
    15: Row("broker frozen for 30 s", "I1 I2 I4; sending waits"),
    16: Row("leader moves, coordinator loads, requests time out", "I1; retried"),
    17: Row("acknowledgements lost", "one copy"),
    18: Row("answer of EndTxn lost or late", "I2; the producer is thrown away, no torn transaction"),
    19: Row("transaction coordinator away", "I1; lane waits or is rebuilt, readers are not stuck"),
    20: Row("open transaction left behind by a crash", "I2; the successor aborts it, readers get on"),
    21: Row("latency of 500 ms with jitter, 64 kB/s", "I4 I8"),
    22: Row("every connection reset each second", "I1 I2"),
    23: Row("half-open TCP: the peer vanishes", "I1; noticed within the request timeout"),
    24: Row("bootstrap refused or name unknown at the start", "backs off, ends with an exit code after the limit"),
    25: Row(
        "429 storm; Retry-After 1, 3600, date, negative, garbage",
        "I10; hints are followed up to a cap, the breaker stays closed",
    ),
    26: Row("503 to everything for 60 s, then well", "I1 I8 I10; at most one trial call at a time, drains afterwards"),
    27: Row("50 to 70 % errors, never several in a row", "I10; the window opens the breaker"),
    28: Row("one model takes 59 s for every call", "slow calls open its breaker; other models are unaffected"),
    29: Row("answers drip byte by byte", "I1; a deadline ends them, the slot is free again"),
    30: Row("silence, half-close, lying length, garbage, 2 MB header", "I1; each is told apart, nothing leaks"),
    31: Row("300 MB bombs, a length of 5 GB, endless chunks", "I4; refused as too large"),
    32: Row("200 with HTML, an error, nothing, a wrong type, NaN", "never a success"),
    33: Row("redirects to link-local metadata, a file, another host", "I7; refused, the token goes nowhere"),
    34: Row("storm of deadlines that cancel calls", "I1; the pool is whole afterwards"),
    35: Row(
        "malformed JSON, bad UTF-8, deep nesting, keys told twice, huge integers, null, empty key",
        "I1; dead letter, the lane goes on",
    ),
    36: Row(
        "record over the broker's limit, output too large for its topic", "I1; typed end, never tried again and again"
    ),
    37: Row(
        "10,000 headers, 1 MB of baggage, CRLF, forged trace, tenant, attempt", "I7; capped, ours are not believed"
    ),
    38: Row(
        "unknown schema version, missing and additional fields, new words, two versions side by side",
        "I1; read tolerantly or a dead letter",
    ),
    39: Row("ids used twice: same and other content, same and other partition", "I2; one result, a conflict is told"),
    40: Row("a record that kills its worker", "I1; set aside after three deaths, others go on"),
    41: Row("one tenant floods", "I1; the others keep their share"),
    42: Row("a backlog of a million jobs at the start", "I4; counted are the jobs that ended before it was stopped"),
    43: Row("committed offset deleted, or passed by retention", "told by name; nothing skipped in silence"),
    44: Row("disk full", "I1; intake stops, no call without its note"),
    45: Row("file of intents corrupt, locked, deleted", "I2; rebuilt"),
    46: Row("clock steps by an hour, forwards and back", "I1; timers are monotonic"),
    47: Row("OTLP endpoint down, slow, answering 500", "I1; jobs unaffected"),
    48: Row("memory limit, 64 file descriptors", "I1; refuses intake or ends by name, no crash loop"),
    49: Row(
        "token revoked, and put in order while running",
        "I1; one alarm, intake paused, no storm, no flood of dead letters",
    ),
    50: Row(
        "audit record changed, removed, reordered, cut off",
        "the verifier names the first bad record",
    ),
    51: Row("commit metadata lost or too large", "I2; nothing but redelivery"),
    52: Row("dead letters driven again twice, and under live traffic", "I1 I2"),
}
