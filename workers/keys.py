"""Keys of your own at providers: calls with one go to the provider itself, and it sends the bill."""

import time
from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import SecretStr

from runtime.credentials import REDACTED, CredentialError
from schemas import codec, providers

log = structlog.get_logger("novix.worker")

MAX_FILE_BYTES = 65_536
MAX_KEY_CHARS = 4_096
HF_PREFIX = "hf_"
_WRITTEN_JUST_NOW_NS = 2_000_000_000
"""A file this young may be written again within the same tick of its modification time, so it is read again."""


class Keys:
    """Gives a provider's key as it is now, from a JSON file `{"groq": "...", "fal-ai": "..."}`. Without a file: none.

    The file is looked at on every call and read when it has changed. A change that cannot be used keeps the last good
    keys, so that a file half written costs no job; it is logged, and `problem` says so until it is mended.
    `wall_clock_ns` is compared with the file's modification time.
    """

    def __init__(self, file: Path | None = None, *, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._wall_clock_ns = wall_clock_ns
        self._stamp: tuple[int, int, int] | None = None
        self._settled = False
        self._keys: dict[str, SecretStr] | None = None if file is not None else {}
        self._known: list[str] = []
        self.problem: str | None = None
        """Why the file as it is now is not used, or None."""

    def of(self, provider: str) -> SecretStr | None:
        """The key at `provider` as of now. Raises `CredentialError` if the file has never given usable keys."""
        return self._current().get(provider)

    def redact(self, text: str) -> str:
        """`text` without any key of the file, those that it held before included."""
        for key in self._known:
            text = text.replace(key, REDACTED)
        return text

    def __repr__(self) -> str:
        return f"Keys(of={sorted(self._keys or ())!r})"

    def _current(self) -> dict[str, SecretStr]:
        if self._file is not None:
            try:
                self._refresh(self._file)
            except CredentialError as error:
                if self.problem != str(error):
                    log.warning("credential.unusable", problem=str(error))
                self.problem = str(error)
                self._stamp = None  # look again next time, whatever its modification time says
                if self._keys is None:
                    raise
        return self._keys or {}

    def _refresh(self, path: Path) -> None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp and self._settled:
                return
            self._stamp = stamp
            self._settled = self._wall_clock_ns() - found.st_mtime_ns > _WRITTEN_JUST_NOW_NS
            with path.open("rb") as opened:
                raw = opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise CredentialError(f"the provider keys file cannot be read: {error.strerror}") from None
        keys = _read(raw)
        if self._keys is None or {name: key.get_secret_value() for name, key in self._keys.items()} != keys:
            self._keys = {name: SecretStr(key) for name, key in keys.items()}
            self._known = [*dict.fromkeys([*keys.values(), *self._known])][:256]
        self.problem = None


def _read(raw: bytes) -> dict[str, str]:
    if len(raw) > MAX_FILE_BYTES:
        raise CredentialError(f"the provider keys file has more than {MAX_FILE_BYTES} bytes, which is the limit")
    try:
        document = codec.decode(raw)
    except codec.Undecodable as error:
        raise CredentialError(f"the provider keys file is {error}") from None
    if not isinstance(document, dict):
        raise CredentialError('the provider keys file is no JSON object of the form {"groq": "..."}')
    return {name: _checked(name, key) for name, key in document.items()}


def _checked(name: str, key: object) -> str:
    if name not in providers.PROVIDERS or name == "hf-inference":
        known = ", ".join(sorted(set(providers.PROVIDERS) - {"hf-inference"}))
        raise CredentialError(f"the provider keys file names a provider of {len(name)} characters; it may name {known}")
    if not isinstance(key, str) or not 0 < len(key.strip()) <= MAX_KEY_CHARS:
        raise CredentialError(f"the key at {name} is no text of 1 to {MAX_KEY_CHARS} characters")
    key = key.strip()
    if not all("!" <= character <= "~" for character in key):
        raise CredentialError(f"the key at {name} has characters that a header cannot carry")
    if key.startswith(HF_PREFIX):
        raise CredentialError(f"the key at {name} is a Hugging Face token: {name} would be shown it")
    return key
