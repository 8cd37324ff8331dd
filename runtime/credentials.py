"""The Hugging Face token: where it comes from, how it is renewed without a restart, how it is kept out of texts.

A sealed file is one line of text: `novix-sealed-v1:` and, in URL-safe base64 (RFC 4648 section 5), a nonce of 12
bytes followed by the AES-256-GCM ciphertext with its tag of 16 bytes (NIST SP 800-38D). The prefix is also the
associated data. The key is 32 random bytes, written as URL-safe base64, in `NOVIX_SEAL_KEY` or in a key file.
"""

import base64
import binascii
import os
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from runtime.settings import Settings

log = structlog.get_logger("novix.process")

T = TypeVar("T")

SEALED_PREFIX = "novix-sealed-v1:"
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MAX_TOKEN_CHARS = 4_096
MAX_FILE_BYTES = 16_384
REDACTED = "[redacted]"

_SHAPED_LIKE_A_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:hf_|api_org_)[A-Za-z0-9_-]{6,}")
"""User tokens, organisation tokens of old, and those of OAuth and of jobs (`hf_oauth_`, `hf_jwt_`)."""
_WRITTEN_JUST_NOW_NS = 2_000_000_000
"""A file this young may be written again within the same tick of its modification time, so it is read again."""


class CredentialError(Exception):
    """A token or key that cannot be used. The message says which and why, never a part of it."""


class _Stamp(NamedTuple):
    modified_ns: int
    size_bytes: int
    inode: int


class SecretFile(Generic[T]):
    """What stands in a small file of secrets, as it is now: looked at on every call and read when it has changed.

    A change that cannot be used keeps the last good value, so that a file half written costs no job; it is logged, and
    `problem` says so until it is mended. `read` makes the value of the first `max_bytes` + 1 bytes, or raises
    `CredentialError`. `wall_clock_ns` is compared with the file's modification time.
    """

    def __init__(
        self, path: Path, what: str, read: Callable[[bytes], T], *, max_bytes: int, wall_clock_ns: Callable[[], int]
    ) -> None:
        self._path = path
        self._what = what
        self._read = read
        self._max_bytes = max_bytes
        self._wall_clock_ns = wall_clock_ns
        self._stamp: _Stamp | None = None
        self._settled = False
        self._value: T | None = None
        self.problem: str | None = None
        """Why the file as it is now is not used, or None."""

    def current(self) -> T:
        """The value as of now. Raises `CredentialError` if the file has never given a usable one."""
        try:
            self._refresh()
        except CredentialError as error:
            if self.problem != str(error):
                log.warning("credential.unusable", problem=str(error))
            self.problem = str(error)
            self._stamp = None  # look again next time, whatever its modification time says
            if self._value is None:
                raise
        if self._value is None:
            raise CredentialError(f"{self._what} has given nothing")
        return self._value

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            stamp = _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp and self._settled:
                return
            self._stamp = stamp
            self._settled = self._wall_clock_ns() - stamp.modified_ns > _WRITTEN_JUST_NOW_NS
            with self._path.open("rb") as opened:
                raw = opened.read(self._max_bytes + 1)
        except OSError as error:
            raise CredentialError(f"{self._what} cannot be read: {error.strerror}") from None
        self._value = self._read(raw)
        self.problem = None


