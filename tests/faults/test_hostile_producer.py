"""Producers that do their worst, at router and worker at once: a flood of garbage, records that no process of ours
would write, forged headers, ids used twice. Every good job gets its one result, every bad record its one typed end.

All of it is written before the first test looks; then nothing is on its way any more.
"""

import contextlib
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from forged import HEADERS, Forged, forgeries
from hostile import HostileProvider, hostile
from hostile_run import peak_mb
from producer_words import CANARY, FORGED_HEADERS, GARBAGE, TENANTS, bad_records, good
from proof import Proof, seed_of
from stranger import TOKEN, Found, Place, Stranger, encoded, installation
from system import PARTITIONS
from verdict import Billed, Evidence, judge

from schemas.failure import FailureKind
from schemas.topics import AUDIT, DECISIONS, DLQ, JOBS, RESULTS, RETRY_TIERS, TEXT, TOPICS

FLOOD = 20_000
EVERY = 400
"""A good job after so many records of garbage."""
MEMORY_MB = 300
"""Of either process: 100 when idle, a fetch of each partition, the window of records being worked on (64 MiB), and
batches that inflate to 20 MB."""
INFLATED_BYTES = 20_000_000


@dataclass
class Aftermath:
    novix: Stranger
    provider: HostileProvider
    good: set[str] = field(default_factory=set)
    flood: list[Place] = field(default_factory=list)
    bad: dict[Place, tuple[str, set[str]]] = field(default_factory=dict)
    """Where a bad record lies, its name, and how it may end: failure kinds."""
    forged: list[tuple[Forged, Place]] = field(default_factory=list)
    results: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By job id."""
    letters: dict[tuple[str, int, int], list[Found]] = field(default_factory=lambda: defaultdict(list))
    """By the record that became one."""
    by_id: dict[str, list[Found]] = field(default_factory=lambda: defaultdict(list))
    """Dead letters of forged jobs."""
    by_place: dict[Place, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Results by the record that their producer wrote."""

    def look(self) -> None:
        """Wait for the flood's dead letters by number alone: `quiet` reads whole topics. Then see what there is."""
        with contextlib.closing(Consumer({"bootstrap.servers": self.novix.bootstrap, "group.id": "looks"})) as looker:
            ends = [TopicPartition(self.novix.named(DLQ.name), partition) for partition in range(PARTITIONS)]
            while sum(looker.get_watermark_offsets(end, timeout=10)[1] for end in ends) < FLOOD:
                time.sleep(0.2)  # Kafka tells nobody when a topic grows
        self.novix.quiet()
        for result in (found.json for found in self.novix.read(RESULTS.name)):
            self.results[result["job_id"]].append(result)
            self.by_place[result["received"]["partition"], result["received"]["offset"]].append(result)
        for letter in self.novix.read(DLQ.name):
            self.letters[origin_of(letter)].append(letter)
            if (found := re.search(rb'"id": ?"((?:waiting|forged)-[^"]*)"', letter.value or b"")) is not None:
                self.by_id[found[1].decode()].append(letter)

    def ends(self, topic: str, place: Place) -> list[str]:
        """The failure kinds of a record's results and dead letters; a copy beside a result does not count."""
        told = [_kind_of(one) for one in self.letters[topic, *place] if not _is_copy(one)]
        return told + [str((one["error"] or {}).get("kind")) for one in self.by_place[place] if topic == JOBS.name]

    def moved(self, one: Forged) -> list[str]:
        """What became of a forged job under its id: its results, and dead letters from where a retry topic sent it."""
        named = _id_of(one)
        letters = self.by_id.get(named, []) if one.topic != TEXT.name else []
        told = [_kind_of(letter) for letter in letters if not _is_copy(letter) and origin_of(letter)[0] != one.topic]
        return told + [str((result["error"] or {}).get("kind")) for result in self.results.get(named, [])]


def judged(told: Aftermath, proof: Proof, *, jobs: int, note: str = "") -> None:
    """What the offline checker says of the whole run; `jobs` records are what this row is about.

    Of what is no good job and has a result, the checker sees that it has one, and that nothing else is doubled.
    """
    novix = told.novix
    novix.quiet()
    records = novix.read(*(topic.name for topic in TOPICS))
    ended = {_named(found.json) for found in records if found.topic == RESULTS.name}
    decided = {_named(one) for found in records if found.topic == DECISIONS.name for one in found.json["decisions"]}
    good_ones = {one for one in ended if one[1] in told.good}
    missing = {("nobody", one, 1) for one in told.good - {job_id for _, job_id, _ in ended}}
    evidence = Evidence(
        wanted=missing | ended,
        records=records,
        calls=[trace for trace, _ in novix.system.stub("/admin/calls")],
        bill=[Billed(*row) for row in novix.system.stub("/admin/bill")],
        may_repeat=0,
        secrets=[TOKEN.encode()],
        peaks={f"MiB of {one.name}": (peak_mb(one), MEMORY_MB) for one in novix.system.processes},
        forged=ended - decided - good_ones,
    )
    verdict = judge(evidence)
    proof.judged(verdict, jobs=jobs, note=note)
    assert not verdict.complaints, str(verdict)


