"""How long a sound is, whoever wrote it: recorders that cannot go back, rare codecs, and headers that say less."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from media_files import aac, flac, m4a, mp3, ogg, ogg_opus, sound, wav
from PIL import Image
from sound_files import video

from workers.media import MediaFault, probed


def _decoded(data: bytes) -> tuple[int, int, float]:
    """Rate, channels and milliseconds that FFmpeg finds by decoding all of it."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        rate, channels = stream.rate, stream.channels
        return rate, channels, sum(frame.samples for frame in container.decode(audio=0)) / rate * 1000


def _as_decoded(data: bytes, *, within_ms: float = 60) -> None:
    media, (rate, channels, length_ms) = probed(data, "audio"), _decoded(data)

    assert (media.sampling_rate, media.channels) == (rate, channels)
    assert media.duration_ms == pytest.approx(length_ms, abs=within_ms)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s24le", 48_000, 2), ("wav", "pcm_f64le", 44_100, 1), ("wav", "adpcm_ms", 22_050, 1),
        ("wav", "adpcm_ima_wav", 44_100, 2), ("wav", "adpcm_yamaha", 16_000, 1), ("wav", "g722", 16_000, 1),
        ("wav", "libmp3lame", 44_100, 2), ("matroska", "pcm_s16le", 44_100, 2), ("matroska", "flac", 44_100, 2),
        ("webm", "libopus", 16_000, 1), ("webm", "vorbis", 44_100, 2), ("avi", "pcm_s16le", 16_000, 1),
        ("avi", "libmp3lame", 44_100, 2), ("flac", "flac", 44_100, 2), ("adts", "aac", 44_100, 2),
    ],
)  # fmt: skip
def test_a_recorder_that_cannot_go_back_to_its_header_hides_no_length(container, codec, rate, channels):
    late_ms = 120 if codec == "flac" else 60  # a last block that says no length counts as long as the one before
    _as_decoded(sound(container, codec, 2.3, rate, channels, live=True), within_ms=late_ms)


def test_a_video_of_a_recorder_that_cannot_go_back_is_as_long_as_its_pictures():
    media = probed(video("avi", "mpeg4", 1.5, 64, 48, sound=True, live=True), "video")

    assert (media.width, media.height) == (64, 48)
    assert media.duration_ms == pytest.approx(1500, abs=100)


