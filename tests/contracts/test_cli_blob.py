"""`novix blob`: payloads in the store, and their expiry."""

import asyncio
import json
import os
import secrets
from datetime import datetime, timedelta

import pytest
from aiobotocore.session import get_session
from sample_payloads import png, sha256, wav

from runtime.ports import Outgoing
from schemas import codec
from schemas.media import BlobRef
from schemas.topics import DLQ, IMAGE, JOBS, RESULTS, RETRY_TIERS

NOBODYS = "0" * 64


# put and get


def test_put_prints_the_digest_and_a_reference_to_paste(novix, tmp_path):
    (tmp_path / "bee.bin").write_bytes(png())

    done = novix("blob", "put", "bee.bin")

    digest, reference = done.stdout.splitlines()
    assert (done.exit_code, digest) == (0, sha256(png()))
    assert json.loads(reference) == {
        "$ref": {
            "sha256": digest,
            "uri": f"blob://{digest}",
            "media_type": "image/png",
            "bytes": len(png()),
            "width": 20,
            "height": 10,
        }
    }
    BlobRef.model_validate(json.loads(reference)["$ref"])


def test_a_sound_is_told_with_its_length(novix, tmp_path):
    (tmp_path / "x").write_bytes(wav())

    told = json.loads(novix("blob", "put", "x", "--json").stdout)["$ref"]

    assert (told["media_type"], told["duration_ms"], told["sampling_rate"], told["channels"]) == (
        "audio/wav", 2000, 8000, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "media_type"),
    [(["notes.txt"], "text/plain"), (["notes.txt", "--type", "text/markdown"], "text/markdown")],
)
def test_what_is_no_image_sound_or_video_has_the_type_that_is_said_or_the_names(novix, tmp_path, arguments, media_type):
    (tmp_path / "notes.txt").write_bytes(b"some text")

    assert json.loads(novix("blob", "put", *arguments, "--json").stdout)["$ref"]["media_type"] == media_type


@pytest.mark.parametrize("media_type", ["", "text", "a/b\nx: y", "h\u00e9/x", "a/" + "b" * 300])
def test_a_type_that_is_no_media_type_is_refused_and_nothing_is_put(novix, tmp_path, media_type):
    (tmp_path / "notes.txt").write_bytes(b"some text")

    done = novix("blob", "put", "notes.txt", "--type", media_type)

    assert (done.exit_code, "--type must be" in done.stderr) == (2, True)
    assert not (tmp_path / "home" / "blobs").exists()


def test_get_gives_the_bytes_back_and_overwrites_nothing(novix, tmp_path):
    (tmp_path / "bee.png").write_bytes(png())
    digest = novix("blob", "put", "bee.png").stdout.splitlines()[0]

    first = novix("blob", "get", f"blob://{digest}", "-o", "again.png")
    second = novix("blob", "get", digest, "-o", "again.png")
    named = novix("blob", "get", digest)

    assert first.exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == png()
    assert (second.exit_code, "not overwritten" in second.stderr) == (2, True)
    assert named.exit_code == 0
    assert (tmp_path / f"{digest[:16]}.png").read_bytes() == png()


def test_get_to_standard_output_is_the_bytes_alone(novix, tmp_path):
    (tmp_path / "bee.png").write_bytes(png())
    digest = novix("blob", "put", "bee.png").stdout.splitlines()[0]

    assert novix("blob", "get", digest, "-o", "-").stdout_bytes == png()


def test_get_of_what_is_not_there_ends_with_3_and_leaves_no_file(novix, tmp_path):
    done = novix("blob", "get", NOBODYS, "-o", "x.png")

    assert (done.exit_code, NOBODYS in done.stderr) == (3, True)
    assert not (tmp_path / "x.png").exists()


def test_a_damaged_blob_is_not_written(novix, tmp_path):
    (tmp_path / "bee.png").write_bytes(png())
    digest = novix("blob", "put", "bee.png").stdout.splitlines()[0]
    (tmp_path / "home" / "blobs" / digest[:2] / digest).write_bytes(b"x")

    done = novix("blob", "get", digest, "-o", "x.png")

    assert (done.exit_code, (tmp_path / "x.png").exists()) == (1, False)