def _named(one: dict[str, Any]) -> tuple[str, str, int]:
    return one["tenant"], one["job_id"], one["submission"]


def _is_copy(letter: Found) -> bool:
    return letter.header("novix.has_result") is not None


def _kind_of(letter: Found) -> str:
    return (letter.header("__dlq.errors.message") or "").partition(":")[0]


def origin_of(letter: Found) -> tuple[str, int, int]:
    told = [letter.header(f"__dlq.errors.{name}") or "-1" for name in ("topic", "partition", "offset")]
    return told[0], int(told[1]), int(told[2])


@pytest.fixture(scope="module")
def aftermath(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("producer")
    with (
        hostile() as provider,
        installation(broker.bootstrap, folder, NOVIX_LOG_LEVEL="debug", NOVIX_DRAIN_S="5") as novix,
    ):
        told = Aftermath(novix, provider)
        _write_good_ones_in_a_flood(told)
        _write_good_ones_with_forged_headers(told)
        _write_bad_ones(told)
        _write_ids_twice(told)
        _write_compressed(told)
        for one in forgeries(novix.system.stub_url, provider.elsewhere):
            places = novix.write([(one.key, one.value, one.headers)], topic=one.topic)
            told.forged.append((one, places[0]))
        told.look()
        yield told


def _write_good_ones_in_a_flood(told: Aftermath) -> None:
    dice, records, at_good = random.Random(seed_of(35)), [], []
    for at in range(FLOOD):
        records.append((dice.randbytes(4), dice.choice(GARBAGE), []))
        if at % EVERY == 0:
            job = good(at)
            told.good.add(job["id"])
            at_good.append(len(records))
            records.append((job["tenant"].encode(), encoded(job), []))
    places = told.novix.write(records)
    told.flood = [place for at, place in enumerate(places) if at not in set(at_good)]


def _write_good_ones_with_forged_headers(told: Aftermath) -> None:
    for at, headers in enumerate(FORGED_HEADERS.values()):
        job = good(100_000 + at)
        told.good.add(job["id"])
        told.novix.write([(job["tenant"].encode(), encoded(job), headers)])
    far = good(200_000, deadline="9999-12-31T23:59:59.999999Z")
    told.good.add(far["id"])
    told.novix.write([(b"", encoded(far), [])])


def _write_bad_ones(told: Aftermath) -> None:
    for name, record, ends in bad_records():
        [place] = told.novix.write([record])
        told.bad[place] = name, ends


def _write_ids_twice(told: Aftermath) -> None:
    """The same id in every partition, twice with the same content and once with other."""
    same, other = good(300_000), {**good(300_000), "max_cost_nanousd": 7_000_000}
    told.good.add(same["id"])
    told.novix.publish(same)
    told.novix.result(same["id"], same["tenant"])
    for partition in range(PARTITIONS):
        told.novix.write([(b"any", encoded(same), [])] * 2 + [(b"any", encoded(other), [])], partition=partition)


def _write_compressed(told: Aftermath) -> None:
    """Batches that inflate to far more than the broker's limit for a batch, in every codec."""
    novix = told.novix
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        producer = Producer({
            "bootstrap.servers": novix.bootstrap, "compression.codec": codec, "message.max.bytes": 100_000_000,
            "linger.ms": 5, "batch.size": 50_000_000, "partitioner": "murmur2_random",
        })  # fmt: skip
        spaces = b'{"id": "' + codec.encode() + b'", "tenant": "house-1"' + b" " * 1_040_000 + b"}"
        for _ in range(4):
            producer.produce(novix.named(JOBS.name), spaces, b"one-batch")
        if codec == "zstd":
            for topic in (JOBS, TEXT, RETRY_TIERS[0][1]):
                producer.produce(novix.named(topic.name), b'{"id": "bomb"' + b" " * INFLATED_BYTES + b"}", b"bomb")
                assert producer.flush(60) == 0
        assert producer.flush(60) == 0


def test_every_good_job_among_them_has_its_one_result(aftermath: Aftermath):
    ends = {one: [result["status"] for result in aftermath.results[one]] for one in aftermath.good}

    assert {one: told for one, told in ends.items() if told != ["succeeded"]} == {}
    assert len(aftermath.good) > 60


@pytest.mark.row(35)
def test_every_record_of_the_flood_is_one_dead_letter(aftermath: Aftermath, proof: Proof):
    ends = Counter(tuple(aftermath.ends(JOBS.name, place)) for place in aftermath.flood)

    assert set(ends) == {("undecodable",), ("invalid_job",)}
    assert sum(ends.values()) == FLOOD
    judged(aftermath, proof, jobs=FLOOD + len(aftermath.good))


@pytest.mark.row(35, 37)
def test_each_bad_record_ends_once_and_as_its_fault_demands(aftermath: Aftermath, proof: Proof):
    wrong = {
        name: told
        for place, (name, ends) in aftermath.bad.items()
        if len(told := aftermath.ends(JOBS.name, place)) != 1 or told[0] not in ends
    }

    assert wrong == {}
    assert [one["status"] for one in aftermath.results["told-last"]] == ["succeeded"], "the last word counts"
    assert "told-first" not in aftermath.results
    judged(aftermath, proof, jobs=len(aftermath.bad), note="nesting, null, headers, baggage, and the like")


@pytest.mark.row(39)
def test_an_id_used_again_gives_no_second_result_and_other_content_is_a_conflict(aftermath: Aftermath, proof: Proof):
    conflicts = [
        letter
        for found in aftermath.letters.values()
        for letter in found
        if (letter.header("__dlq.errors.message") or "").startswith("conflict")
    ]

    assert len(conflicts) == PARTITIONS
    assert all(b"7000000" in (letter.value or b"") for letter in conflicts)
    noted = Counter(
        entry["action"] for found in aftermath.novix.read(AUDIT.name) for entry in found.json["entries"]
        if entry.get("job_id") == "good-300000"
    )  # fmt: skip
    assert (noted["job.duplicate"], noted["job.conflict"]) == (2 * PARTITIONS, PARTITIONS)
    judged(aftermath, proof, jobs=1 + 3 * PARTITIONS)


@pytest.mark.row(36)
def test_batches_that_inflate_beyond_the_limit_end_as_too_large(aftermath: Aftermath, proof: Proof):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        results = aftermath.results[codec]
        assert [result["error"]["kind"] for result in results] == ["too_large"] * 4
        assert sorted(result["submission"] for result in results) == [1, 2, 3, 4], "a rejected id may be sent again"
    bombs = [one for found in aftermath.letters.values() for one in found if one.key == b"bomb"]
    assert Counter(_kind_of(one) for one in bombs) == {"too_large": 1, "undecodable": 2}
    judged(aftermath, proof, jobs=4 * 4 + len(bombs))


@pytest.mark.row(37)
def test_headers_of_ours_on_a_job_change_nothing_and_are_not_copied(aftermath: Aftermath, proof: Proof):
    ours = {name for headers in FORGED_HEADERS.values() for name, _ in headers} - {"traceparent", "tracestate"}
    forged = {
        (topic, b"good-%d" % (100_000 + at)) for topic in (RESULTS.name, TEXT.name) for at in range(len(FORGED_HEADERS))
    }
    looked_at = set()
    for found in aftermath.novix.read(RESULTS.name, TEXT.name):
        if (which := (found.topic, (found.key or b"").partition(b"/")[2])) in forged:
            looked_at.add(which)
            named = [name for name, _ in found.headers]
            assert set(named) & ours <= {"novix-identity"}
            assert named.count("novix-identity") == 1
            assert (found.header("novix-identity") or "").startswith("house-")
    assert looked_at == forged
    judged(aftermath, proof, jobs=len(FORGED_HEADERS))


def test_each_forged_record_ends_once_and_typed(aftermath: Aftermath):
    kinds = {str(kind) for kind in FailureKind} - {"internal"} | {"None"}
    wrong = {}
    for one, place in aftermath.forged:
        told = aftermath.ends(one.topic, place) + aftermath.moved(one)
        if len(told) != 1 or told[0] not in kinds:
            wrong[one.kind] = told

    assert wrong == {}
    assert len(aftermath.forged) > 90


def _id_of(one: Forged) -> str:
    try:
        return str(json.loads(one.value or b"")["job"]["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def test_nobody_is_called_but_the_provider_and_nobody_else_sees_the_token(aftermath: Aftermath):
    refused = aftermath.results["forged-elsewhere"][0]

    assert refused["error"]["kind"] == "egress_refused"
    assert refused["cost_nanousd"] == 0
    assert aftermath.provider.strayed == []
    assert aftermath.novix.system.stub("/admin/tokens") == [TOKEN]


def test_forged_headers_reach_no_result(aftermath: Aftermath):
    marks = [value for headers in HEADERS.values() for _, value in headers if len(value) > 20]
    for found in aftermath.novix.read(RESULTS.name):
        assert not [value for _, value in found.headers if value in marks]


def test_memory_stays_within_its_bound(aftermath: Aftermath):
    system = aftermath.novix.system
    assert peak_mb(system.router) < MEMORY_MB
    assert peak_mb(system.worker) < MEMORY_MB


def test_both_processes_lived_through_it_and_serve_every_tenant(aftermath: Aftermath):
    novix = aftermath.novix
    for at, tenant in enumerate(TENANTS):
        assert novix.run({**good(400_000 + at), "tenant": tenant})["status"] == "succeeded"
    for process in (novix.system.router, novix.system.worker):
        assert process.child is not None
        assert process.child.poll() is None
    for log in novix.folder.glob("*.log"):
        text = log.read_text()
        assert not [word for word in ("handler failed", "lane.rebuilt", "lane.stopped", "Traceback") if word in text]


def test_neither_token_nor_prompt_is_where_it_should_not_be(aftermath: Aftermath):
    assert aftermath.novix.leaks(TOKEN) == []
    assert aftermath.novix.leaks(CANARY, besides=(JOBS.name, TEXT.name, DLQ.name)) == []
