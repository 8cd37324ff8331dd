"""Small real files, made here: an image, a sound and a video of each form that a test needs."""

import functools
import io
import struct
import wave
from fractions import Fraction

import av
from PIL import Image


@functools.cache
def image(width: int = 64, height: int = 48, *, mode: str = "RGB", form: str = "PNG", frames: int = 1) -> bytes:
    """An image in one colour; `frames` above 1: an animated one."""
    drawn = [Image.new(mode, (width, height), color=at) for at in range(frames)]
    target = io.BytesIO()
    if frames > 1:
        drawn[0].save(target, form, save_all=True, append_images=drawn[1:], duration=40)
    else:
        drawn[0].save(target, form)
    return target.getvalue()


@functools.cache
def sound(duration_ms: int = 500, *, channels: int = 1, rate: int = 16_000) -> bytes:
    """A silent WAV of 16 bits."""
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(bytes(2 * channels * (rate * duration_ms // 1_000)))
    return target.getvalue()


@functools.cache
def video(frames: int = 24, *, width: int = 64, height: int = 48, rate: int | Fraction = 24) -> bytes:
    """An MP4 of `rate` pictures a second, whatever is on them."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as writer:
        stream = writer.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            picture = av.VideoFrame(width, height, "yuv420p")
            writer.mux(stream.encode(picture))
        writer.mux(stream.encode())
    return target.getvalue()


def cut(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: len(data) // 2]


def polyglot(data: bytes) -> bytes:
    """A file with an archive behind it: some read the one, some the other."""
    return data + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0, 0, 0, 0, 0)
