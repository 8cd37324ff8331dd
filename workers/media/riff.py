"""Sounds and videos in chunks: WAV and AVI (RIFF, little-endian), AIFF (the same in big-endian)."""

from collections.abc import Iterator

from workers.media.header import Broken, Header, number, unpacked

_OPEN_ENDED = 0xFFFF_FFFF
"""What a writer that could not go back leaves as a size, if not 0: to the end of the file."""
_CHUNK_HEAD = 8
_MAX_CHUNKS = 10_000


def chunks(data: bytes, at: int, end: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk between `at` and `end`; a chunk begins at an even place."""
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        size = number(order + "I", data, at + 4)
        yield data[at : at + 4], at + 8, size
        at += 8 + size + (size & 1)
    raise Broken(f"it has more than {_MAX_CHUNKS} chunks")


_EVEN = frozenset({1, 3, 6, 7, 0xFFFE})
"""Codecs whose samples all have one size: PCM, floating point, A-law, mu-law, and whatever of them is extensible."""


def wav(data: bytes) -> Header:
    """WAV, also with 64-bit sizes (RF64), of any codec.

    "Multimedia Programming Interface and Data Specifications 1.0", 1991; RF64: EBU Tech 3306. What it says of its bytes
    a second counts only where they do not follow from its blocks.
    """
    header = Header("audio/wav", sound=True)
    per_second, block, samples = 0, 0, 0
    for name, at, size in chunks(data, 12, len(data), "<"):
        if name == b"fmt ":
            codec, header.channels, header.sampling_rate, per_second, block = unpacked("<HHIIH", data, at)
            per_second = header.sampling_rate * block if codec in _EVEN else per_second
        elif name == b"fact" and size >= 4:
            samples = number("<I", data, at)
        elif name == b"data":
            if not block or not header.sampling_rate:
                raise Broken("its sound comes before its format, or its format says 0 Hz or blocks of 0 bytes")
            left = len(data) - at
            told = left if size == _OPEN_ENDED or (size == 0 and left > _CHUNK_HEAD) else size
            if told > left + block:
                raise Broken(f"it is cut off: its header says {told} bytes of sound, and there are {left}")
            told_s = samples / header.sampling_rate if samples < 2**32 - 1 else 0.0
            header.seconds = min(told, left) / per_second if per_second else told_s
            return header
    raise Broken("it has no sound in it")


def aiff(data: bytes) -> Header:
    """AIFF and AIFF-C."""
    header = Header("audio/aiff", sound=True)
    for name, at, size in chunks(data, 12, len(data), ">"):
        if name == b"COMM":
            header.channels, frames = unpacked(">hI", data, at)
            rate = _extended(*unpacked(">HQ", data, at + 8))
            header.sampling_rate, header.seconds = int(rate), frames / rate if rate >= 1 else 0.0
        elif name == b"SSND":
            if header.seconds is None:
                raise Broken("its sound comes before its format")
            if size > len(data) - at:
                raise Broken(f"it is cut off: its header says {size} bytes of sound, and there are {len(data) - at}")
            return header
    raise Broken("it has no sound in it")


def _extended(head: int, fraction: int) -> float:
    """A number of 80 bits (IEEE 754 extended); 0 for one that is no sampling rate."""
    exponent = (head & 0x7FFF) - 16_383
    return fraction / 2**63 * 2.0**exponent if not head & 0x8000 and 0 <= exponent < 32 else 0.0


def avi(data: bytes) -> Header:
    """AVI: size and length of its pictures by the main header, its sound by the stream's."""
    header = Header("video/x-msvideo")
    for name, at, size in chunks(data, 12, len(data), "<"):
        if name == b"LIST" and data[at : at + 4] == b"hdrl":
            _avi_header(data, at + 4, min(at + size, len(data)), header)
            return header
    raise Broken("it has no header list")


def _avi_header(data: bytes, at: int, end: int, header: Header) -> None:
    seconds = 0.0
    for name, start, size in chunks(data, at, end, "<"):
        if name == b"avih":
            frame_us, frames = number("<I", data, start), number("<I", data, start + 16)
            header.width, header.height = unpacked("<II", data, start + 32)
            seconds = max(seconds, frame_us * frames / 1e6)
        elif name == b"LIST" and data[start : start + 4] == b"strl":
            seconds = max(seconds, _avi_stream(data, start + 4, min(start + size, end), header))
    header.seconds = seconds


def _avi_stream(data: bytes, at: int, end: int, header: Header) -> float:
    """Seconds of one stream; what there is to see and to hear goes to `header`."""
    seconds, sound = 0.0, False
    for name, start, _ in chunks(data, at, end, "<"):
        if name == b"strh":
            header.picture |= data[start : start + 4] == b"vids"
            sound = data[start : start + 4] == b"auds"
            scale, rate, _, length = unpacked("<IIII", data, start + 20)
            seconds = length * scale / rate if rate else 0.0
        elif name == b"strf" and sound:
            header.sound = True
            _, header.channels, header.sampling_rate = unpacked("<HHI", data, start)
    return seconds
