"""Files given to `novix run` and taken from it."""

import base64
import json

import pytest
from console_world import Story
from sample_payloads import png, sha256, wav

from console.payload_files import INLINE_BYTES
from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import JOBS, RESULTS


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
    (tmp_path / "sound").write_bytes(wav())
    reference = json.loads(novix("blob", "put", "sound", "--json").stdout)
    log.on_publish = answering([{"blob": reference, "label": "a"}, {"blob": reference, "label": "b"}])

    done = novix("run", "--task", "audio-to-audio", "--file", "sound", "--id", "x", "--out", "answers")

    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (tmp_path / "answers").iterdir()} == {"x.wav", "x-1.wav"}
    assert all(path.read_bytes() == wav() for path in (tmp_path / "answers").iterdir())
