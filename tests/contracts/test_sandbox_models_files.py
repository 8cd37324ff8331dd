"""Files in and out of the sandbox's models: whatever is usual becomes samples or pixels, the rest is refused."""

import io
import struct
import zlib
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sandbox.hf import picture, sound
from sandbox.hf.rapidocr import MAX_RATIO, stout

PCM = "pcm_s16le"


def tone(seconds: float, rate: int, channels: int = 1) -> Any:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def stored(samples: Any, rate: int, form: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form)
    return out.getvalue()


# Sounds


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2)])
def test_a_sound_of_any_usual_container_becomes_one_channel_at_16_khz(form: str, rate: int, channels: int) -> None:
    heard = sound.decoded(stored(tone(0.5, rate, channels), rate, form))
    assert heard.rate == 16_000
    assert heard.seconds == pytest.approx(0.5, abs=0.08)
    assert 0.15 < float(np.sqrt(np.mean(heard.samples**2))) < 0.25


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("adts", "aac"),
        ("mp4", "aac"),
        ("webm", "libopus"),
        ("ogg", "libopus"),
        ("mov", "pcm_s16le"),
        ("avi", "pcm_s16le"),
    ],
)
def test_a_sound_as_phones_and_browsers_record_it_is_heard(form: str, codec: str) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=48_000, layout="stereo")
        samples = (tone(0.5, 48_000, 2) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 48_000
        fit = av.AudioResampler(stream.format, "stereo", 48_000, frame_size=960)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    heard = sound.decoded(out.getvalue())
    assert heard.seconds == pytest.approx(0.5, abs=0.1)
    assert float(np.sqrt(np.mean(heard.samples**2))) == pytest.approx(0.212, abs=0.03)


@pytest.mark.parametrize("channels", [1, 3, 6, 8, 32])
@pytest.mark.parametrize("depth", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_channels_of_every_number_and_depth_become_one_that_is_as_loud(channels: int, depth: str) -> None:
    out = io.BytesIO()
    soundfile.write(out, tone(0.25, 16_000, channels), 16_000, format="WAV", subtype=depth)
    heard = sound.decoded(out.getvalue())
    assert heard.samples.shape == (4_000,)
    assert float(np.sqrt(np.mean(heard.samples**2))) == pytest.approx(0.212, abs=0.01)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 1000,
        stored(np.zeros((0, 1)), 16_000, "WAV"),
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_no_sound_is_refused_and_leads_to_no_other_file(data: bytes) -> None:
    with pytest.raises(sound.Unreadable):
        sound.decoded(data)


def test_a_small_file_of_hours_is_not_decoded_to_its_end() -> None:
    hours = stored(np.zeros((8_000 * (sound.MAX_S + 60), 1), dtype=np.float32), 8_000, "FLAC")
    assert len(hours) < 200_000
    with pytest.raises(sound.TooLong):
        sound.decoded(hours)


@pytest.mark.parametrize(("kind", "first"), [(sound.FLAC, b"fLaC"), (sound.WAV, b"RIFF")])
def test_a_sound_that_is_stored_and_read_again_is_the_same_within_16_bits(kind: str, first: bytes) -> None:
    samples = tone(0.1, 16_000)[:, 0].astype(np.float32)
    data = sound.encoded(sound.Sound(samples, 16_000), kind)
    assert data[:4] == first
    assert np.abs(sound.decoded(data).samples - samples).max() < 1e-4


# Images


def image_file(image: Image.Image, form: str, **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format=form, **more)
    return out.getvalue()


def test_images_of_every_mode_become_rgb_of_the_same_look() -> None:
    grey = Image.new("L", (6, 4), 200)
    deep = Image.fromarray(np.full((4, 6), 200 * 257, dtype=np.uint16))
    clear = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    two = {"save_all": True, "append_images": [Image.new("RGB", (6, 4))], "lossless": True}
    files = {
        "16 bits": image_file(deep, "PNG"),
        "1 channel": image_file(grey, "PNG"),
        "CMYK": image_file(grey.convert("RGB").convert("CMYK"), "JPEG", quality=100),
        "palette": image_file(grey.convert("P"), "GIF"),
        "animated": image_file(grey.convert("RGB"), "WEBP", **two),
        "AVIF": image_file(grey.convert("RGB"), "AVIF", quality=100),
        "floats": image_file(Image.new("F", (6, 4), 200.0), "TIFF"),
    }  # fmt: skip
    for name, data in files.items():
        seen = picture.decoded(data)
        assert (seen.mode, seen.size) == ("RGB", (6, 4)), name
        assert np.abs(np.asarray(seen).astype(int) - 200).max() <= 4, name
    assert np.asarray(picture.decoded(image_file(clear, "PNG"))).min() == 255  # transparent is white, not black


def test_a_photograph_is_turned_as_its_camera_was_held() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    assert picture.decoded(image_file(Image.new("RGB", (8, 4)), "JPEG", exif=turned)).size == (4, 8)


def test_an_image_is_measured_by_its_header_before_a_pixel_is_decoded() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    with pytest.raises((picture.TooLarge, picture.Unreadable)):
        picture.decoded(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")
    large = image_file(Image.new("1", (5_001, 5_000)), "PNG")
    with pytest.raises(picture.TooLarge) as found:
        picture.decoded(large)
    assert found.value.pixels == 25_005_000


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0", b"%PDF-1.7", b"P6 1 1 255\n\0\0\0"])
def test_what_is_no_image_of_a_usual_format_is_refused(data: bytes) -> None:
    with pytest.raises(picture.Unreadable):
        picture.decoded(data)


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_strip_gets_white_beside_it_until_its_sides_are_near_each_other(width: int, height: int) -> None:
    seen = stout(Image.new("RGB", (width, height)))
    long, short = max(seen.size), min(seen.size)
    assert long == max(width, height)
    assert long // MAX_RATIO <= short
