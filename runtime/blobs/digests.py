"""The names of blobs. Pure."""

import hashlib
import re

from runtime.blobs import BlobMissing

_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """The sha256 of a payload, 64 hex digits: its name in every store."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is a blob's name."""
    return _SHA256.fullmatch(text) is not None


def named(sha256: str) -> str:
    """`sha256` as it is, if it is one: no other text becomes part of a path or a key. Raises `BlobMissing`."""
    if not is_digest(sha256):
        raise BlobMissing(f"a text of {len(sha256)} characters names no blob; a sha256 has 64 hex digits")
    return sha256
