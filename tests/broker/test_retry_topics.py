"""Waits that pass in a retry topic, on a real broker: a job waits nowhere in memory, and nothing of it is forgotten."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from stranger import Found, Stranger, installation
from system import PARTITIONS, chat

from schemas import headers
from schemas.topics import AUDIT, DLQ, RESULTS, RETRY_TIERS, TEXT, retry_group

FIVE, SIXTY, SIX_HUNDRED = (tier for _, tier in RETRY_TIERS)
LIMITED = "Qwen/Qwen3-32B"
LATE = "google/gemma-4-31B-it"
WITHIN_S = 60


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation of its own: its processes are killed. Waits over a second leave memory."""
    with installation(
        broker.bootstrap, tmp_path_factory.mktemp("retry"), NOVIX_BREAKER="false", NOVIX_RETRY_IN_MEMORY_S="1"
    ) as stranger:
        yield stranger


def behave(novix: Stranger, model: str, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": model, **how})


def waiting(novix: Stranger, tenant: str, *tiers: str) -> list[Found]:
    """The tenant's records in retry topics, past and present."""
    topics = tiers or tuple(tier.name for _, tier in RETRY_TIERS)
    return [found for found in novix.read(*topics) if (found.key or b"").startswith(f"{tenant}/".encode())]


def until_waiting(novix: Stranger, tenant: str) -> Found:
    until = time.monotonic() + WITHIN_S
    while not (found := waiting(novix, tenant)):
        assert time.monotonic() < until, "no record came to a retry topic"
        time.sleep(0.2)  # nobody tells
    return found[0]


def deeds(novix: Stranger, tenant: str) -> list[str]:
    """The actions of the audit about a tenant, in the order of their times."""
    entries = [entry for found in novix.read(AUDIT.name) for entry in found.json["entries"]]
    mine = sorted((entry["at"], entry["action"]) for entry in entries if entry.get("tenant") == tenant)
    return [action for _, action in mine]


def test_a_long_retry_after_is_waited_for_on_the_log_while_router_and_worker_die(novix: Stranger, tenant: str):
    """Eight seconds: longer than the first tier, so it waits in the second. Both are dead before it is due."""
    behave(novix, LIMITED, fail_first=1, fail_status=429, fail_headers={"retry-after": "8"})
    novix.publish(chat("limited", tenant, model=LIMITED))
    record = until_waiting(novix, tenant)  # so the worker's lane has committed past the job
    _, told = novix.system.worker.health()
    assert (told["window"]["used"], sum(lane["works"] for lane in told["lanes"])) == (0, 0)

    novix.system.worker.kill()
    novix.system.router.kill()
    for process in novix.system.processes:
        process.start()
    result = novix.result("limited", tenant)

    assert record.topic == SIXTY.name
    assert record.key == f"{tenant}/limited".encode()
    assert record.header(headers.IDENTITY) == f"{tenant}/limited/1"
    assert record.header(headers.RETURN_TO) == TEXT.name
    assert record.header(headers.ATTEMPT) == "1"
    assert record.header(headers.CAUSE) == "rate_limited"
    assert novix.system.calls()[f"{tenant}/limited"] == 2
    assert result["status"] == "succeeded", result
    assert [attempt.get("kind") for attempt in result["attempts"]] == ["rate_limited", None]
    assert result["attempts"][1]["waited_ms"] >= 8_000
    assert result["timing_ms"]["waiting"] >= 8_000
    novix.quiet()
    mine = [found for found in novix.read(RESULTS.name) if found.key == record.key]
    assert len(mine) == 1
    assert len(waiting(novix, tenant)) == 1
    assert deeds(novix, tenant) == ["job.assigned", "job.postponed", "job.returned", "job.succeeded"]


def test_what_goes_back_has_its_key_and_value_and_says_nothing_of_its_wait(novix: Stranger, tenant: str):
    behave(novix, LIMITED, fail_first=1, fail_status=429, fail_headers={"retry-after": "2"})
    novix.publish(chat("back", tenant, model=LIMITED))
    result = novix.result("back", tenant)

    [waited] = waiting(novix, tenant)
    first, back = [found for found in novix.read(TEXT.name) if found.key == waited.key]
    assert result["status"] == "succeeded", result
    assert waited.topic == FIVE.name
    assert back.value == waited.value != first.value
    assert back.partition == first.partition
    assert {name for name, _ in back.headers} == {name for name, _ in first.headers}
    assert back.header(headers.TRACEPARENT) == first.header(headers.TRACEPARENT)
    assert back.json["job"] == first.json["job"]


def test_a_wait_that_would_pass_the_deadline_ends_now(novix: Stranger, tenant: str):
    behave(novix, LATE, status=429, headers={"retry-after": "30"})
    result = novix.run(chat("late", tenant, model=LATE, timeout_s=20))

    assert (result["status"], result["error"]["kind"]) == ("failed", "rate_limited")
    assert len(result["attempts"]) == 1
    assert waiting(novix, tenant) == []


def test_a_record_that_nobody_of_ours_wrote_becomes_a_dead_letter(novix: Stranger, tenant: str):
    """Without our headers, or sent to a topic that nobody waits for."""
    due = (headers.NOT_BEFORE, b"1")
    forged = {
        b"bare": [],
        b"to-results": [due, (headers.RETURN_TO, RESULTS.name.encode())],
        b"never": [(headers.NOT_BEFORE, b"soon"), (headers.RETURN_TO, TEXT.name.encode())],
    }
    novix.write([(name, tenant.encode(), told) for name, told in forged.items()], topic=FIVE.name)

    until = time.monotonic() + WITHIN_S
    while len(letters := [found for found in novix.read(DLQ.name) if found.value == tenant.encode()]) < len(forged):
        assert time.monotonic() < until, letters
        time.sleep(0.2)
    assert {found.key for found in letters} == set(forged)
    assert {(found.header(headers.DLQ_MESSAGE) or "").partition(":")[0] for found in letters} == {"undecodable"}
    assert {found.header(headers.DLQ_GROUP) for found in letters} == {retry_group(FIVE)}


def test_of_many_that_wait_each_goes_back_once_though_the_router_is_killed_in_the_middle(novix: Stranger, tenant: str):
    """Due one after the other within three seconds, half of them before the first kill."""
    many, now_ms = 600, int(time.time() * 1_000)
    told = [(headers.RETURN_TO, TEXT.name.encode()), (headers.IDENTITY, f"{tenant}/x/1".encode())]
    records = [
        (f"{tenant}/{number}".encode(), b"no job", [*told, (headers.NOT_BEFORE, str(now_ms + 5 * number).encode())])
        for number in range(many)
    ]
    random.Random(7).shuffle(records)
    novix.write(records, topic=FIVE.name)

    until = time.monotonic() + WITHIN_S
    kills = 0
    while len(back := gone_back(novix, tenant)) < many:
        assert time.monotonic() < until, len(back)
        time.sleep(0.2)
        if kills < 2 and len(back) > many // 3 * (kills + 1):
            novix.system.router.kill()
            novix.system.router.start()
            kills += 1
    novix.quiet()

    assert kills > 0
    assert Counter(gone_back(novix, tenant)) == {key: 1 for key, _, _ in records}


def gone_back(novix: Stranger, tenant: str) -> list[bytes]:
    return [found.key for found in novix.read(TEXT.name) if found.key and found.key.startswith(f"{tenant}/".encode())]


def test_two_routers_share_each_retry_topic_and_one_that_is_killed_is_back_under_its_id(novix: Stranger):
    second = novix.system.process(novix.system.router.arguments, "router-2").start()
    try:
        shared = {group: until_shared(novix, group, 2) for group in map(retry_group, (FIVE, SIXTY, SIX_HUNDRED))}
        before = {group: novix.joined(group) for group in shared}
        novix.system.router.kill()
        novix.system.router.start()
        for group, held in shared.items():
            until_back(novix, group, before[group])
            assert until_shared(novix, group, 2) == held
    finally:
        second.stop()


def until_shared(novix: Stranger, group: str, count: int) -> dict[str, set[int]]:
    """The group's members with their partitions, once there are `count`, each has some, and each partition one."""
    until = time.monotonic() + WITHIN_S
    while True:
        members = novix.members(group)
        held = sorted(partition for partitions in members.values() for partition in partitions)
        if len(members) == count and all(members.values()) and held == list(range(PARTITIONS)):
            return members
        assert time.monotonic() < until, members
        time.sleep(0.2)


def until_back(novix: Stranger, group: str, before: dict[str, str]) -> None:
    """Wait until one member of the group has joined it again under its name, and the other has not had to."""
    until = time.monotonic() + WITHIN_S
    while (now := novix.joined(group)) == before:
        assert time.monotonic() < until, "who was killed has not joined again"
        time.sleep(0.2)
    assert now.keys() == before.keys()
    assert len(set(now.values()) & set(before.values())) == len(before) - 1
