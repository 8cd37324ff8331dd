"""Sounds in chunks: WAV (RIFF, little-endian), AIFF (the same in big-endian). How long one is, its bytes say."""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.media import frames
from workers.media.header import Broken, Header, number, unpacked

OPEN_ENDED = 0x7F00_0000
"""From here on a size is what a writer leaves that cannot go back to it: to the end of the file. WAV has 0 too."""
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


_EXTENSIBLE = 0xFFFE
_MPEG = frozenset({0x50, 0x55})
_EVEN = frozenset({1, 3, 6, 7})
"""Codecs whose samples all have one size: PCM, floating point, A-law, mu-law."""
_OF_4_BITS = frozenset({0x20, 0x40, 0x65, 0x28F})
"""ADPCM of Yamaha, G.721, G.722 (twice)."""
_OF_TOLD_BITS = frozenset({0x14, 0x45, 0x64})
"""G.723 and G.726."""


@dataclass(frozen=True, slots=True)
class Format:
    """WAVEFORMATEX: how the samples of a sound lie ("Multimedia Data Standards Update 3.0", 1994)."""

    codec: int
    channels: int
    rate: int
    block: int
    """Bytes that belong together."""
    bits: int

    @classmethod
    def read(cls, data: bytes, at: int, size: int, order: str = "<") -> "Format":
        """What stands at `at`; of an extensible one the codec within."""
        codec, channels, rate, _, block = unpacked(order + "HHIIH", data, at)
        bits = number(order + "H", data, at + 14) if size >= 16 else 8 * block // max(1, channels)
        if codec == _EXTENSIBLE and size >= 26:
            codec = number(order + "H", data, at + 24)
        if not block or not rate or not channels:
            raise Broken(f"its format says {rate} Hz, {channels} channels and blocks of {block} bytes")
        return cls(codec, channels, rate, block, bits)

    def seconds(self, size: int) -> float | None:
        """How long `size` bytes last, by their number and not by what the file says; None if that does not tell."""
        channels, block = self.channels, self.block
        if self.codec in _EVEN:  # where blocks and bits disagree, whichever makes it longer
            return size / min(block, (self.bits + 7) // 8 * channels or block) / self.rate
        if self.codec in _OF_4_BITS or (self.codec in _OF_TOLD_BITS and 2 <= self.bits <= 5):
            return size * 8 / (4 if self.codec in _OF_4_BITS else self.bits) / channels / self.rate
        samples = {
            0x02: (block - 7 * channels) * 2 // channels + 2,  # Microsoft's ADPCM: two samples in the head of a block
            0x11: (block - 4 * channels) * 2 // channels + 1,  # IMA's: one
            0x31: block / 65 * 320,  # GSM 6.10
        }.get(self.codec, 0)
        return size / block * samples / self.rate if samples > 0 else None


def wav(data: bytes) -> Header:
    """WAV, also with 64-bit sizes (RF64), or in big-endian (RIFX).

    "Multimedia Programming Interface and Data Specifications 1.0", 1991; RF64: EBU Tech 3306.
    """
    order, form = ">" if data.startswith(b"RIFX") else "<", None
    for name, at, size in chunks(data, 12, len(data), order):
        if name == b"fmt ":
            form = Format.read(data, at, size, order)
        elif name == b"data":
            if form is None:
                raise Broken("its sound comes before its format")
            left = len(data) - at
            held = left if size == 0 and left > _CHUNK_HEAD else _there(size, left, form.block)
            seconds = form.seconds(held)
            if form.codec in _MPEG:
                seconds = frames.mpeg(data[at : at + held]).seconds
            elif seconds is None:
                raise Broken(f"its codec 0x{form.codec:04x} is none that is read: PCM, float, G.711, ADPCM, GSM, MPEG")
            return Header("audio/wav", seconds=seconds, sampling_rate=form.rate, channels=form.channels, sound=True)
    raise Broken("it has no sound in it")


def _there(told: int, left: int, more: int = 0) -> int:
    """How many of `told` bytes of sound the `left` bytes hold. Raises `Broken` where over `more` are missing."""
    if told >= OPEN_ENDED:
        return left
    if told > left + more:
        raise Broken(f"it is cut off: its header says {told} bytes of sound, and there are {left}")
    return min(told, left)


_AIFC_BYTES = {
    b"raw ": 1, b"alaw": 1, b"ALAW": 1, b"ulaw": 1, b"ULAW": 1, b"in24": 3, b"42ni": 3, b"in32": 4, b"23ni": 4,
    b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8,
}  # fmt: skip
"""Bytes of a sample by what AIFF-C calls its compression; of the others the header says the bits."""


def aiff(data: bytes) -> Header:
    """AIFF and AIFF-C, as far as their samples have one size; also IMA's ADPCM."""
    form, sound = None, None
    for name, at, size in chunks(data, 12, len(data), ">"):
        if name == b"COMM":
            packing = data[at + 18 : at + 22] if size >= 22 else b"NONE"
            form = (*unpacked(">hIh", data, at), _extended(*unpacked(">HQ", data, at + 8)), packing)
        elif name == b"SSND":
            sound = max(0, _there(size, len(data) - at) - 8)
    if form is None or sound is None:
        raise Broken("it has no sound in it, or does not say of what form")
    channels, _, bits, rate, packing = form
    width = (bits + 7) // 8 if packing in (b"NONE", b"twos", b"sowt") else _AIFC_BYTES.get(packing, 0)
    each = 34 / 64 if packing == b"ima4" else float(width)
    if each <= 0 or channels < 1 or rate < 1:
        raise Broken(
            f"its format says {rate:.0f} Hz, {channels} channels, {bits} bits, packed in a way that is not read"
        )
    return Header(
        "audio/aiff", seconds=sound / each / channels / rate, sampling_rate=int(rate), channels=channels, sound=True
    )  # fmt: skip


def _extended(head: int, fraction: int) -> float:
    """A number of 80 bits (IEEE 754 extended); 0 for one that is no sampling rate."""
    exponent = (head & 0x7FFF) - 16_383
    return fraction / 2**63 * 2.0**exponent if not head & 0x8000 and 0 <= exponent < 32 else 0.0
