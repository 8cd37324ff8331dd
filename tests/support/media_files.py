"""Images, sounds and videos, good and hostile, made in code: nothing is read from disk.

Each function gives the bytes of one file; those of sounds and videos are in `sound_files`. `GOOD` and `HOSTILE` list
them by kind, for tables of tests.
"""

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image
from sound_files import (
    aac,
    aiff,
    avi,
    flac,
    flac_lying,
    flac_streamed,
    m4a,
    m4a_fragmented,
    mkv,
    mov,
    mp3,
    mp4,
    mp4_lying,
    mp4_nested,
    mp4_truncated,
    mp4_with_sound,
    ogg,
    ogg_flac,
    ogg_opus,
    ogg_silly,
    ogg_truncated,
    sound,
    wav,
    wav_empty,
    wav_lying,
    wav_of_32_channels,
    wav_of_no_rate,
    wav_streamed,
    wav_truncated,
    webm,
    webm_live,
    webm_sound,
)

__all__ = [
    "aac",
    "aiff",
    "avi",
    "flac",
    "flac_lying",
    "flac_streamed",
    "m4a",
    "m4a_fragmented",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "mp4_lying",
    "mp4_nested",
    "mp4_truncated",
    "mp4_with_sound",
    "ogg",
    "ogg_flac",
    "ogg_opus",
    "ogg_silly",
    "ogg_truncated",
    "sound",
    "wav",
    "wav_empty",
    "wav_lying",
    "wav_of_32_channels",
    "wav_of_no_rate",
    "wav_streamed",
    "wav_truncated",
    "webm",
    "webm_live",
    "webm_sound",
]

Make = Callable[[], bytes]


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def _picture(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).convert(mode)


@functools.cache
def good_png(width: int = 64, height: int = 48) -> bytes:
    return _saved(_picture(size=(width, height)), "PNG")


@functools.cache
def good_jpeg(width: int = 64, height: int = 48) -> bytes:
    return _saved(_picture(size=(width, height)), "JPEG")


def progressive_jpeg() -> bytes:
    return _saved(_picture(), "JPEG", progressive=True)


def good_webp() -> bytes:
    return _saved(_picture(), "WEBP")


def lossless_webp() -> bytes:
    return _saved(_picture("RGBA"), "WEBP", lossless=True)


def good_gif() -> bytes:
    return _saved(_picture("P"), "GIF")


def good_bmp() -> bytes:
    return _saved(_picture(), "BMP")


def good_tiff() -> bytes:
    return _saved(_picture(), "TIFF")


def packed_tiff() -> bytes:
    return _saved(_picture(), "TIFF", compression="tiff_lzw")


def good_avif() -> bytes:
    return _saved(_picture(), "AVIF")


def palette_png() -> bytes:
    return _saved(_picture("P"), "PNG")


def grey_alpha_png() -> bytes:
    return _saved(_picture("LA"), "PNG")


def one_bit_png() -> bytes:
    return _saved(_picture("1"), "PNG")


def png16() -> bytes:
    """16 bits of grey."""
    return _saved(Image.frombytes("I;16", (8, 8), bytes(range(128))), "PNG")


def cmyk_jpeg() -> bytes:
    return _saved(_picture("CMYK"), "JPEG")


def cmyk_tiff() -> bytes:
    return _saved(_picture("CMYK"), "TIFF")


def float_tiff() -> bytes:
    """Floating point: no model's decoder knows what to make of it."""
    return _saved(Image.new("F", (8, 8), 0.5), "TIFF")


def _animated(form: str, frames: int) -> bytes:
    pictures = [Image.new("RGB", (16, 12), (number * 7 % 256, number % 256, 9)) for number in range(frames)]
    return _saved(pictures[0], form, save_all=True, append_images=pictures[1:], duration=40)


@functools.cache
def animated_gif(frames: int = 3) -> bytes:
    return _animated("GIF", frames)


def animated_webp() -> bytes:
    return _animated("WEBP", 3)


