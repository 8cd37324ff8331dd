"""Every task's input, made hostile: each is refused with its kind before any call, or it works.

The way is that of a job: its record is read, the router looks at input and payloads, the worker loads the payloads and
asks. What comes through is still the task's published input.
"""

import asyncio
import json
import struct
import zlib
from fractions import Fraction
from typing import Any

import pytest
from sample_files import cut, image, polyglot, sound, video
from task_rows import CANDIDATE, ROWS, b64, published, written

from runtime.blobs import Blob, BlobMissing
from schemas.failure import FailureKind
from schemas.job import ReadableJob, read_job
from schemas.media import INPUTS, OUTPUTS, Kind
from schemas.payload import payload_fault
from schemas.tasks import input_fault
from schemas.topics import RECORD_LIMIT_BYTES
from workers.errors import ProviderError
from workers.exchange import Ask, Media
from workers.media import MediaLimits
from workers.modalities import TASKS, asking
from workers.payloads import Payloads
from workers.room import AnswerRoom

K = FailureKind
LIMITS = MediaLimits()
FREE = frozenset({"chat-completion", "text-generation"})
"""Tasks whose text may be spaces and control characters alone: a model goes on from there."""
TEXTS = {
    task: row.texts or ("inputs",)
    for task, row in ROWS.items()
    if row.texts or isinstance(row.job_input.get("inputs"), str)
}
"""Where each task has a text that it cannot do without."""
PAYLOADS = {task: places[0] for task, places in INPUTS.items() if task != "chat-completion"}
LIMITED: dict[str, tuple[tuple[str, int], ...]] = {
    "text-to-image": (("inputs", asking.MAX_PROMPT_CHARS),),
    "text-to-video": (("inputs", asking.MAX_PROMPT_CHARS),),
    "text-to-speech": (("inputs", asking.MAX_SPOKEN_CHARS),),
    "text-to-audio": (("inputs", asking.MAX_SPOKEN_CHARS),),
    "image-to-image": (("parameters.prompt", asking.MAX_PROMPT_CHARS),),
    "zero-shot-classification": (("parameters.candidate_labels.0", 1_000),),
}
"""Texts that have a limit of their own; the others have that of the record."""


class NoBlobs:
    """A blob store with nothing in it."""

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        raise BlobMissing(f"no blob {sha256[:8]}")


def through(task: str, job_input: Any) -> Ask | FailureKind:
    """What becomes of a job with this input: what is asked, or why it is refused."""
    try:
        record = json.dumps({"id": "j", "task": task, "input": job_input}).encode()
    except UnicodeEncodeError:
        return K.UNDECODABLE
    reading = read_job(record, ())
    if not isinstance(reading, ReadableJob):
        return reading.kind
    given = reading.job.input
    if input_fault(task, given) is not None:
        return K.INVALID_INPUT
    if payload_fault(task, given, max_bytes=LIMITS.max_bytes) is not None:
        return K.INVALID_MEDIA
    try:
        return asyncio.run(_asked(task, given))
    except ProviderError as error:
        failure = error
    assert failure.nothing_sent
    assert 0 < len(failure.message) <= 300
    return failure.kind


async def _asked(task: str, given: Any) -> Ask:
    payloads = Payloads(NoBlobs(), None, LIMITS, AnswerRoom(2**28, LIMITS.max_bytes))  # type: ignore[arg-type]
    async with payloads.loaded(task, given, total_s=30) as loaded:
        return TASKS[task].ask(loaded, {}, CANDIDATE)


def put(value: Any, path: str, new: Any) -> Any:
    """`value` with `new` at `path`."""
    step, _, rest = path.partition(".")
    key: Any = int(step) if isinstance(value, list) else step
    copy = value.copy() if isinstance(value, dict | list) else {}
    copy[key] = put(copy[key] if rest and (isinstance(copy, list) or key in copy) else {}, rest, new) if rest else new
    return copy


