"""Forms of several parts, the files in them, the small samples, what an answer shows, and advice for a search without
hits."""

import base64
import contextlib
import hashlib
from typing import Any

import pytest
from hub_world import MemoryHub
from hypothesis import given
from hypothesis import strategies as st
from sample_payloads import png, wav
from starlette.datastructures import QueryParams

from console.hub.answered import media_of
from console.hub.small_media import SMALL, picture, sound
from console.hub.tasks import BadForm, input_of
from console.hub.trying import Try
from console.hub.uploads import MOST_FILE_BYTES, Parts, parts_of, payload
from console.pages.hub_advice import near_words, without
from console.pages.hub_asked import asked, chips, condition_names, criterion_of
from console.payload_files import INLINE_BYTES
from runtime.settings import Settings
from schemas.media import BlobRef
from workers.media import probed

TYPE = "multipart/form-data; boundary=xyz"


def sent(*parts: tuple[str, str | None, bytes]) -> bytes:
    """A form as a browser sends it."""
    told = b""
    for name, filename, data in parts:
        more = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
        told += f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
    return told + b"--xyz--\r\n"


def test_a_form_in_parts_gives_its_fields_and_its_file():
    data = b"\x89PNG\r\n--xy\r\n\r\n&&=\0"
    parts = parts_of(TYPE, sent(("task", None, "größer".encode()), ("chosen", "a.png", data), ("other", "", b"")))

    assert parts.fields == {"task": "größer"}
    assert parts.files == {"chosen": data}


@given(st.binary(max_size=300).filter(lambda data: b"\r\n--xyz" not in data))
def test_whatever_bytes_a_file_has_come_as_they_were_sent(data: bytes):
    assert parts_of(TYPE, sent(("chosen", "x", data))).files.get("chosen", b"") == data


@pytest.mark.parametrize(
    ("content_type", "body", "told"),
    [
        ("multipart/form-data", sent(("a", None, b"b")), "names no boundary"),
        (TYPE, b"", "breaks off after 0 bytes"),
        (TYPE, sent(("a", None, b"b"))[:-6], "breaks off"),
        (TYPE, b"--xyz\r\n\r\nb\r\n--xyz--", "has no name"),
        (TYPE, sent(*[("a", None, b"b")] * 101), "may have 100 fields"),
    ],
)
def test_what_is_no_such_form_is_refused(content_type: str, body: bytes, told: str):
    with pytest.raises(BadForm, match=told):
        parts_of(content_type, body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_are_refused(body: bytes):
    with contextlib.suppress(BadForm):
        assert isinstance(parts_of(TYPE, b"--xyz" + body), Parts)


def test_a_small_file_stands_in_the_job_and_a_large_one_is_referred_to():
    small, large = png(), png(300, 300, noise=True)
    told, store = payload(small, "image-classification", Settings())
    assert told == "data:image/png;base64," + base64.b64encode(small).decode()
    assert store is None

    assert len(large) > INLINE_BYTES
    told, store = payload(large, "image-classification", Settings())
    ref = BlobRef.model_validate(told["$ref"])
    assert (ref.uri, ref.bytes, ref.width) == ("blob://" + hashlib.sha256(large).hexdigest(), len(large), 300)
    assert store is not None
    assert store.data == large
    assert input_of("image-classification", {"file": told}) == {"inputs": told}


@pytest.mark.parametrize(
    ("data", "task", "told"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image-classification", "the file: "),
        (wav(), "image-classification", "the file: "),
        (png(), "text-classification", "takes no file"),
        (b"\0" * (MOST_FILE_BYTES + 1), "image-classification", "8,388,609 bytes; on a page it may have 8,388,608"),
    ],
)
def test_a_file_that_is_not_what_the_task_takes_is_refused_by_its_bytes(data: bytes, task: str, told: str):
    with pytest.raises(BadForm, match=told):
        payload(data, task, Settings())


def test_the_samples_are_a_picture_and_a_sound():
    assert (probed(picture(), "image").width, probed(sound(), "audio").duration_ms) == (16, 250)
    assert input_of("image-classification", {})["inputs"] == SMALL["image"]


def result(task: str, output: Any) -> Try:
    one = Try("t", {"id": "a", "task": task}, (0, 0), {}, 0)
    one.result = {"task": task, "output": output}
    return one


def ref(uri: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"$ref": {"sha256": "a" * 64, "uri": uri, "media_type": media_type, "bytes": 1}}


@pytest.mark.parametrize(
    ("task", "output", "kinds"),
    [
        ("text-to-image", ref("data:image/png;base64,AA=="), ["image"]),
        ("text-to-image", {"image": ref("blob://" + "a" * 64)}, ["image"]),
        ("text-to-speech", {"audio": ref("data:audio/wav;base64,AA==", "audio/wav")}, ["audio"]),
        ("image-segmentation", [{"mask": ref("data:x")}, {"mask": ref("data:y")}], ["image", "image"]),
        ("text-to-image", {"image": ref("data:x", "image/svg+xml")}, [""]),
        ("text-to-image", {"image": ref("https://example.org/a.png")}, []),
        ("text-to-image", {"image": {"$ref": {"sha256": "no"}}}, []),
        ("text-classification", [{"label": "x"}], []),
        ("text-to-image", None, []),
    ],
)
def test_the_payloads_of_an_answer_are_found_and_svg_is_none_that_is_shown(task: str, output: Any, kinds: list[str]):
    assert [one.kind for one in media_of(result(task, output))] == kinds


# advice


def test_each_condition_of_a_search_can_be_taken_away():
    wanted = asked(QueryParams("q=bert&license=mit&license=apache-2.0&max_size=1GB&recent=30&served=0&order=likes"))

    assert [words for _, words in condition_names(wanted)] == [
        "words bert", "licence mit, apache-2.0", "not served now", "size at most 1GB", "changed within 30 days",
    ]  # fmt: skip
    assert [words for words, _ in chips(wanted)][:2] == ["licence mit", "licence apache-2.0"]
    assert [words for words, _ in chips(asked(QueryParams("q=x&modality=text&tenant=acme")))] == ["for tenant acme"]
    address = dict(chips(wanted))["licence mit"]
    assert asked(QueryParams(address.partition("?")[2])).criteria.licenses == ("apache-2.0",)
    for name, _ in condition_names(wanted):
        less = without(wanted.criteria, name)
        changed = {field for field, value in less if value != getattr(wanted.criteria, field)}
        assert changed == {criterion_of(name)}


def test_a_near_word_is_one_or_two_slips_away():
    names = [one.id for one in MemoryHub().entries]

    assert near_words("robrta", names) == ["roberta"]
    assert near_words("whispr", names) == ["whisper"]
    assert near_words("xylophone", names) == []