FORMATS = {
    "WAV": ("PCM_U8", "PCM_24", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"),
    "WAVEX": ("PCM_24", "FLOAT", "ULAW"),
    "RF64": ("PCM_16", "FLOAT"),
    "AIFF": ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"),
    "FLAC": ("PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}


@pytest.mark.parametrize(("form", "subtype"), [(form, one) for form, many in FORMATS.items() for one in many])
def test_what_libsndfile_writes_is_as_long_as_what_it_was_given(form: str, subtype: str):
    held = io.BytesIO()
    rate = 48_000 if subtype == "OPUS" else 44_100 if form == "MP3" else 8_000
    soundfile.write(held, np.sin(np.arange(int(rate * 1.7)) / 20) / 2, rate, format=form, subtype=subtype)

    media = probed(held.getvalue(), "audio")

    assert (media.sampling_rate, media.channels) == (rate, 1)
    assert media.duration_ms == pytest.approx(1700, abs=60)


def test_a_wav_in_big_endian_is_read():
    held = io.BytesIO()
    soundfile.write(held, np.zeros((16_000, 2)), 16_000, format="WAV", subtype="PCM_24", endian="BIG")

    _as_decoded(held.getvalue())


@pytest.mark.parametrize("told", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_every_size_that_stands_for_unknown_is_taken_for_it(told: int):
    """As espeak-ng, sox, arecord and FFmpeg leave it when they write to a pipe."""
    data = bytearray(wav(1.5))
    struct.pack_into("<I", data, 40, told)

    assert probed(bytes(data), "audio").duration_ms == 1500


def test_a_wav_whose_blocks_or_bytes_a_second_lie_is_as_long_as_its_samples():
    data = bytearray(wav(1.5))
    struct.pack_into("<IH", data, 28, 2_000_000_000, 2_000)

    assert probed(bytes(data), "audio").duration_ms == 1500


@pytest.mark.parametrize(("container", "codec"), [("wav", "ac3"), ("wav", "aac"), ("aiff", "g722")])
def test_a_sound_whose_codec_does_not_tell_its_length_is_refused_by_its_name(container: str, codec: str):
    data = (
        sound("aiff", "pcm_s16be", 0.5, 44_100, 1) if container == "aiff" else sound(container, codec, 0.5, 44_100, 1)
    )
    if container == "aiff":
        at = data.index(b"COMM")
        data = data[: at + 4] + struct.pack(">I", 24) + data[at + 8 : at + 26] + b"G722\0\0" + data[at + 26 :]

    with pytest.raises(MediaFault, match=r"none that is read|not read"):
        probed(data, "audio")


def test_an_aiff_that_says_fewer_samples_than_it_has_is_as_long_as_those():
    data = bytearray(sound("aiff", "pcm_s16be", 1.5, 44_100, 1))
    struct.pack_into(">I", data, data.index(b"COMM") + 10, 1)

    assert probed(bytes(data), "audio").duration_ms == 1500


def test_bytes_between_the_frames_of_an_mp3_end_its_length_for_no_decoder_and_not_for_us():
    whole = mp3(3.0)
    at = whole.index(b"\xff\xfb", len(whole) // 3)

    split = probed(whole[:at] + b"junk" * 50 + whole[at:], "audio")

    assert split.duration_ms == pytest.approx(probed(whole, "audio").duration_ms, abs=60)


@pytest.mark.parametrize("make", [mp3, aac, flac])
def test_a_tag_of_a_megabyte_before_a_sound_makes_no_difference(make):
    tag = b"ID3\x04\0\0" + bytes([0, 64, 0, 0]) + b"\xff\xfb\x90\x00" * 262_144

    tagged = probed(tag + make(2.0), "audio")

    assert (tagged.media_type, tagged.duration_ms) == (
        probed(make(2.0), "audio").media_type,
        probed(make(2.0), "audio").duration_ms,
    )


def test_what_an_encoder_of_8_khz_needs_to_get_going_is_not_paid_for():
    """An edit list takes 1,024 samples from the beginning: an eighth of a second."""
    assert probed(sound("ipod", "aac", 2.0, 8_000, 1), "audio").duration_ms == pytest.approx(2000, abs=60)


def test_a_table_of_times_that_ends_before_the_table_of_sizes_counts_for_the_rest_too():
    data = bytearray(m4a(2.0))
    honest = probed(bytes(data), "audio").duration_ms
    for place in _times(data):
        struct.pack_into(">I", data, place, 1)

    assert probed(bytes(data), "audio").duration_ms == pytest.approx(honest, abs=60)


def test_packets_that_are_said_to_last_no_time_are_refused():
    data = bytearray(m4a(2.0))
    for place in _times(data):
        struct.pack_into(">I", data, place + 4, 1)

    with pytest.raises(MediaFault, match=r"0\.00\d s for \d+ packets"):
        probed(bytes(data), "audio")


def _times(data: bytearray) -> range:
    """Where the rows of the table of times are, in a file whose headers say next to nothing."""
    for name, place in ((b"mvhd", 20), (b"mdhd", 20)):
        struct.pack_into(">I", data, data.index(name) + place, 1)
    at = data.index(b"stts") + 8
    return range(at + 4, at + 4 + 8 * struct.unpack_from(">I", data, at)[0], 8)


def test_sounds_one_after_another_in_one_ogg_are_all_heard():
    first = ogg_opus(1.0)
    serial = bytes(byte ^ 0x5A for byte in first[14:18])

    chained = first + first.replace(first[14:18], serial)

    assert probed(chained, "audio").duration_ms == pytest.approx(2 * probed(first, "audio").duration_ms, abs=60)


@pytest.mark.parametrize("make", [ogg, ogg_opus])
def test_an_ogg_that_was_recorded_of_a_station_begins_where_the_recorder_did(make):
    """Its pages go on to count from when the station began: here five hours before."""
    data, at = bytearray(make(4.0)), 0
    honest = probed(bytes(data), "audio")
    while at < len(data):
        (tick,) = struct.unpack_from("<q", data, at + 6)
        if tick > 0:
            struct.pack_into("<q", data, at + 6, tick + 5 * 3_600 * honest.sampling_rate)
        at += 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])

    assert probed(bytes(data), "audio").duration_ms == pytest.approx(honest.duration_ms, abs=1_100)


def test_a_webm_that_was_recorded_of_a_station_begins_where_the_recorder_did():
    def element(name: str, content: bytes) -> bytes:
        return bytes.fromhex(name) + bytes([0x40, len(content)]) + content

    heard = element("e1", element("b5", struct.pack(">f", 48_000)) + element("9f", b"\1"))
    track = element("ae", element("d7", b"\1") + element("83", b"\2") + element("86", b"A_OPUS") + heard)
    head = element("1a45dfa3", element("4282", b"webm")) + b"\x18\x53\x80\x67\xff" + element("1654ae6b", track)
    blocks = b"".join(element("a3", b"\x81" + struct.pack(">hB", at, 0x80) + b"\xfc") for at in range(0, 1_000, 20))
    clusters = [
        b"\x1f\x43\xb6\x75\xff" + element("e7", struct.pack(">I", 18_000_000 + at)) + blocks for at in (0, 1_000)
    ]

    assert probed(head + b"".join(clusters), "audio").duration_ms == 2_000


def test_a_picture_larger_than_an_avis_main_header_says_counts():
    data = bytearray(video("avi", "mpeg4", 0.5, 64, 48))
    struct.pack_into("<II", data, data.index(b"avih") + 8 + 32, 1, 1)

    media = probed(bytes(data), "video")

    assert (media.width, media.height) == (64, 48)


def test_an_avi_that_says_one_picture_is_as_long_as_those_that_it_has():
    data = bytearray(video("avi", "mpeg4", 1.5, 64, 48))
    struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, 1)
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, 1)

    assert probed(bytes(data), "video").duration_ms == pytest.approx(1500, abs=100)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "I;16"])
