"""Content encodings: read right wherever they are cut, and stopped at the limit however small the bomb."""

import gzip
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.http.decode import (
    PIECE_BYTES,
    BodyDecoder,
    BrokenEncodingError,
    TooLargeError,
    UnknownEncodingError,
)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("", bytes),
    "identity": ("Identity", bytes),
    "gzip": ("GZIP", gzip.compress),
    "x-gzip": (" x-gzip ", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}
encoders = pytest.mark.parametrize("encoder", ENCODERS)


def decoded(encoding: str, chunks: list[bytes], max_bytes: int = 10_000_000) -> bytes:
    decoder = BodyDecoder(encoding, max_bytes=max_bytes)
    out = b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))
    decoder.end()
    return out


@encoders
@given(data=st.binary(max_size=2_000), repeat=st.integers(1, 200), cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_any_cut_of_an_encoded_body_gives_the_same_bytes(encoder: str, data: bytes, repeat: int, cuts: list[int]):
    encoding, encode = ENCODERS[encoder]
    body = encode(data * repeat)
    at = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})

    assert decoded(encoding, [body[a:b] for a, b in pairwise(at)]) == data * repeat


def test_a_body_of_several_gzip_members_is_one_body():
    assert decoded("gzip", [gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")]) == b"one two"


@pytest.mark.parametrize("encoder", ["gzip", "zlib", "raw"])
def test_a_bomb_ends_at_the_limit_and_comes_in_small_pieces_until_then(encoder: str):
    encoding, encode = ENCODERS[encoder]
    bomb = encode(bytes(50_000_000))
    assert len(bomb) < 100_000
    decoder = BodyDecoder(encoding, max_bytes=1_000_000)
    sizes = []

    def feed_all() -> None:
        sizes.extend(len(piece) for piece in decoder.feed(bomb))

    with pytest.raises(TooLargeError):
        feed_all()
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) <= 1_000_000


@encoders
def test_exactly_the_limit_passes_and_one_byte_more_does_not(encoder: str):
    encoding, encode = ENCODERS[encoder]
    limit = PIECE_BYTES * 2

    assert len(decoded(encoding, [encode(bytes(limit))], limit)) == limit
    with pytest.raises(TooLargeError):
        decoded(encoding, [encode(bytes(limit + 1))], limit)


def test_the_bytes_on_the_wire_count_too():
    with pytest.raises(TooLargeError):
        decoded("gzip", [gzip.compress(b"")] * 100, 1_000)


@pytest.mark.parametrize("encoder", ["gzip", "zlib", "raw"])
def test_a_body_that_stops_early_or_is_something_else_is_broken(encoder: str):
    encoding, encode = ENCODERS[encoder]

    for body in (encode(b"x" * 1_000)[:-1], encode(b"x")[:1], b"<html>no</html>" * 3, encode(b"x") + b"?"):
        with pytest.raises(BrokenEncodingError):
            decoded(encoding, [body])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "gzip;q=1"])
def test_an_encoding_that_cannot_be_bounded_is_refused_by_name(encoding: str):
    with pytest.raises(UnknownEncodingError):
        BodyDecoder(encoding, max_bytes=1)
