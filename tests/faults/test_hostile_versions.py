"""Writers of other versions side by side, and outputs that their topic refuses: typed ends, and the lanes go on."""

import json
from collections import Counter

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from ordeal import CALL_MS, Ordeal, ordeal
from stranger import encoded
from system import chat

LIMIT_BYTES = 30_000
"""What the results topic takes: less than an answer that a result carries inside it."""
MODEL = "meta-llama/Llama-3.3-70B-Instruct"
NEWER = {"urgency": "whenever", "x_hints": [{"deep": [1, 2, {"er": None}]}], "shard": 7}
"""Fields that only a newer writer knows."""
WORDS = ({"priority": "whenever"}, {"task": "mind-reading"})
"""Words of a newer writer, in fields that have had few."""


def narrow(run: Ordeal, topic: str, limit_bytes: int) -> None:
    """From now on the topic refuses records above the limit."""
    entry = ConfigEntry("max.message.bytes", str(limit_bytes), incremental_operation=AlterConfigOpType.SET)
    named = ConfigResource(ConfigResource.Type.TOPIC, run.stranger.named(topic), incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": run.stranger.bootstrap})
    for told in admin.incremental_alter_configs([named]).values():
        told.result(10)


def ends(run: Ordeal) -> Counter[str]:
    """How jobs ended: the failure's kind, or the status."""
    results = [found.json for found in run.stranger.until(lambda _: True)]
    return Counter((one["error"] or {}).get("kind") or one["status"] for one in results)


@pytest.mark.long
@pytest.mark.row(36)
def test_an_output_that_its_topic_refuses_ends_its_job_once_and_is_not_tried_again(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        narrow(run, "inference.results.v1", LIMIT_BYTES)
        run.system.stub("/admin/behave", {"model": MODEL, "delay_ms": CALL_MS, "words": LIMIT_BYTES // 3})
        for _ in range(5):
            run.publish(4, model=MODEL)
            run.publish(20)
        run.until()
        ended, calls = ends(run), run.system.calls()
        run.verdict(note=f"{ended['output_too_large']} outputs were too large")

    assert ended == {"output_too_large": 20, "succeeded": 100}
    assert set(calls.values()) == {1}, "what was paid for is not paid for again"


@pytest.mark.row(38)
def test_jobs_of_other_versions_side_by_side_are_read_as_far_as_they_can_be(broker, tmp_path, proof):
    """A newer producer's fields travel on unread, a newer router's as well; an unknown version is set aside."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        for _ in range(4):
            run.publish(15)
            run.publish(15, **NEWER)
            run.publish(15, schema=1)
        strange = [chat(f"strange-{at}", "tenant-1", schema=2 + at) for at in range(6)]
        short = [{"id": f"short-{at}", "tenant": "tenant-1"} for at in range(6)]
        grown = [chat(f"grown-{at}", "tenant-1", **WORDS[at % 2]) for at in range(6)]
        run.stranger.write([(b"tenant-1", encoded(one), []) for one in (*strange, *short, *grown)])
        run.wanted += [("tenant-1", one["id"], 1) for one in (*strange, *short, *grown)]
        run.publish(15)
        run.until()
        routed = next(found for found in run.stranger.read("inference.text.v1") if b"x_hints" in (found.value or b""))
        from_newer = {**routed.json, "written_by": "a newer router"}
        from_newer["assignment"] |= {"hedge_after_ms": 40}
        from_newer["job"] |= {"id": "routed-by-newer"}
        key = f"{from_newer['job']['tenant']}/routed-by-newer"
        run.stranger.write([(key.encode(), json.dumps(from_newer).encode(), routed.headers)], topic=routed.topic)
        late = run.stranger.result("routed-by-newer", from_newer["job"]["tenant"])
        ended = ends(run)
        run.forged = {(from_newer["job"]["tenant"], "routed-by-newer", 1)}
        run.verdict(note=", ".join(f"{count} {kind}" for kind, count in sorted(ended.items())))

    assert late["status"] == "succeeded"
    assert ended == {"succeeded": 196, "unknown_schema": 6, "invalid_job": 9, "unknown_task": 3}