def bomb() -> bytes:
    """A PNG whose header says 100,000 x 100,000 pixels."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def endless() -> bytes:
    """A WAV of one byte a second, ten times as long as the limit allows."""
    size = int(LIMITS.max_audio_s * 10)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 1, 1, 1, 8)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form + b"data" + struct.pack("<I", size) + bytes(size)


OTHER: dict[Kind, bytes] = {"image": sound(), "audio": image(), "video": image()}
WHOLE: dict[Kind, bytes] = {"image": image(), "audio": sound(), "video": video()}
REFUSED_FILES: dict[str, dict[Kind, bytes]] = {
    "empty": dict.fromkeys(WHOLE, b""),
    "a page": dict.fromkeys(WHOLE, b"<html><body>404</body></html>"),
    "JSON": dict.fromkeys(WHOLE, b'{"error": "not found"}'),
    "an archive": dict.fromkeys(WHOLE, b"PK\x05\x06" + bytes(18)),
    "of another kind": OTHER,
    "cut short": {"image": cut(image()), "audio": cut(sound()), "video": cut(video())[:40]},
    "beyond its limit": {"image": bomb(), "audio": endless(), "video": video(8, rate=Fraction(1, 1_000))},
    "without length": {"audio": sound(0)},
    "followed by an archive": {"video": polyglot(video())},
    "of 32 channels": {"audio": sound(100, channels=32)},
}
WORKING_FILES: dict[str, dict[Kind, bytes]] = {
    "16 bits deep": {"image": image(mode="I;16")},
    "CMYK": {"image": image(mode="CMYK", form="JPEG")},
    "grey": {"image": image(mode="L")},
    "transparent": {"image": image(mode="RGBA")},
    "animated": {"image": image(form="GIF", mode="L", frames=3)},
    "WebP": {"image": image(form="WEBP")},
    "of one pixel": {"image": image(1, 1)},
    "in 8 channels": {"audio": sound(100, channels=8)},
    "of 5 ms": {"audio": sound(5)},
    "followed by an archive": {"image": polyglot(image()), "audio": polyglot(sound())},
}


def files(table: dict[str, dict[Kind, bytes]]) -> list[Any]:
    return [
        pytest.param(task, ".".join(place.path), data[place.kind], id=f"{task}-{name}")
        for task, place in PAYLOADS.items()
        for name, data in table.items()
        if place.kind in data
    ]


def texts() -> list[Any]:
    return [pytest.param(task, path, id=f"{task}-{path}") for task, paths in TEXTS.items() for path in paths]


def test_the_tables_leave_no_task_out() -> None:
    assert set(TEXTS) | set(PAYLOADS) == set(TASKS) == set(ROWS)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_good_input_comes_through(task: str) -> None:
    ask = through(task, written(task))
    assert isinstance(ask, Ask)
    assert input_fault(task, published(task, "input", dict(ask.body))) is None


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize("value", [{}, [], None, 5, {"inputs": None}, {"inputs": []}, {"inputs": {}}], ids=repr)
def test_an_input_without_what_the_task_needs_is_refused(task: str, value: Any) -> None:
    assert through(task, value) in (K.INVALID_JOB, K.INVALID_INPUT, K.INVALID_MEDIA)


@pytest.mark.parametrize(("task", "path"), texts())
def test_a_text_that_is_none_is_refused(task: str, path: str) -> None:
    values: list[Any] = ["", 5, True, None, {}, {"text": "x"}, [""], [5]]
    for value in values:
        if task == "chat-completion" and value in ("", None):  # a message may have no words: tool calls, reasoning
            continue
        assert through(task, put(written(task), path, value)) is K.INVALID_INPUT, repr(value)


@pytest.mark.parametrize(("task", "path"), texts())
def test_a_text_of_control_characters_and_spaces_says_nothing(task: str, path: str) -> None:
    for value in ("\x00\x01\x02", " \n\t ", "\u200b\u202e\ufeff", "\x7f"):
        came = through(task, put(written(task), path, value))
        assert isinstance(came, Ask) if task in FREE else came is K.INVALID_INPUT, repr(value)


@pytest.mark.parametrize(("task", "path"), texts())
def test_a_text_with_control_characters_among_others_works(task: str, path: str) -> None:
    asked = through(task, put(written(task), path, "a\x00b \u202e\U0001f600 cat"))
    assert isinstance(asked, Ask)
    json.dumps(published(task, "input", dict(asked.body)), ensure_ascii=False).encode()


@pytest.mark.parametrize(("task", "path"), texts())
def test_half_a_surrogate_pair_is_refused(task: str, path: str) -> None:
    for value in ("\ud800", "cat \udc00", "\udfff\ud800"):
        assert through(task, put(written(task), path, value)) is K.UNDECODABLE
        with pytest.raises(ProviderError, match="surrogate") as caught:  # were it to come another way
            TASKS[task].ask(put(ROWS[task].job_input, path, value), {}, CANDIDATE)
        assert caught.value.kind is K.INVALID_INPUT
        assert caught.value.nothing_sent


@pytest.mark.parametrize(("task", "path"), texts())
def test_ten_times_what_a_record_holds_is_too_large(task: str, path: str) -> None:
    assert through(task, put(written(task), path, "a" * 10 * RECORD_LIMIT_BYTES)) is K.TOO_LARGE


@pytest.mark.parametrize(("task", "path", "limit"), [(task, *one) for task, all in LIMITED.items() for one in all])
def test_a_text_over_its_own_limit_is_refused_with_size_and_limit(task: str, path: str, limit: int) -> None:
    assert isinstance(through(task, put(written(task), path, "a" * limit)), Ask)
    assert through(task, put(written(task), path, "a" * (limit + 1))) is K.INVALID_INPUT
    assert through(task, put(written(task), path, "a" * 10 * limit)) in (K.INVALID_INPUT, K.TOO_LARGE)
    with pytest.raises(ProviderError, match=f"{limit + 1} characters; the limit is {limit}"):
        TASKS[task].ask(put(ROWS[task].job_input, path, "a" * (limit + 1)), {}, CANDIDATE)


@pytest.mark.parametrize(("task", "path", "data"), files(REFUSED_FILES))
def test_a_file_that_cannot_be_used_is_refused_before_any_call(task: str, path: str, data: bytes) -> None:
    assert through(task, put(written(task), path, b64(data))) is K.INVALID_MEDIA


@pytest.mark.parametrize(("task", "path", "data"), files(WORKING_FILES))
def test_an_unusual_file_works(task: str, path: str, data: bytes) -> None:
    assert isinstance(through(task, put(written(task), path, b64(data))), Ask)


@pytest.mark.parametrize("task", sorted(PAYLOADS))
def test_a_payload_that_is_written_wrongly_is_refused(task: str) -> None:
    path = ".".join(PAYLOADS[task].path)
    for value in (
        5,
        [],
        {},
        True,
        None,
        "no base64!",
        "data:image/png;base64,?",
        "ftp://example.org/x",
        "file:///x",
        {"$ref": 1},
    ):
        assert through(task, put(written(task), path, value)) in (K.INVALID_INPUT, K.INVALID_MEDIA), repr(value)


@pytest.mark.parametrize("task", sorted(PAYLOADS))
def test_a_reference_to_nothing_and_one_of_ten_times_the_limit_are_refused(task: str) -> None:
    path = ".".join(PAYLOADS[task].path)
    ref = {"sha256": "0" * 64, "uri": "blob://" + "0" * 64, "media_type": "image/png", "bytes": 10}
    assert through(task, put(written(task), path, {"$ref": ref})) is K.PAYLOAD_MISSING
    large = {**ref, "bytes": 10 * LIMITS.max_bytes}
    assert through(task, put(written(task), path, {"$ref": large})) is K.INVALID_MEDIA


@pytest.mark.parametrize("task", sorted(PAYLOADS))
def test_a_payload_that_was_not_loaded_is_never_asked(task: str) -> None:
    with pytest.raises(ProviderError) as caught:
        TASKS[task].ask(put(ROWS[task].job_input, ".".join(PAYLOADS[task].path), "text"), {}, CANDIDATE)
    assert caught.value.kind is K.INVALID_MEDIA
    wrong = Media("image" if PAYLOADS[task].kind != "image" else "audio", b"x", "x/y")
    with pytest.raises(ProviderError, match="is needed"):
        TASKS[task].ask(put(ROWS[task].job_input, ".".join(PAYLOADS[task].path), wrong), {}, CANDIDATE)


def test_a_chats_image_is_held_to_the_same_rules() -> None:
    def shown(url: Any) -> Any:
        part = {"type": "image_url", "image_url": {"url": url}}
        return through("chat-completion", {"messages": [{"role": "user", "content": [part]}]})

    assert isinstance(shown("data:image/png;base64," + b64(image())), Ask)
    assert isinstance(shown("https://example.org/cat.png"), Ask)
    for url in (b64(image()), "http://example.org/cat.png", "data:image/png;base64,"):
        assert shown(url) is K.INVALID_MEDIA
    for data in (b"<html>", sound(), bomb(), cut(image())):
        assert shown("data:image/png;base64," + b64(data)) is K.INVALID_MEDIA


WRONG: list[tuple[str, str, Any]] = [
    *[(task, f"parameters.{name}", value)
      for task in ("text-to-image",) for name in ("width", "height") for value in (0, -1, 81_920, 1.5, "x")],
    *[(task, f"parameters.target_size.{name}", value)
      for task in ("image-to-image", "image-to-video") for name in ("width",) for value in (0, -1, 81_920)],
    ("text-to-image", "parameters", {"width": 8_192, "height": 8_192}),
    *[(task, "parameters.num_inference_steps", value)
      for task in ("text-to-image", "image-to-image", "text-to-video", "image-to-video", "image-text-to-image",
                   "image-text-to-video") for value in (0, -5, 10_000)],
    *[(task, "parameters.num_frames", value)
      for task in ("text-to-video", "image-to-video", "image-text-to-video", "video-classification")
      for value in (0, -1, 14_400)],
    *[(task, "parameters.top_k", value)
      for task in ("text-classification", "image-classification", "audio-classification", "video-classification",
                   "fill-mask", "question-answering", "visual-question-answering", "document-question-answering")
      for value in (0, -1, 100_000, "x")],
    *[(task, "parameters.candidate_labels", value)
      for task in ("zero-shot-classification", "zero-shot-image-classification", "zero-shot-object-detection")
      for value in ([], [""], ["a", "\x00"], [f"l{at}" for at in range(2_560)], "a,b", [5])],
    *[("object-detection", "parameters.threshold", value) for value in (-0.1, 1.1, 10)],
    *[("text-generation", f"parameters.{name}", value)
      for name, value in (("temperature", 20.0), ("temperature", -1), ("top_p", 10), ("best_of", -1), ("stop", 5))],
    *[("chat-completion", name, value)
      for name, value in (("temperature", 20), ("temperature", -1), ("top_p", 10), ("top_p", -0.1),
                          ("frequency_penalty", 20), ("messages", []), ("messages", [5]), ("messages", {}))],
    ("feature-extraction", "inputs", ["a"] * (10 * asking.MAX_BATCH)),
    ("feature-extraction", "inputs", ["a", ""]),
    ("sentence-similarity", "inputs.sentences", []),
    ("sentence-similarity", "inputs.sentences", ["a"] * (10 * asking.MAX_BATCH)),
    ("table-question-answering", "inputs.table", {}),
    ("table-question-answering", "inputs.table", {"a": []}),
    ("table-question-answering", "inputs.table", {"a": ["1"], "b": ["1", "2"]}),
    ("table-question-answering", "inputs.table", {"a": ["1"] * 20_001}),
    ("table-question-answering", "inputs.table", {"a": [1]}),
    ("image-to-text", "parameters.max_new_tokens", 0),
    ("image-to-text", "parameters.max_new_tokens", 10 * asking.MAX_NEW_TOKENS),
    ("automatic-speech-recognition", "parameters.generation_parameters", {"temperature": 20}),
    ("text-to-speech", "parameters.generation_parameters", {"max_new_tokens": 81_920}),
    ("summarization", "parameters.generate_parameters", {"max_length": 81_920}),
    ("translation", "parameters.generate_parameters", {"num_beams": 640}),
    ("image-to-text", "parameters.generation_parameters", {"num_beams": 0}),
    ("translation", "parameters.truncation", "sometimes"),
    ("token-classification", "parameters.aggregation_strategy", "median"),
    ("image-segmentation", "parameters.subtask", "other"),
    ("image-text-to-image", "parameters.prompt", ""),
    ("image-text-to-video", "parameters.prompt", "\x00"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "path", "value"), WRONG, ids=lambda one: repr(one)[:40])
def test_a_parameter_out_of_its_range_is_refused(task: str, path: str, value: Any) -> None:
    assert through(task, put(written(task), path, value)) is K.INVALID_INPUT


def test_an_image_and_words_or_one_of_them_is_enough() -> None:
    for task in ("image-text-to-image", "image-text-to-video"):
        assert isinstance(through(task, {"inputs": b64(image())}), Ask)
        assert isinstance(through(task, {"parameters": {"prompt": "a cat"}}), Ask)
        assert through(task, {"parameters": {"seed": 1}}) is K.INVALID_INPUT


def test_no_message_repeats_what_was_given() -> None:
    for task, paths in TEXTS.items():
        for path in paths:
            with pytest.raises(ProviderError) as caught:
                TASKS[task].ask(put(ROWS[task].job_input, path, "hunter2\ud800" * 9), {}, CANDIDATE)
            assert "hunter2" not in caught.value.message
            assert path.rpartition(".")[2].isdigit() or path.split(".")[0] in caught.value.message


def test_every_task_that_makes_something_makes_one() -> None:
    for task in OUTPUTS:
        if task not in INPUTS or task.startswith(("image-to", "image-text")):
            asked = through(task, put(written(task), "parameters.num_images", 3))
            assert isinstance(asked, Ask)
            assert asked.adapted == {"num_images": {"asked": 3, "given": 1, "bound_by": "one output"}}
