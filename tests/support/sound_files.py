"""Sounds and videos, good and hostile, made in code; `media_files` lists them."""

import functools
import io
import struct
import wave
from fractions import Fraction
from typing import Any

import av
import numpy
from PIL import Image


def wav(seconds: float = 1.0, channels: int = 1, rate: int = 16_000) -> bytes:
    """A tone of 440 Hz in 16 bits."""
    return _wav(_tone(seconds, rate).astype("<i2").repeat(channels).tobytes(), channels, rate)


def _wav(frames: bytes, channels: int, rate: int) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(frames)
    return held.getvalue()


def _tone(seconds: float, rate: int) -> Any:
    return (numpy.sin(numpy.arange(int(seconds * rate)) * (2 * numpy.pi * 440 / rate)) * 8_000).round()


def wav_empty() -> bytes:
    """A header, and no sound."""
    return _wav(b"", 1, 16_000)


def wav_lying(claimed_s: float = 36_000.0) -> bytes:
    """A tenth of a second that claims ten hours."""
    data = bytearray(wav(0.1))
    data[40:44] = struct.pack("<I", int(claimed_s * 32_000))
    return bytes(data)


def wav_streamed(seconds: float = 1.0) -> bytes:
    """As a program writes it that cannot go back: the sizes say nothing."""
    data = bytearray(wav(seconds))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    return bytes(data)


def wav_of_no_rate() -> bytes:
    data = bytearray(wav(0.1))
    data[24:32] = bytes(8)
    return bytes(data)


def wav_of_32_channels() -> bytes:
    return wav(0.1, channels=32)


def wav_truncated() -> bytes:
    return wav(2.0)[:-30_000]


class OneWay:
    """What a recorder writes to that cannot go back: a pipe, a socket."""

    def __init__(self) -> None:
        self._held = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._held.write(data)

    def getvalue(self) -> bytes:
        return self._held.getvalue()


def sound(
    container: str, codec: str, seconds: float, rate: int, channels: int, *, live: bool = False, **options: Any
) -> bytes:
    """A tone in any container and codec that PyAV can write; `live`: by a writer that cannot go back."""
    held: Any = OneWay() if live else io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(held, "w", format=container, **options) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        if codec in ("vorbis", "opus"):
            stream.codec_context.options = {"strict": "experimental"}
        samples = _tone(seconds, rate).astype("int16").repeat(channels)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=stream.codec_context.frame_size or 1024)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(resampled))
        out.mux(stream.encode(None))
    return held.getvalue()


@functools.cache
def flac(seconds: float = 1.0, channels: int = 1) -> bytes:
    return sound("flac", "flac", seconds, 16_000, channels)


@functools.cache
def mp3(seconds: float = 1.0, channels: int = 1, rate: int = 44_100) -> bytes:
    return sound("mp3", "libmp3lame", seconds, rate, channels)


@functools.cache
def aac(seconds: float = 1.0) -> bytes:
    return sound("adts", "aac", seconds, 44_100, 2)


@functools.cache
def m4a(seconds: float = 1.0) -> bytes:
    return sound("ipod", "aac", seconds, 44_100, 2)


@functools.cache
def ogg_opus(seconds: float = 1.0) -> bytes:
    return sound("ogg", "libopus", seconds, 48_000, 1)


@functools.cache
def ogg(seconds: float = 1.0) -> bytes:
    return sound("ogg", "vorbis", seconds, 44_100, 2)


@functools.cache
def ogg_flac(seconds: float = 1.0) -> bytes:
    return sound("ogg", "flac", seconds, 16_000, 1)


@functools.cache
def webm_sound(seconds: float = 1.0) -> bytes:
    return sound("webm", "libopus", seconds, 48_000, 1)


@functools.cache
def webm_live(seconds: float = 1.0) -> bytes:
    """As a browser's recorder writes it: no length, no sizes."""
    return sound("webm", "libopus", seconds, 48_000, 1, options={"live": "1"})


@functools.cache
def aiff(seconds: float = 1.0) -> bytes:
    return sound("aiff", "pcm_s16be", seconds, 16_000, 1)


@functools.cache
def m4a_fragmented(seconds: float = 1.0) -> bytes:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return sound("mp4", "aac", seconds, 44_100, 2, options=flags)


def ogg_silly() -> bytes:
    """Its last page claims to end after 200 days."""
    data = bytearray(ogg_opus(0.5))
    at = data.rindex(b"OggS")
    data[at + 6 : at + 14] = struct.pack("<q", 200 * 86_400 * 48_000)
    return bytes(data)


def ogg_truncated() -> bytes:
    return ogg(2.0)[:-500]


def flac_streamed() -> bytes:
    """As a program writes it that cannot go back: its header says no length."""
    data = bytearray(flac())
    (packed,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, packed >> 36 << 36)
    return bytes(data)


def flac_lying() -> bytes:
    """Half a second that claims an hour."""
    data = bytearray(flac(0.5))
    (packed,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, packed >> 36 << 36 | 3600 * 16_000)
    return bytes(data)


def mp4_lying() -> bytes:
    """Its tables claim ten hours."""
    data = bytearray(m4a(0.5))
    at = data.index(b"stts") + 4
    struct.pack_into(">III", data, at + 4, 1, 44_100 * 36_000 // 1024, 1024)
    return bytes(data)


def mp4_nested() -> bytes:
    """Ten thousand movies, each in the one before."""
    inner = b""
    for _ in range(10_000):
        inner = struct.pack(">I", 8 + len(inner)) + b"moov" + inner
    return struct.pack(">I", 16) + b"ftypisom" + bytes(4) + inner


def mp4_truncated() -> bytes:
    return mp4()[:-300]


def video(
    container: str, codec: str, seconds: float, width: int, height: int, *, sound: bool = False, live: bool = False
) -> bytes:
    held: Any = OneWay() if live else io.BytesIO()
    with av.open(held, "w", format=container) as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        heard = out.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_image(Image.new("RGB", (width, height), (number * 5 % 256, 90, 40)))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if heard is not None:
            samples = _tone(seconds, 44_100).astype("int16").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, 0, Fraction(1, 44_100)
            resampler = av.AudioResampler(heard.format, "mono", 44_100, frame_size=1024)
            for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
                out.mux(heard.encode(resampled))
            out.mux(heard.encode(None))
    return held.getvalue()


@functools.cache
def mp4(seconds: float = 1.0, width: int = 64, height: int = 48) -> bytes:
    return video("mp4", "mpeg4", seconds, width, height)


@functools.cache
def mp4_with_sound(seconds: float = 1.0) -> bytes:
    return video("mp4", "mpeg4", seconds, 64, 48, sound=True)


@functools.cache
def mov(seconds: float = 1.0) -> bytes:
    return video("mov", "mpeg4", seconds, 64, 48)


@functools.cache
def webm(seconds: float = 1.0) -> bytes:
    return video("webm", "libvpx", seconds, 64, 48)


@functools.cache
def mkv(seconds: float = 1.0) -> bytes:
    return video("matroska", "mpeg4", seconds, 64, 48)


@functools.cache
def avi(seconds: float = 1.0) -> bytes:
    return video("avi", "mpeg4", seconds, 64, 48)