class Credentials:
    """Gives the token as it is now. One of `value`, `file`, `sealed_file`; with none there is no token.

    A file is looked at on every call and read when it has changed. A change that cannot be used keeps the last
    good token, so that a file half written costs no job; it is logged, and `problem` says so until it is mended.
    `wall_clock_ns` is compared with the file's modification time.
    """

    def __init__(
        self,
        *,
        value: SecretStr | None = None,
        file: Path | None = None,
        sealed_file: Path | None = None,
        seal_key: Callable[[], bytes] | None = None,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        given = [name for name, one in (("value", value), ("file", file), ("sealed_file", sealed_file)) if one]
        if len(given) > 1:
            raise CredentialError(f"the token is given {len(given)} times ({', '.join(given)}); once is allowed")
        if sealed_file is not None and seal_key is None:
            raise CredentialError("the token file is sealed, and there is neither a seal key nor a key file")
        self._seal_key = seal_key if sealed_file is not None else None
        self._file: SecretFile[SecretStr] | None = None
        if path := sealed_file or file:
            self._file = SecretFile(
                path, "the token file", self._opened, max_bytes=MAX_FILE_BYTES, wall_clock_ns=wall_clock_ns
            )
        self._token: SecretStr | None = None
        self._known: deque[str] = deque(maxlen=8)
        if value is not None:
            self._adopt(SecretStr(_checked(value.get_secret_value())))

    @property
    def problem(self) -> str | None:
        """Why the file as it is now is not used, or None."""
        return None if self._file is None else self._file.problem

    def current(self) -> SecretStr | None:
        """The token as of now, or None if none is configured. Reads at most one small file.

        Raises `CredentialError` if there is a file and it has never given a usable token.
        """
        if self._file is not None:
            self._adopt(self._file.current())
        return self._token

    def redact(self, text: str) -> str:
        """`text` without the token, the tokens before it, and anything shaped like a Hugging Face token."""
        for token in self._known:
            text = text.replace(token, REDACTED)
        return redact(text)

    def __repr__(self) -> str:
        source = "none" if self._token is None and self._file is None else "file" if self._file else "value"
        return f"Credentials(source={source!r}, sealed={self._seal_key is not None})"

    def _opened(self, raw: bytes) -> SecretStr:
        text = _text_of(raw, "the token file").strip()
        return SecretStr(_checked(text)) if self._seal_key is None else unseal(text, self._seal_key())

    def _adopt(self, token: SecretStr) -> None:
        if self._token is None or self._token.get_secret_value() != token.get_secret_value():
            self._token = token
            self._known.append(token.get_secret_value())


def redact(text: str) -> str:
    """`text` without anything shaped like a Hugging Face token."""
    return _SHAPED_LIKE_A_TOKEN.sub(REDACTED, text)


def new_key() -> str:
    """A fresh random key for `seal`, as it is written in `NOVIX_SEAL_KEY` or a key file."""
    return base64.urlsafe_b64encode(AESGCM.generate_key(bit_length=KEY_BYTES * 8)).decode("ascii")


def parse_key(text: str) -> bytes:
    """The 32 bytes that `text` stands for. Raises `CredentialError`."""
    try:
        key = base64.b64decode(text.strip().encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise CredentialError(f"the seal key ({len(text)} characters) is not URL-safe base64") from None
    if len(key) != KEY_BYTES:
        raise CredentialError(f"the seal key has {len(key)} bytes; it must have {KEY_BYTES}")
    return key


def read_key(path: Path) -> bytes:
    """The key in the key file at `path`. Raises `CredentialError`."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CredentialError(f"the key file cannot be read: {error.strerror}") from None
    return parse_key(_text_of(raw, "the key file"))


def seal(token: SecretStr, key: bytes) -> str:
    """`token` as the text of a sealed file. Sealing twice gives two texts: the nonce is random."""
    nonce = os.urandom(NONCE_BYTES)
    plain = _checked(token.get_secret_value()).encode("ascii")
    sealed = AESGCM(key).encrypt(nonce, plain, SEALED_PREFIX.encode("ascii"))
    return SEALED_PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode("ascii")


def unseal(text: str, key: bytes) -> SecretStr:
    """The token in `text`. Raises `CredentialError` for a wrong key and for a text that was changed."""
    text = text.strip()
    if not text.startswith(SEALED_PREFIX):
        raise CredentialError(f"a sealed token begins with {SEALED_PREFIX!r}")
    try:
        encoded = text.removeprefix(SEALED_PREFIX).encode("ascii")
        packed = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise CredentialError(f"the sealed token ({len(text)} characters) is not URL-safe base64") from None
    if len(packed) <= NONCE_BYTES + TAG_BYTES:
        raise CredentialError(
            f"the sealed token has {len(packed)} bytes; nonce and tag alone have {NONCE_BYTES + TAG_BYTES}"
        )
    try:
        plain = AESGCM(key).decrypt(packed[:NONCE_BYTES], packed[NONCE_BYTES:], SEALED_PREFIX.encode("ascii"))
    except InvalidTag:
        raise CredentialError("the sealed token does not open: wrong key, or it was changed") from None
    return SecretStr(_checked(_text_of(plain, "the sealed token")))


def _text_of(raw: bytes, what: str) -> str:
    if len(raw) > MAX_FILE_BYTES:
        raise CredentialError(f"{what} has more than {MAX_FILE_BYTES} bytes, which is the limit")
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise CredentialError(f"{what} ({len(raw)} bytes) is not plain ASCII") from None


def _checked(token: str) -> str:
    """`token` without the spaces around it, if it can stand in a header."""
    token = token.strip()
    if not token:
        raise CredentialError("the token is empty")
    if len(token) > MAX_TOKEN_CHARS:
        raise CredentialError(f"the token has {len(token)} characters; it may have {MAX_TOKEN_CHARS}")
    if not all("!" <= character <= "~" for character in token):
        raise CredentialError(f"the token ({len(token)} characters) has characters that a header cannot carry")
    return token


def credentials(settings: Settings) -> Credentials:
    """The token: a value, a file or a sealed file, whichever is set."""
    sealed = Path(settings.hf_token_sealed_file) if settings.hf_token_sealed_file else None
    return Credentials(
        value=settings.hf_token if settings.hf_token.get_secret_value() else None,
        file=Path(settings.hf_token_file) if settings.hf_token_file else None,
        sealed_file=sealed,
        seal_key=(lambda: parse_key(settings.seal_key.get_secret_value())) if sealed else None,
    )