def test_a_tiff_with_places_of_64_bits_is_read(mode: str):
    held = io.BytesIO()
    Image.new(mode, (63, 47)).save(held, "TIFF", big_tiff=True)

    media = probed(held.getvalue(), "image")

    assert (media.media_type, media.width, media.height) == ("image/tiff", 63, 47)


def test_a_place_beyond_what_a_machine_can_count_is_a_fault_and_no_other_error():
    with pytest.raises(MediaFault, match="ends within its header"):
        probed(b"II+\0\x08\0\0\0" + b"\xff" * 16, "image")


def test_a_rate_next_to_nothing_is_a_refusal_of_one_line():
    data = bytearray(sound("matroska", "pcm_s16le", 0.5, 8_000, 1, live=True))
    at = data.index(b"\xb5\x88") + 2
    data[at : at + 8] = struct.pack(">d", 1e-300)

    with pytest.raises(MediaFault, match=r"^.{1,100}$"):
        probed(bytes(data), "audio")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image", b"\xff\xd8" + b"\xff" * 20_000_000), ("audio", b"ID3\4\0\0\0\0\0\0" + bytes(30_000_000)),
        ("audio", b"\xff\xfb\x90\x00" + bytes(413) + b"\xff" * 30_000_000),
    ],
    ids=["jpeg", "mp3 of padding", "mp3 of marks"],
)  # fmt: skip
def test_megabytes_of_one_byte_are_passed_over_at_once(kind, data: bytes, monkeypatch):
    """Nothing is looked at byte by byte."""
    from workers.media import frames, images

    calls = []
    for module in (frames, images):
        number = module.number
        monkeypatch.setattr(module, "number", lambda *args, number=number: calls.append(1) or number(*args))

    with pytest.raises(MediaFault):
        probed(data, kind)

    assert len(calls) < 1_000
