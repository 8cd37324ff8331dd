"""`novix blob`, files given to `novix run` and taken from it."""

import asyncio
import base64
import hashlib
import io
import json
import os
import secrets
import wave
from datetime import datetime, timedelta

import pytest
from aiobotocore.session import get_session
from console_world import Story
from PIL import Image

from console.payload_files import INLINE_BYTES
from runtime.ports import Outgoing
from schemas import codec
from schemas.media import BlobRef
from schemas.topics import DLQ, IMAGE, JOBS, RESULTS, RETRY_TIERS

NOBODYS = "0" * 64


def png(width=20, height=10, noise=False):
    image = Image.frombytes(
        "RGB", (width, height), os.urandom(width * height * 3) if noise else b"\x07" * width * height * 3
    )
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def wav(seconds=2, rate=8000):
    sink = io.BytesIO()
    with wave.open(sink, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\1" * rate * seconds)
    return sink.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


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


# run


def answering(output):
    """Router and worker in one line: every published job gets this output at once."""

    def answer(record, place):
        job = codec.decode(record.value)
        story = Story(job_id=job["id"], offset=place[1], output=output)
        document = {**codec.decode(story.result.encode()), "task": job["task"]}
        return [Outgoing(RESULTS.name, f"default/{job['id']}".encode(), codec.encode(document))]

    return answer


def asked(log):
    [job] = [codec.decode(row.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows]
    return job["input"]


def test_run_puts_a_small_file_into_the_job(novix, log, tmp_path):
    log.on_publish = answering([{"label": "bee", "score": 0.9}])
    (tmp_path / "bee.png").write_bytes(png())

    done = novix("run", "--task", "image-classification", "--file", "bee.png")

    assert done.exit_code == 0, done.stderr
    assert asked(log) == {"inputs": "data:image/png;base64," + base64.b64encode(png()).decode()}


def test_run_puts_a_large_file_into_the_blob_store_and_refers_to_it(novix, log, tmp_path):
    log.on_publish = answering([{"label": "bee", "score": 0.9}])
    data = png(400, 400, noise=True)
    assert len(data) > INLINE_BYTES
    (tmp_path / "bee.png").write_bytes(data)

    novix("run", "--task", "image-classification", "--file", "bee.png")

    reference = asked(log)["inputs"]["$ref"]
    assert (reference["uri"], reference["width"]) == (f"blob://{sha256(data)}", 400)
    assert novix("blob", "get", reference["sha256"], "-o", "-").stdout_bytes == data


def test_a_file_may_stand_anywhere_in_the_input_where_a_payload_does_and_nowhere_else(novix, log, tmp_path):
    log.on_publish = answering([{"answer": "7", "score": 0.9}])
    (tmp_path / "bill.png").write_bytes(png())
    given = {"inputs": {"image": "@bill.png", "question": "@bill.png"}}

    novix("run", "--task", "document-question-answering", "--input", json.dumps(given))

    assert asked(log)["inputs"]["image"].startswith("data:image/png;base64,")
    assert asked(log)["inputs"]["question"] == "@bill.png"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--task", "visual-question-answering", "How many?"], {"inputs": {"image": 0, "question": "How many?"}}),
        (["--task", "image-to-image", "as a bee"], {"inputs": 0, "parameters": {"prompt": "as a bee"}}),
        (
            ["What is it?", "--max-tokens", "9"],
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": 0}},
                            {"type": "text", "text": "What is it?"},
                        ],
                    }
                ],
                "max_tokens": 9,
            },
        ),
    ],
)
def test_a_file_and_a_text_stand_where_the_task_has_them(novix, log, tmp_path, arguments, expected):
    log.on_publish = answering({})
    (tmp_path / "bee.png").write_bytes(png())

    novix("run", "--file", "bee.png", *arguments)

    uri = json.dumps("data:image/png;base64," + base64.b64encode(png()).decode())
    assert asked(log) == json.loads(json.dumps(expected).replace(": 0", ": " + uri))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "summarization", "--file", "bee.png"], "takes no image"),
        (["--task", "visual-question-answering", "--file", "bee.png"], "wants a question"),
        (["--task", "object-detection", "--file", "bee.png", "Hi"], "takes no text"),
        (["--task", "object-detection", "--file", "nobodys.png"], "No such file"),
        (["--file", "bee.png", "--input", "{}"], "one of them"),
    ],
)
def test_files_that_cannot_be_given_are_refused_before_anything_is_published(novix, log, tmp_path, arguments, says):
    (tmp_path / "bee.png").write_bytes(png())

    done = novix("run", *arguments)

    assert (done.exit_code, says in done.stderr) == (2, True)
    assert not log.records


def test_run_writes_the_answers_payloads_into_a_folder_and_shows_no_base64(novix, log, tmp_path):
    small = {"sha256": sha256(png()), "media_type": "image/png", "bytes": len(png()), "width": 20, "height": 10}
    uri = "data:image/png;base64," + base64.b64encode(png()).decode()
    log.on_publish = answering({"image": {"$ref": {**small, "uri": uri}}})

    done = novix("run", "--task", "text-to-image", "a bee", "--id", "../bee 1", "--out", "answers")

    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "answers" / "___bee_1.png").read_bytes() == png()
    assert "base64" not in done.stdout
    assert "image/png, 20 x 10" in done.stdout


def test_run_fetches_a_large_answer_from_the_blob_store(novix, log, tmp_path):
    _, reference = put(novix, tmp_path, wav())
    log.on_publish = answering([{"blob": reference, "label": "a"}, {"blob": reference, "label": "b"}])

    done = novix("run", "--task", "audio-to-audio", "--file", "blob", "--id", "x", "--out", "answers")

    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (tmp_path / "answers").iterdir()} == {"x.wav", "x-1.wav"}
    assert all(path.read_bytes() == wav() for path in (tmp_path / "answers").iterdir())
