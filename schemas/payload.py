"""How a job gives one payload: read from what stands at its place, and refused where it is none. Pure."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.media import BLOB_SCHEME, DATA_SCHEME, INPUTS, REF, BlobRef, found, is_ref

ADDRESS_CHARS = 8_192
"""Most characters of an address."""
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DATA = re.compile(
    r"data:([\w.+-]{1,100}/[\w.+-]{1,100})?(?:;[\w.+-]{1,100}=[^,;]{0,200}){0,4};base64,", re.ASCII | re.I
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}):", re.ASCII)


class PayloadFault(ValueError):
    """What stands where a payload should is none. The message names forms, sizes and limits, never content."""


@dataclass(frozen=True, slots=True)
class Inline:
    """Bytes in base64, RFC 4648 section 4, without line breaks."""

    text: str
    """The base64 alone."""

    @property
    def bytes(self) -> int:
        """How many bytes it stands for."""
        return len(self.text) // 4 * 3 - self.text[-2:].count("=")


@dataclass(frozen=True, slots=True)
class Address:
    """An https (or http) address."""

    url: str


def source_of(value: Any) -> Inline | Address | BlobRef:
    """How `value` gives its payload. Raises `PayloadFault`.

    Sound in form, that is all: the address may lead nowhere, the base64 be no image. A reference's own `uri` has the
    form that its scheme asks for; that it holds what `sha256` says shows when it is read.
    """
    if isinstance(value, str):
        return _of_text(value)
    if is_ref(value):
        return _of_ref(value[REF])
    raise PayloadFault('a payload is base64, a data: URI, an https address or {"$ref": {...}}')


def _of_text(text: str) -> Inline | Address:
    if text[:5].lower() == DATA_SCHEME:
        head = _DATA.match(text[:2_048])
        if head is None:
            raise PayloadFault("the data: URI is not of the form data:<type>;base64,<bytes>")
        return _inline(text[head.end() :])
    scheme = _SCHEME.match(text[:30])
    if scheme is None:
        return _inline(text)
    if scheme[1].lower() not in ("https", "http"):
        raise PayloadFault("the address is none of https")
    if len(text) > ADDRESS_CHARS:
        raise PayloadFault(f"the address has {len(text)} characters; {ADDRESS_CHARS} are allowed")
    return Address(text)


def _inline(text: str) -> Inline:
    if not text:
        raise PayloadFault("the payload is empty")
    bare = text.rstrip("=")
    if len(text) % 4 or len(text) - len(bare) > 2 or not bare.isascii() or bare.encode().translate(None, _BASE64):
        raise PayloadFault(f"{len(text)} characters that are no base64 (RFC 4648, section 4, without line breaks)")
    return Inline(text)


def _of_ref(value: Any) -> BlobRef:
    try:
        ref = BlobRef.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step)[:40] for step in fault["loc"] if step in BlobRef.model_fields)
        raise PayloadFault(f"$ref.{place or '(whole)'}: {str(fault['msg'])[:100]}") from None
    if ref.uri.startswith(BLOB_SCHEME):
        if ref.uri != BLOB_SCHEME + ref.sha256:
            raise PayloadFault("$ref.uri: a blob:// address is that of another sha256")
        return ref
    try:
        inner = _of_text(ref.uri)
    except PayloadFault as fault:
        raise PayloadFault(f"$ref.uri: {fault}") from None
    if isinstance(inner, Inline) and ref.uri[:5].lower() != DATA_SCHEME:
        raise PayloadFault("$ref.uri: is none of blob://, data: and https://")
    if isinstance(inner, Inline) and inner.bytes != ref.bytes:
        raise PayloadFault(f"$ref.bytes: says {ref.bytes}, and the uri has {inner.bytes}")
    return ref


def passes_on(task: str, value: Any) -> bool:
    """Whether `value` is a chat's address of an image: it goes on as it is, for the provider to fetch."""
    return task == "chat-completion" and isinstance(value, str) and value[:8].lower() == "https://"


def payload_fault(task: str, task_input: Any, *, max_bytes: int, http_origins: tuple[str, ...] = ()) -> str | None:
    """Why a payload of a task's input cannot be one: `path: reason`, at most 300 characters; None if all may be.

    Looks at forms and told sizes alone. `max_bytes` holds for each payload and for all of an input together; an http
    address is allowed for `http_origins` (`http://127.0.0.1:8901`), the operator's own.
    """
    total = 0
    for place, value in found(INPUTS.get(task, ()), task_input):
        if value is None or passes_on(task, value):
            continue
        try:
            size = _size(task, value, http_origins)
        except PayloadFault as fault:
            return f"{'.'.join(place.path)}: {fault}"[:300]
        total += size
        if size > max_bytes:
            return f"{'.'.join(place.path)}: {size} bytes; {max_bytes} are allowed"
    return f"the payloads have {total} bytes together; {max_bytes} are allowed" if total > max_bytes else None


def _size(task: str, value: Any, http_origins: tuple[str, ...]) -> int:
    source = source_of(value)
    if isinstance(source, BlobRef):
        _allowed(source.uri, http_origins)
        return source.bytes
    if isinstance(source, Address):
        _allowed(source.url, http_origins)
        return 0
    if task == "chat-completion" and not value[:5].lower() == DATA_SCHEME:
        raise PayloadFault('is none of an https address, a data: URI and {"$ref": {...}}')
    return source.bytes


def _allowed(url: str, http_origins: tuple[str, ...]) -> None:
    if url[:5].lower() == "http:" and not any(url == one or url.startswith(f"{one}/") for one in http_origins):
        raise PayloadFault("the address begins with http://; https:// is needed")
