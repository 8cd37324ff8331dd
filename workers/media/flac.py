"""FLAC (RFC 9639): the header says how long it is, and its last frame whether that is true."""

from workers.media.header import Broken, Header, number

_MAX_BLOCKS = 1_000
_LOOKED_AT_BYTES = 1_048_576
_MAX_CANDIDATES = 200
"""Two bytes that look like the beginning of a frame come by chance once in 32 kB."""
_BLOCK_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, **{code: 256 << (code - 8) for code in range(8, 16)}}


def flac(data: bytes, at: int = 0) -> Header:
    """FLAC in its own container, which begins at `at`."""
    header, total, block = stream_info(data, at + 8)
    at += 4
    for _ in range(_MAX_BLOCKS):
        flags, size = number("B", data, at), number(">I", data, at) & 0xFF_FFFF
        at += 4 + size
        if flags & 0x80:
            break
    else:
        raise Broken(f"it has more than {_MAX_BLOCKS} blocks of metadata")
    last = _end_of_last_frame(data, at, total or 2**36, block)
    if last is None or last + block < total:
        raise Broken(f"it is cut off: its header says {total} samples, and they do not come")
    header.seconds = last / (header.sampling_rate or 1)
    return header


def stream_info(data: bytes, at: int) -> tuple[Header, int, int]:
    """The header, the samples it says (0: it does not), and the largest block (section 8.2)."""
    block, packed = number(">H", data, at + 2), number(">Q", data, at + 10)
    rate, channels, total = packed >> 44, ((packed >> 41) & 7) + 1, packed & (2**36 - 1)
    if not rate or block < 16:
        raise Broken(f"its header says {rate} Hz in blocks of {block}")
    return Header("audio/flac", sampling_rate=rate, channels=channels, sound=True), total, block


def _end_of_last_frame(data: bytes, start: int, most: int, block: int) -> int | None:
    """Samples up to the end of the last frame whose header is sound; None if there is none."""
    first = max(start, len(data) - _LOOKED_AT_BYTES)
    places = {sync: data.rfind(sync, first) for sync in (b"\xff\xf8", b"\xff\xf9")}
    for _ in range(_MAX_CANDIDATES):
        sync, at = max(places.items(), key=lambda one: one[1])
        if at < 0:
            return None
        samples = _frame_end(data[at : at + 16], block)
        if samples is not None and samples <= most:
            return samples
        places[sync] = data.rfind(sync, first, at + 1)
    return None


def _frame_end(head: bytes, block: int) -> int | None:
    """Samples from the beginning to the end of the frame with this header (section 9.1); None if it is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[3] & 1:
        return None
    ones = 8 - (~head[4] & 0xFF).bit_length()
    length = max(1, ones)  # of the coded number, as in UTF-8
    if ones in (1, 8) or len(head) < 5 + length:
        return None
    coded = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return None
        coded = coded << 6 | byte & 0x3F
    at = 4 + length
    size, rate = head[2] >> 4, head[2] & 15
    samples = _BLOCK_SIZES.get(size)
    if size in (6, 7):
        samples = int.from_bytes(head[at : at + size - 5], "big") + 1
        at += size - 5
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if samples is None or rate == 15 or at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return coded + samples if head[1] & 1 else coded * block + samples


def _crc8(data: bytes) -> int:
    """x^8 + x^2 + x + 1, section 9.1.8."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
