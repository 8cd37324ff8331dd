"""Images: PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF, as far as their headers go. Nothing is decompressed.

Colours of 1 to 16 bits in grey, palette, RGB or CMYK pass: who decodes an image for a model turns them to RGB. Refused
are floating point, Lab, and JPEG of 12 bits. Of an animation the first frame counts.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from workers.media.boxes import Boxes
from workers.media.header import Broken, Header, number, unpacked
from workers.media.riff import chunks

MAX_PARTS = 10_000
"""Chunks, segments or tags before the pixels; honest files have some dozens."""
MAX_BLOCKS = 400_000
"""Of a GIF: 33 MB of them have 130,000."""


def _cut(told: int, there: int) -> Broken:
    return Broken(f"it is cut off: its header says {told} bytes, and there are {there}")


_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample by kind of colour (PNG, third edition, table 12)."""


def png(data: bytes) -> Header:
    """PNG, also animated."""
    width, height, depth, colour = unpacked(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or number(">I", data, 29) != zlib.crc32(data[12:29]):
        raise Broken("its header is damaged")
    if depth not in _DEPTHS.get(colour, ()):
        raise Broken(f"its colours are of no kind that there is ({colour}, {depth} bits)")
    header = Header("image/png", width, height, picture=True)
    at = 33
    for _ in range(MAX_PARTS):
        size, name = number(">I", data, at), data[at + 4 : at + 8]
        if name == b"acTL":
            header.frames = number(">I", data, at + 8)
        if name == b"IDAT":
            if data.rfind(b"IEND") < at:
                raise Broken("it is cut off: its end mark is missing")
            return header
        at += 12 + size
    raise Broken(f"it has more than {MAX_PARTS} chunks before its pixels")


_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame (ITU-T T.81, table B.1)."""
_FILL = re.compile(rb"\xff*")
"""Before a marker may be any number of these."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment."""


def jpeg(data: bytes) -> Header:
    """JPEG of 8 bits, baseline, progressive or other, also CMYK."""
    header, at = None, 2
    for _ in range(MAX_PARTS):
        if number("B", data, at) != 0xFF:
            raise Broken("its segments cannot be read")
        at += len(_FILL.match(data, at)[0])  # type: ignore[index]
        marker, at = number("B", data, at), at + 1
        if marker in _ALONE:
            continue
        if marker in _FRAMES:
            bits, height, width, components = unpacked(">BHHB", data, at + 2)
            if bits != 8 or components not in (1, 3, 4):
                raise Broken(f"it has {components} colours of {bits} bits; 1, 3 or 4 of 8 bits are read")
            header = Header("image/jpeg", width, height, picture=True)
        elif marker == 0xDA:
            if header is None:
                raise Broken("its pixels come before its size")
            if data.find(b"\xff\xd9", at) < 0:
                raise Broken("it is cut off: its end mark is missing")
            return header
        at += number(">H", data, at)
    raise Broken(f"it has more than {MAX_PARTS} segments before its pixels")


def gif(data: bytes) -> Header:
    """GIF (version 89a, sections 17 to 27). A frame may be larger than the screen that it is shown on."""
    width, height, flags = unpacked("<HHB", data, 6)
    header = Header("image/gif", width, height, frames=0, picture=True)
    at, left = 13 + _palette_bytes(flags), MAX_BLOCKS
    while (kind := number("B", data, at)) != 0x3B:
        if kind == 0x2C:
            x, y, width, height, flags = unpacked("<HHHHB", data, at + 1)
            header.width, header.height = max(header.width or 0, x + width), max(header.height or 0, y + height)
            header.frames += 1
            at += 10 + _palette_bytes(flags) + 1  # and the least size of a code
        elif kind == 0x21:
            at += 2
        else:
            raise Broken("its blocks cannot be read")
        while size := number("B", data, at):
            at += 1 + size
            left -= 1
        at += 1
        left -= 1
        if left < 0:
            raise Broken(f"it has more than {MAX_BLOCKS} blocks")
    if not header.frames:
        raise Broken("it has no image in it")
    return header


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def webp(data: bytes) -> Header:
    """WebP (RFC 9649), lossy, lossless and animated."""
    told = number("<I", data, 4) + 8
    if told > len(data):
        raise _cut(told, len(data))
    header = Header("image/webp", 0, 0, frames=0, picture=True)
    for name, at, _ in chunks(data, 12, told, "<"):
        if name == b"VP8X":
            _wider(header, number("<I", data, at + 4) & 0xFF_FFFF, number("<I", data, at + 6) >> 8)
        elif name == b"VP8 ":
            width, height = unpacked("<HH", data, at + 6)
            if data[at + 3 : at + 6] != b"\x9d\x01\x2a":
                raise Broken("its picture does not begin as one")
            _wider(header, (width & 0x3FFF) - 1, (height & 0x3FFF) - 1)
        elif name == b"VP8L":
            bits = number("<I", data, at + 1)
            if data[at] != 0x2F:
                raise Broken("its picture does not begin as one")
            _wider(header, bits & 0x3FFF, bits >> 14 & 0x3FFF)
        header.frames += name in (b"VP8 ", b"VP8L", b"ANMF")
    if not header.frames:
        raise Broken("it has no image in it")
    return header


def _wider(header: Header, width_less_one: int, height_less_one: int) -> None:
    header.width = max(header.width or 0, width_less_one + 1)
    header.height = max(header.height or 0, height_less_one + 1)


def bmp(data: bytes) -> Header:
    """Windows bitmap, from OS/2's on."""
    start, size = number("<I", data, 10), number("<I", data, 14)
    width, height, _, bits = unpacked("<iiHH" if size >= 40 else "<HHHH", data, 18)
    packed = number("<I", data, 30) if size >= 40 else 0
    if (size != 12 and not 40 <= size <= 124) or bits not in (1, 2, 4, 8, 16, 24, 32) or width < 0:
        raise Broken(f"its header of {size} bytes says {bits} bits a pixel")
    needed = start + (width * bits + 31) // 32 * 4 * abs(height)
    if packed in (0, 3, 6) and needed > len(data):
        raise _cut(needed, len(data))
    return Header("image/bmp", width, abs(height), picture=True)


_WIDTH, _HEIGHT, _BITS, _COLOUR, _FORM = 256, 257, 258, 262, 339
_PLACES = ((273, 279), (324, 325))
"""Where strips and tiles begin, and how long they are."""
_ASKED = frozenset({_WIDTH, _HEIGHT, _BITS, _COLOUR, _FORM, *(tag for pair in _PLACES for tag in pair)})
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers: byte, short, long, and the long of 64 bits."""
_COLOURS = frozenset(range(7))
"""Grey, RGB, palette, mask, CMYK, YCbCr; not Lab."""


def tiff(data: bytes) -> Header:
    """TIFF (revision 6.0), also BigTIFF (8-byte places); of several pages the first one counts."""
    order = "<" if data[:2] == b"II" else ">"
    tags = dict(_tags(data, order))
    width, height = tags.get(_WIDTH, (0,))[0], tags.get(_HEIGHT, (0,))[0]
    bits, forms, colour = tags.get(_BITS, (1,)), tags.get(_FORM, (1,)), tags.get(_COLOUR, (0,))[0]
    if max(bits) > 16 or not set(forms) <= {1, 2, 4} or colour not in _COLOURS:
        raise Broken(f"its colours have {max(bits)} bits of form {forms[0]} and kind {colour}: none that is read")
    ends = [
        max((start + size for start, size in zip(tags[starts], tags[sizes], strict=False)), default=0)
        for starts, sizes in _PLACES
        if starts in tags and sizes in tags
    ]
    if not ends:
        raise Broken("it does not say where its pixels are")
    if max(ends) > len(data):
        raise _cut(max(ends), len(data))
    return Header("image/tiff", width, height, picture=True)


def _tags(data: bytes, order: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The whole numbers of each tag that is asked for."""
    big = number(order + "H", data, 2) == 43
    place, counter, width = ("Q", "Q", 8) if big else ("I", "H", 4)
    at = number(order + place, data, 8 if big else 4)
    count = number(order + counter, data, at)
    if count > MAX_PARTS:
        raise Broken(f"it has {count} tags; {MAX_PARTS} are allowed")
    first, step = at + struct.calcsize(order + counter), 4 + 2 * width
    for row in range(first, first + step * count, step):
        tag, kind, many = unpacked(order + "HH" + place, data, row)
        form = _WHOLE.get(kind)
        if tag not in _ASKED or form is None or not 1 <= many <= MAX_BLOCKS:
            continue
        form, value = f"{order}{many}{form}", row + 4 + width
        inside = struct.calcsize(form) <= width
        yield tag, unpacked(form, data, value if inside else number(order + place, data, value))


def avif(data: bytes) -> Header:
    """AVIF (AV1 Image File Format 1.1): the largest of its images, whichever is shown."""
    boxes, header = Boxes(data), Header("image/avif", 0, 0, picture=True)
    for name, start, end in boxes.of(0, len(data)):
        if name == b"meta":
            held = boxes.down((start + 4, end), b"iprp", b"ipco")
            for inner, at, _ in boxes.of(*held) if held else ():
                if inner == b"ispe":
                    width, height = unpacked(">II", data, at + 4)
                    _wider(header, width - 1, height - 1)
        elif name == b"moov":
            counted = boxes.down((start, end), b"trak", b"mdia", b"minf", b"stbl", b"stsz")
            header.frames = number(">I", data, counted[0] + 8) if counted else 1
    return header
