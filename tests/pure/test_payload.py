"""How a job may write a payload: what is read, what is refused, and how."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.media import INPUTS, BlobRef
from schemas.payload import Address, Inline, PayloadFault, payload_fault, source_of

DATA = b"\x89PNG and so on"
SHA = hashlib.sha256(DATA).hexdigest()
TEXT = base64.b64encode(DATA).decode()
MAX = 1_000
REF = {"sha256": SHA, "uri": f"blob://{SHA}", "media_type": "image/png", "bytes": len(DATA)}


def ref(**fields):
    return {"$ref": {**REF, **fields}}


GOOD = [
    TEXT,
    f"data:image/png;base64,{TEXT}",
    f"DATA:image/svg+xml;charset=utf-8;base64,{TEXT}",
    f"data:;base64,{TEXT}",
    "https://images.example/cat.png?x=1",
    "HTTPS://images.example/cat.png",
    ref(),
    ref(uri=f"data:image/png;base64,{TEXT}"),
    ref(uri="https://images.example/cat.png"),
    ref(bytes=MAX, width=3, height=4, duration_ms=5, sampling_rate=6, channels=7),
]
BAD = [
    "", " ", "=", TEXT[:-1], TEXT + "\n", TEXT[:4] + " " + TEXT[5:], TEXT.replace("=", "") + "*===", "a" * 7, "Käse",
    "\ud800\ud800\ud800\ud800", "\x00\x01\x02\x03", "A" * 1_336 + "====", "A" * 1_340, "----", "____",
    "data:image/png,raw", "data:image/png;base64;base64,AAAA", "data:image/png;base64,", "data:image/png;base64,A",
    "data:" + "x" * 5_000, "http://images.example/cat.png", "ftp://images.example/cat.png", "file:///etc/passwd",
    "blob://" + SHA, "https://images.example/" + "a" * 9_000, "javascript:alert(1)",
    5, True, [], ["a"], {}, {"$ref": {}, "x": 1}, {"$ref": None}, {"$ref": []}, {"$ref": "x"}, {"$ref": {}}, b"bytes",
    ref(sha256=SHA.upper()), ref(sha256=SHA[:-1]), ref(uri="blob://" + "0" * 64), ref(uri=SHA), ref(uri=TEXT),
    ref(uri="http://images.example/"), ref(uri="file:///etc/passwd"), ref(uri="data:image/png,raw"), ref(uri=""),
    ref(uri=f"data:image/png;base64,{TEXT}", bytes=3), ref(bytes=-1), ref(bytes=MAX + 1), ref(bytes="12"),
    ref(bytes=True), ref(bytes=1.5), ref(media_type=""), ref(media_type=7), ref(width=0),
]  # fmt: skip


def fault(value, task="image-classification", **options):
    name = INPUTS[task][0].path
    return payload_fault(task, {name[0]: value}, max_bytes=MAX, **options)


@pytest.mark.parametrize("value", GOOD, ids=range(len(GOOD)))
def test_every_way_to_write_a_payload_passes(value):
    assert fault(value) is None


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
def test_what_is_no_payload_is_refused_with_its_place_and_without_its_content(value):
    told = fault(value)

    assert told is not None
    assert told.startswith("inputs: ")
    assert len(told) <= 300
    if isinstance(value, str) and len(value) > 8:
        assert value not in told


def test_what_is_read_says_where_the_bytes_are():
    assert source_of(TEXT) == Inline(TEXT)
    assert source_of(f"data:image/png;base64,{TEXT}") == Inline(TEXT)
    assert source_of("https://images.example/") == Address("https://images.example/")
    assert source_of(ref()) == BlobRef(**REF)


@given(st.binary(min_size=1, max_size=300))
def test_the_size_of_base64_is_told_without_decoding_it(data: bytes):
    source = source_of(base64.b64encode(data).decode())

    assert isinstance(source, Inline)
    assert source.bytes == len(data)


@given(st.text("Az9+/=-\n", max_size=12))
def test_what_passes_as_base64_can_be_decoded(text: str):
    try:
        source = source_of(text)
    except PayloadFault:
        return
    assert isinstance(source, Inline)
    assert len(base64.b64decode(source.text, validate=True)) == source.bytes > 0


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_any_value_is_a_source_or_a_fault(value):
    try:
        source = source_of(value)
    except PayloadFault:
        return
    assert isinstance(source, Inline | Address)


def test_http_is_for_the_operators_own_origins_alone():
    own = ("http://127.0.0.1:8901",)

    assert fault("http://127.0.0.1:8901/cat.png", http_origins=own) is None
    assert fault("http://127.0.0.1:89011/cat.png", http_origins=own) is not None
    assert fault("http://127.0.0.1:8901.evil.example/", http_origins=own) is not None
    assert fault("http://127.0.0.1:8901@evil.example/", http_origins=own) is not None


def chat(*urls):
    return {"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}} for url in urls]}]}


def test_a_chats_image_is_an_address_or_brings_its_type():
    limits = {"max_bytes": MAX}

    assert payload_fault("chat-completion", chat(*GOOD[1:]), max_bytes=3 * MAX) is None
    assert payload_fault("chat-completion", chat("https://images.example/" + "a" * 900), **limits) is None
    assert payload_fault("chat-completion", chat(TEXT), **limits) is not None
    assert payload_fault("chat-completion", chat("http://images.example/"), **limits) is not None
    assert payload_fault("chat-completion", {"messages": [{"content": "Hello"}]}, **limits) is None


def test_all_payloads_of_one_input_together_have_a_limit():
    half = ref(bytes=MAX // 2)

    assert payload_fault("chat-completion", chat(half, half), max_bytes=MAX) is None
    told = payload_fault("chat-completion", chat(half, half, ref()), max_bytes=MAX)
    assert told is not None
    assert re.search(r"\d+ bytes together; 1000 are allowed", told)


def test_a_task_without_payloads_and_a_place_that_is_left_out_have_no_fault():
    assert payload_fault("text-generation", {"inputs": "ftp://x"}, max_bytes=MAX) is None
    assert payload_fault("image-text-to-image", {"inputs": None}, max_bytes=MAX) is None
    assert payload_fault("image-classification", "no object", max_bytes=MAX) is None
