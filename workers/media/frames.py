"""Sounds that are nothing but frames, one after another: MPEG audio (MP3), ADTS (AAC), AMR.

No header says how long they are, or it may lie: the frames are counted, which takes a microsecond each.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from workers.media.flac import flac
from workers.media.header import Broken, Header, number

MAX_FRAMES = 400_000
"""Two hours of the shortest frames of MP3."""
_LEAST_FRAMES = 2
"""In a row, at the beginning: two bytes may look like a frame by chance."""
_OTHER_BYTES = 131_072
"""What may stand between and behind the frames: tags, and what came in when they were recorded."""


class Frame(NamedTuple):
    """What one frame's header says."""

    size: int
    seconds: float
    sampling_rate: int
    channels: int


_PADDING = re.compile(rb"\0*")
"""What some writers leave behind their tags."""
_SYNC = re.compile(rb"\xff[\xe2-\xff][^\xff]", re.DOTALL)
"""As a frame of MPEG audio or ADTS begins; without the last byte, a run of the first would be all beginnings."""
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""By version: MPEG 1, 2, 2.5."""
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By MPEG version (2 stands for 2.5 too) and layer: ISO/IEC 11172-3, table 2.4.2.3; 13818-3, 2.4.2.3."""


def mpeg_frame(head: int) -> Frame | None:
    """The frame with these 32 bits as its header; None if they are none."""
    version, layer = head >> 19 & 3, 4 - (head >> 17 & 3)
    kbits, rate, padding = head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
    if head >> 21 != 0x7FF or version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    old = version == 3
    hertz, bits = _RATES[version][rate], _KBITS[1 if old else 2, layer][kbits - 1] * 1000
    samples = 384 if layer == 1 else 1152 if layer == 2 or old else 576
    size = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz + padding
    return Frame(size, samples / hertz, hertz, 1 if head >> 6 & 3 == 3 else 2)


_ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


def adts_frame(head: int) -> Frame | None:
    """The frame with these 56 bits as its header (ISO/IEC 13818-7, 6.2); None if they are none."""
    rate, channels, size, blocks = head >> 34 & 15, head >> 30 & 7, head >> 13 & 0x1FFF, (head & 3) + 1
    if head >> 44 != 0xFFF or head >> 41 & 3 or rate >= len(_ADTS_RATES) or size < 7:
        return None
    hertz = _ADTS_RATES[rate]
    return Frame(size, 1024 * blocks / hertz, hertz, {0: 2, 7: 8}.get(channels, channels))


def _after_tags(data: bytes) -> int:
    """Where the sound begins: behind ID3v2 tags (id3.org, 3.1)."""
    at = 0
    for _ in range(16):
        if data[at : at + 3] != b"ID3":
            return at
        coded = number(">I", data, at + 6)
        size = coded & 0x7F | coded >> 1 & 0x3F80 | coded >> 2 & 0x1F_C000 | coded >> 3 & 0xFE0_0000
        at += 10 + size + (10 if number("B", data, at + 5) & 0x10 else 0)
    return at


def mpeg(data: bytes) -> Header:
    """MPEG audio, or AAC in ADTS: which of them, the first frame says. Or FLAC behind tags that are not its own."""
    at = _after_tags(data)
    if data[at : at + 4] == b"fLaC":
        return flac(data, at)
    at += len(_PADDING.match(data, at)[0])  # type: ignore[index]
    if adts_frame(int.from_bytes(data[at : at + 7], "big")):
        return _counted("audio/aac", data, at, adts_frame, 7)
    first = mpeg_frame(int.from_bytes(data[at : at + 4], "big"))
    if first is None:
        raise Broken("no frame of sound follows its tags")
    start = data[at : at + min(first.size, 400)]
    if not any(mark in start[:200] for mark in (b"Xing", b"Info", b"VBRI")):
        return _counted("audio/mpeg", data, at, mpeg_frame, 4)
    header = _counted("audio/mpeg", data, at + first.size, mpeg_frame, 4)  # a frame of figures, without sound
    padded = _padding(start) / first.sampling_rate
    if header.seconds is not None and padded < header.seconds:
        header.seconds -= padded
    return header


def _padding(start: bytes) -> int:
    """Samples that an encoder put before and behind the sound, as its first frame says ("MP3 Info Tag rev 1")."""
    at = max(start.find(b"Xing"), start.find(b"Info"))
    flags = int.from_bytes(start[at + 4 : at + 8], "big") & 15 if at >= 0 else 0
    figures = at + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    if at < 0 or start[figures : figures + 4] not in (b"LAME", b"Lavc", b"Lavf"):
        return 0
    both = int.from_bytes(start[figures + 21 : figures + 24], "big")
    return (both >> 12) + (both & 0xFFF)


def _counted(media_type: str, data: bytes, at: int, read: Callable[[int], Frame | None], width: int) -> Header:
    header = Header(media_type, sound=True, seconds=0.0)
    known: dict[bytes, Frame | None] = {}
    count, seconds, end, others = 0, 0.0, len(data), 0
    while at + width <= end:
        head = data[at : at + width]
        frame = known.get(head)
        if frame is None:
            frame = read(int.from_bytes(head, "big"))
            if frame is None:
                there = _resumed(data, at, read, width)
                others += there - at
                if count < _LEAST_FRAMES or others > _OTHER_BYTES:
                    raise Broken(f"among or behind {count} frames are {others} bytes that are none")
                at = there
                continue
            if len(known) < 4_096:
                known[head] = frame
            if not count:
                header.sampling_rate, header.channels = frame.sampling_rate, frame.channels
        count += 1
        if count > MAX_FRAMES:
            raise Broken(f"it has more than {MAX_FRAMES} frames")
        seconds += frame.seconds
        at += frame.size
    if count < _LEAST_FRAMES and at != end:
        raise Broken(f"after {count} frames come {max(0, end - at)} bytes that are none")
    header.seconds = seconds
    return header


def _resumed(data: bytes, at: int, read: Callable[[int], Frame | None], width: int) -> int:
    """Where, from `at` on, two frames follow one another again, as a decoder looks for them; else the end."""
    last = min(len(data), at + _OTHER_BYTES + 1)
    while found := _SYNC.search(data, at + 1, last):
        at = found.start()
        frame = read(int.from_bytes(data[at : at + width], "big")) if at + width <= len(data) else None
        if frame is not None and read(int.from_bytes(data[at + frame.size : at + frame.size + width], "big")):
            return at
    return len(data)


_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
_AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)


def amr(data: bytes) -> Header:
    """AMR, narrow band and wide band: RFC 4867, 5."""
    wide = data.startswith(b"#!AMR-WB\n")
    sizes, at = (_AMR_WB_BYTES, 9) if wide else (_AMR_BYTES, 6)
    count, end = 0, len(data)
    while at < end:
        at += sizes[data[at] >> 3 & 15]
        count += 1
        if count > MAX_FRAMES:
            raise Broken(f"it has more than {MAX_FRAMES} frames")
    name, rate = ("audio/amr-wb", 16_000) if wide else ("audio/amr", 8_000)
    return Header(name, seconds=count * 0.02, sampling_rate=rate, channels=1, sound=True)