def test_a_file_over_the_limit_is_refused_with_it(novix, tmp_path):
    (tmp_path / "large").write_bytes(bytes(2000))

    done = novix("blob", "put", "large", NOVIX_MAX_PAYLOAD_BYTES="1024")

    assert done.exit_code == 2
    assert "more than 1024 bytes (NOVIX_MAX_PAYLOAD_BYTES)" in done.stderr


# gc


def put(novix, tmp_path, data, *, old=True):
    """A blob; an old one was put long ago."""
    (tmp_path / "blob").write_bytes(data)
    reference = json.loads(novix("blob", "put", "blob", "--json").stdout)
    digest = reference["$ref"]["sha256"]
    if old:
        os.utime(tmp_path / "home" / "blobs" / digest[:2] / digest, (0, 0))
    return digest, reference


def there(novix, digest):
    return novix("blob", "get", digest, "-o", "-").exit_code == 0


def job_of(reference, job_id="a1"):
    return {"id": job_id, "task": "image-classification", "input": {"inputs": reference}}


def swept(novix, *arguments, **environment):
    done = novix("blob", "gc", "--json", *arguments, **environment)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_gc_removes_the_old_that_nobody_names_and_keeps_the_young(novix, log, tmp_path):
    old, _ = put(novix, tmp_path, b"old")
    young, _ = put(novix, tmp_path, b"young", old=False)

    told = swept(novix)

    assert told == {"dry_run": False, "removed": 1, "bytes": 3, "needed": 0, "young": 1}
    assert (there(novix, old), there(novix, young)) == (False, True)


def test_a_dry_run_tells_the_same_and_removes_nothing(novix, log, tmp_path):
    old, _ = put(novix, tmp_path, b"old")

    assert swept(novix, "--dry-run") == {"dry_run": True, "removed": 1, "bytes": 3, "needed": 0, "young": 0}
    assert there(novix, old)


def test_gc_keeps_what_an_unfinished_job_names_and_lets_it_go_when_the_job_has_ended(novix, log, tmp_path):
    digest, reference = put(novix, tmp_path, b"old")
    partition, offset = log.append(Outgoing(JOBS.name, b"default", codec.encode(job_of(reference))))

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)

    ended = {"job_id": "a1", "received": {"topic": JOBS.name, "partition": partition, "offset": offset}}
    log.append(Outgoing(RESULTS.name, b"default/a1", codec.encode(ended)))

    assert swept(novix)["removed"] == 1
    assert not there(novix, digest)


def test_the_end_of_one_job_lets_go_of_nothing_that_another_names(novix, log, tmp_path):
    digest, reference = put(novix, tmp_path, b"old")
    places = [log.append(Outgoing(JOBS.name, b"default", codec.encode(job_of(reference, job)))) for job in ("a", "b")]
    ended = {"received": {"partition": places[0][0], "offset": places[0][1]}}
    log.append(Outgoing(RESULTS.name, b"default/a", codec.encode(ended)))

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


def test_a_forwarded_job_is_the_one_that_its_producer_wrote(novix, log, tmp_path):
    digest, reference = put(novix, tmp_path, b"old")
    value = codec.encode(job_of(reference))
    partition, offset = log.append(Outgoing(JOBS.name, b"x", value, (), 3))
    log.append(Outgoing(JOBS.name, b"x", value, (("novix-origin", f"{partition}/{offset}/1".encode()),), 1))
    ended = {"received": {"partition": partition, "offset": offset}}
    log.append(Outgoing(RESULTS.name, b"default/a1", codec.encode(ended)))

    assert swept(novix)["removed"] == 1
    assert not there(novix, digest)


@pytest.mark.parametrize("topic", [IMAGE.name, *(tier.name for _, tier in RETRY_TIERS)])
def test_gc_keeps_what_an_assigned_or_waiting_job_names_though_its_own_record_is_gone(novix, log, tmp_path, topic):
    digest, reference = put(novix, tmp_path, b"old")
    assigned = {"job": job_of(reference), "received": {"partition": 2, "offset": 7}}
    log.append(Outgoing(topic, b"default/a1", codec.encode(assigned)))

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


