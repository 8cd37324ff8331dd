"""Hostile files: each is refused with a reason, none is decoded, and no bytes at all lead to anything else."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import media_files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import GOOD, HOSTILE, Make

from workers.media import MediaFault, MediaLimits, ebml, frames, ogg, probed

KINDS = ("image", "audio", "video")
ROOT = Path(__file__).resolve().parents[2]
REFUSED = [pytest.param(kind, make, id=f"{kind}-{make.__name__}") for kind, makes in HOSTILE.items() for make in makes]
PNG = media_files.good_png()
MADE = [make() for makes in GOOD.values() for make in makes]
FIRST = [
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\xff\0\0\0WEBP",
    b"RIFF\xff\0\0\0WAVE", b"RIFF\xff\0\0\0AVI ", b"FORM\0\0\0\xffAIFF", b"fLaC\x80\0\0\x22", b"OggS\0\2",
    b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80", b"#!AMR\n", b"\x1a\x45\xdf\xa3",
    b"\0\0\0\x18ftypisom", b"\0\0\0\x18ftypavif", b"\0\0\0\x18moov",
]  # fmt: skip


def test_nothing_that_decodes_is_at_hand():
    """Neither Pillow nor FFmpeg is loaded by what looks at payloads: no C library sees a stranger's bytes."""
    program = "import sys, workers.media; sys.exit(bool({'PIL', 'av', 'numpy'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(("kind", "make"), REFUSED)
def test_a_hostile_file_is_refused_with_a_reason(kind, make: Make):
    with pytest.raises(MediaFault) as refused:
        probed(make(), kind)

    assert 0 < len(str(refused.value)) <= 300


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_file_of_another_kind_is_refused_with_both_named(kind, other):
    if kind == other:
        return
    data = {"image": media_files.good_png, "audio": media_files.wav, "video": media_files.mp4}[other]()

    with pytest.raises(MediaFault, match=rf"expected {kind}.*({other}/)"):
        probed(data, kind)


@pytest.mark.parametrize("make", [media_files.bomb_png, media_files.bomb_gif, media_files.bomb_jpeg])
def test_a_bomb_is_refused_by_the_pixels_that_it_claims(make: Make):
    with pytest.raises(MediaFault, match=r"\d{5} x \d{5} pixels; 50000000 are allowed"):
        probed(make(), "image")


def test_a_wav_that_claims_ten_hours_is_refused_by_the_sound_that_is_not_there():
    with pytest.raises(MediaFault, match="cut off: its header says 1152000000 bytes of sound, and there are 3200"):
        probed(media_files.wav_lying(), "audio")


def test_a_header_that_claims_less_than_the_tables_is_not_believed():
    data = bytearray(media_files.m4a(2.0))
    honest = probed(bytes(data), "audio").duration_ms
    for name, at in ((b"mvhd", 20), (b"mdhd", 20)):
        struct.pack_into(">I", data, data.index(name) + at, 1)

    assert probed(bytes(data), "audio").duration_ms == pytest.approx(honest, abs=60)


@settings(max_examples=150)
@given(st.sampled_from(KINDS), st.sampled_from(FIRST), st.binary(max_size=400))
def test_any_bytes_behind_a_known_beginning_are_a_payload_or_a_fault(kind, first: bytes, rest: bytes):
    _looked_at(first + rest, kind)


@settings(max_examples=300)
@given(st.data())
def test_a_good_file_with_some_bytes_changed_is_a_payload_or_a_fault(data):
    made = bytearray(data.draw(st.sampled_from(MADE)))
    near = st.integers(0, min(len(made), 700) - 1)
    for place in data.draw(st.lists(st.one_of(near, st.integers(0, len(made) - 1)), min_size=1, max_size=6)):
        made[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, made[place] ^ 1]))
    cut = data.draw(st.one_of(st.just(len(made)), st.integers(0, len(made))))

    _looked_at(bytes(made[:cut]), data.draw(st.sampled_from(KINDS)))


def _looked_at(data: bytes, kind) -> None:
    limits = MediaLimits()
    try:
        media = probed(data, kind, limits)
    except MediaFault:
        return
    assert media.data == data
    if kind == "image":
        assert 1 <= (media.width or 0) * (media.height or 0) <= limits.max_pixels
    else:
        assert 1 <= (media.duration_ms or 0) <= 1000 * max(limits.max_audio_s, limits.max_video_s) + 1


def test_what_is_walked_through_has_an_end_however_small_its_parts_are():
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, 1, 0, 0, 1) + b"\x13OpusHead\x01\x01" + bytes(9)
    many = {
        "audio/ogg": page + (struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 1, 1, 0, 0, 0)) * (ogg.MAX_PAGES + 1),
        "video/webm": b"\x1a\x45\xdf\xa3\x80" + b"\xec\x80" * (ebml.MAX_ELEMENTS + 1),
        "audio/amr": b"#!AMR\n" + b"\x7c" * (frames.MAX_FRAMES + 1),
        "video/mp4": b"\0\0\0\x08free" * 200_001,
        "audio/wav": b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 10_001,
        "image/png": PNG[:33] + media_files.chunk(b"teXt", b"") * 10_001 + PNG[33:],
        "image/jpeg": b"\xff\xd8" + b"\xff\xfe\0\2" * 10_001,
        "image/gif": b"GIF89a" + bytes(7) + b"\x21\xfe\1a\0" * 400_001,
    }
    for name, data in many.items():
        with pytest.raises(MediaFault, match=rf"{name}: it has more than \d+"):
            probed(data, "audio")


def test_what_is_packed_in_a_header_is_left_packed():
    """A hundred megabytes of zeros in a chunk of text: nobody asked for it."""
    packed = media_files.chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(100_000_000)))

    assert probed(PNG[:33] + packed + PNG[33:], "image").width == 64


def test_a_tiff_of_sixty_thousand_tags_on_one_place_is_refused():
    tags = b"".join(struct.pack("<HHII", number, 7, 400_000, 800_000) for number in range(60_000))

    with pytest.raises(MediaFault, match="60000 tags; 10000 are allowed"):
        probed(b"II*\0" + struct.pack("<IH", 8, 60_000) + tags + bytes(500_000), "image")


def test_a_frame_that_is_larger_than_the_screen_of_its_gif_counts():
    data = bytearray(media_files.good_gif())
    at = data.index(b"\x2c", 13)
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"

    with pytest.raises(MediaFault, match="65535 x 65535 pixels"):
        probed(bytes(data), "image")