def animated_png() -> bytes:
    return _animated("PNG", 3)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb_png(width: int = 50_000, height: int = 50_000) -> bytes:
    """A few kilobytes that claim 2,500 million pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(2_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bomb_gif() -> bytes:
    """A screen of 65,535 x 65,535 with an image of 1 x 1 on it."""
    data = bytearray(_saved(Image.new("P", (1, 1)), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def bomb_webp() -> bytes:
    """An animation whose canvas is 16,384 x 16,384."""
    data = bytearray(animated_webp())
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = b"\xff\x3f\x00" * 2
    return bytes(data)


def bomb_bmp() -> bytes:
    data = bytearray(good_bmp())
    data[18:26] = struct.pack("<ii", 40_000, 40_000)
    return bytes(data)


def bomb_jpeg() -> bytes:
    data = bytearray(good_jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def truncated_png() -> bytes:
    return good_png(200, 200)[:-40]


def truncated_jpeg() -> bytes:
    return good_jpeg(200, 200)[:-400]


def truncated_webp() -> bytes:
    return good_webp()[:-20]


def truncated_gif() -> bytes:
    return good_gif()[:-20]


def truncated_bmp() -> bytes:
    return good_bmp()[:-100]


def truncated_tiff() -> bytes:
    whole = good_tiff()
    return whole[: len(whole) // 2] if whole[4:8] == b"\x08\0\0\0" else whole[:60]


def header_alone_png() -> bytes:
    return good_png()[:33]


def polyglot_gif_zip() -> bytes:
    """A GIF that is a zip archive too: its first bytes say GIF, and a GIF it is."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("x.txt", "x")
    return good_gif() + held.getvalue()


def polyglot_gif_script() -> bytes:
    """Begins like a GIF and is a script."""
    return b"GIF89a/*" + b" " * 200 + b"*/=1;alert(1)//;"


def svg() -> bytes:
    return b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def html() -> bytes:
    return b"\n<!DOCTYPE html><html><body>not found</body></html>"


def pdf() -> bytes:
    return b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def playlist() -> bytes:
    """A playlist that names another file, as a careless demuxer would open it."""
    return b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


def concat() -> bytes:
    return b"ffconcat version 1.0\nfile '/etc/passwd'\n"


GOOD: dict[str, tuple[Make, ...]] = {
    "image": (
        good_png, good_jpeg, progressive_jpeg, good_webp, lossless_webp, good_gif, good_bmp, good_tiff, packed_tiff,
        good_avif, palette_png, grey_alpha_png, one_bit_png, png16, cmyk_jpeg, cmyk_tiff, animated_gif, animated_webp,
        animated_png, polyglot_gif_zip,
    ),
    "audio": (
        wav, wav_streamed, flac, flac_streamed, mp3, aac, m4a, m4a_fragmented, ogg, ogg_opus, ogg_flac,
        webm_sound, webm_live, aiff, mp4_with_sound,
    ),
    "video": (mp4, mp4_with_sound, mov, webm, mkv, avi),
}  # fmt: skip
"""Files that pass, by kind."""

HOSTILE: dict[str, tuple[Make, ...]] = {
    "image": (
        bytes, bomb_png, bomb_gif, bomb_webp, bomb_bmp, bomb_jpeg, truncated_png, truncated_jpeg, truncated_webp,
        truncated_gif, truncated_bmp, truncated_tiff, header_alone_png, polyglot_gif_script, float_tiff, svg, html, pdf,
        playlist, wav, mp3, mp4,
    ),
    "audio": (
        bytes, wav_empty, wav_lying, wav_of_no_rate, wav_of_32_channels, wav_truncated, ogg_silly, ogg_truncated,
        flac_lying, mp4_lying, mp4_nested, playlist, concat, html, good_png, mp4,
    ),
    "video": (bytes, mp4_truncated, mp4_nested, playlist, concat, html, good_png, animated_gif, wav, m4a),
}  # fmt: skip
"""Files that are refused, by kind."""
