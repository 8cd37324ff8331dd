"""Sounds, images and videos for the scripted provider: real ones, of any size, each with its number in its bytes."""

import functools
import io
import math
import struct
import zlib
from typing import Any

PNG, WAV, MP4 = "image/png", "audio/wav", "video/mp4"
SUFFIXES = {PNG: "png", WAV: "wav", MP4: "mp4"}
"""What can be made, and the suffix of its address."""


def made(media_type: str, least_bytes: int, number: int) -> bytes:
    """A file of at least `least_bytes`; another number makes other bytes. Raises KeyError for another type."""
    return {PNG: _png, WAV: _wav, MP4: _mp4}[media_type](least_bytes, number)


def type_of(content: bytes) -> str:
    """The media type of a file that was made here."""
    return WAV if content.startswith(b"RIFF") else PNG if content.startswith(b"\x89PNG") else MP4


def addresses(media_type: str, origin: str, number: int) -> dict[str, Any]:
    """fal's answer: the file's address, at the name that such a file has there. No type: an image."""
    kind = media_type or PNG
    file = {"url": f"{origin}/files/{number}.{SUFFIXES[kind]}", "content_type": kind}
    name = kind.partition("/")[0]
    return {"images": [file]} if name == "image" else {name: file}


def _png(least_bytes: int, number: int) -> bytes:
    """A square of RGB, hardly compressed, so that its size is that of its pixels."""
    side = max(16, math.ceil(math.sqrt(least_bytes / 3)))
    row = b"\0" + bytes(range(256)) * (side * 3 // 256) + bytes(side * 3 % 256)
    pixels = row[:1] + struct.pack(">I", number) + row[5:] + row * (side - 1)
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(pixels, 0)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _wav(least_bytes: int, number: int) -> bytes:
    """One channel of 16 bits at 16 kHz: a tenth of a second, or as long as its size wants."""
    samples = struct.pack("<I", number) + bytes(max(3_196, least_bytes + least_bytes % 2))
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16, b"data", len(samples))
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(samples)) + b"WAVE" + head + samples


def _mp4(least_bytes: int, number: int) -> bytes:
    """A third of a second of video; behind it a `free` box, which every reader passes over."""
    whole = _frames()
    rest = struct.pack(">I", number) + bytes(max(0, least_bytes - len(whole)))
    return whole + struct.pack(">I", len(rest) + 8) + b"free" + rest


@functools.cache
def _frames() -> bytes:
    import av  # only where a video is asked for: the stub has to cost little

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(8):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