@pytest.mark.parametrize("cut", [False, True])
def test_gc_keeps_what_a_dead_letter_names_though_its_job_has_a_result(novix, log, tmp_path, cut):
    digest, reference = put(novix, tmp_path, b"old")
    value = codec.encode(job_of(reference))
    partition, offset = log.append(Outgoing(JOBS.name, b"default", value))
    log.append(Outgoing(DLQ.name, b"default", value[:-1] if cut else value))
    ended = {"received": {"partition": partition, "offset": offset}}
    log.append(Outgoing(RESULTS.name, b"default/a1", codec.encode(ended)))

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


def test_a_reference_in_other_spelling_counts_as_well(novix, log, tmp_path):
    digest, _ = put(novix, tmp_path, b"old")
    job = '{"id":"a1","task":"x","input":{"deep":[{"\\u0024ref":{"uri":"blob:\\u002f/DIGEST"}}]}}'
    log.append(Outgoing(JOBS.name, b"default", job.replace("DIGEST", digest).encode()))

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


def test_a_job_that_comes_while_the_topics_are_read_is_seen(novix, log, tmp_path, monkeypatch):
    digest, reference = put(novix, tmp_path, b"old")
    late = Outgoing(JOBS.name, b"default", codec.encode(job_of(reference)))
    reader = log.reader()
    late_once = iter([late])

    async def read(topic, partition, start, end):
        if topic == RESULTS.name and (record := next(late_once, None)):
            log.append(record)
        for record in log.records.get((topic, partition), [])[start:end]:
            yield record

    reader.read = read
    monkeypatch.setattr(log, "reader", lambda: reader)

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


@pytest.mark.parametrize("reading", [1, 2])
def test_a_dead_letter_that_comes_with_its_result_while_the_topics_are_read_is_seen(
    novix, log, tmp_path, monkeypatch, reading
):
    digest, reference = put(novix, tmp_path, b"old")
    value = codec.encode(job_of(reference))
    partition, offset = log.append(Outgoing(JOBS.name, b"default", value))
    ended = codec.encode({"received": {"partition": partition, "offset": offset}})
    reader, times = log.reader(), []

    async def read(topic, partition, start, end):
        for record in log.records.get((topic, partition), [])[start:end]:
            yield record
        if topic == DLQ.name and partition == log.partitions - 1:
            times.append(topic)
            if len(times) == reading:
                log.append(Outgoing(DLQ.name, b"default", value))
                log.append(Outgoing(RESULTS.name, b"default/a1", ended))

    reader.read = read
    monkeypatch.setattr(log, "reader", lambda: reader)

    assert swept(novix)["needed"] == 1
    assert there(novix, digest)


def test_how_long_blobs_are_kept_is_a_setting(novix, log, tmp_path):
    digest, _ = put(novix, tmp_path, b"new", old=False)

    assert swept(novix, NOVIX_BLOB_DAYS="0")["removed"] == 1
    assert not there(novix, digest)


def test_put_get_and_gc_do_the_same_on_s3(novix, log, s3, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"cli-{secrets.token_hex(4)}"
    asyncio.run(make_bucket(s3.endpoint, bucket))
    where = {"NOVIX_BLOB_STORE": f"s3://{bucket}/some/prefix", "NOVIX_S3_ENDPOINT": s3.endpoint, "NOVIX_BLOB_DAYS": "0"}
    (tmp_path / "bee.png").write_bytes(png())

    put = novix("blob", "put", "bee.png", "--json", **where)
    digest = json.loads(put.stdout)["$ref"]["sha256"]
    got = novix("blob", "get", digest, "-o", "-", **where)
    monkeypatch.setattr("console.commands.blob.datetime", InAMinute)
    gone = swept(novix, **where)

    assert got.stdout_bytes == png()
    assert (gone["removed"], gone["bytes"]) == (1, len(png()))
    assert novix("blob", "get", digest, "-o", "-", **where).exit_code == 3


async def make_bucket(endpoint, name):
    async with get_session().create_client("s3", region_name="us-east-1", endpoint_url=endpoint) as client:
        await client.create_bucket(Bucket=name)


class InAMinute(datetime):
    """S3 tells whole seconds: what was put just now is younger than now."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(minutes=1)
