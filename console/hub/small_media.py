"""A picture and a sound so small that they stand in a command line: what a form asks a model with where no file was
chosen. Pure."""

import base64
import math
import struct
import zlib
from collections.abc import Mapping

SIDE = 16
"""Pixels of the picture, each way."""
RATE, SAMPLES, HERTZ = 8_000, 2_000, 440


def picture() -> bytes:
    """A PNG of a blue sky over a green field (PNG, W3C, 2003)."""
    rows = b"".join(b"\0" + (b"\x5a\xa9\xe6" if row < SIDE // 2 else b"\x3f\x9b\x4b") * SIDE for row in range(SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def sound() -> bytes:
    """A quarter of a second of the tone a', as a WAV of one channel and 8 bits."""
    tone = bytes(round(128 + 100 * math.sin(2 * math.pi * HERTZ * at / RATE)) for at in range(SAMPLES))
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(tone)) + tone
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


SMALL: Mapping[str, str] = {"image": _uri("image/png", picture()), "audio": _uri("audio/wav", sound())}
"""By kind, as a `data:` address. Of a video there is none."""
WORDS: Mapping[str, str] = {
    "image": f"a picture of {SIDE} x {SIDE} pixels", "audio": f"{SAMPLES / RATE:g} s of a tone"
}  # fmt: skip
"""What they are."""
