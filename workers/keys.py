"""Keys of your own at providers: calls with one go to the provider itself, and it sends the bill."""

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from runtime.credentials import REDACTED, CredentialError, SecretFile
from schemas import codec, providers

MAX_FILE_BYTES = 65_536
MAX_KEY_CHARS = 4_096
HF_PREFIX = "hf_"


class Keys:
    """Gives a provider's key as it is now, from a JSON file `{"groq": "...", "fal-ai": "..."}`. Without a file: none.

    The file is read as `SecretFile` says.
    """

    def __init__(self, file: Path | None = None, *, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._file: SecretFile[dict[str, SecretStr]] | None = None
        if file is not None:
            self._file = SecretFile(
                file, "the provider keys file", _read, max_bytes=MAX_FILE_BYTES, wall_clock_ns=wall_clock_ns
            )
        self._keys: dict[str, SecretStr] = {}
        self._known: list[str] = []

    @property
    def problem(self) -> str | None:
        """Why the file as it is now is not used, or None."""
        return None if self._file is None else self._file.problem

    def of(self, provider: str) -> SecretStr | None:
        """The key at `provider` as of now. Raises `CredentialError` if the file has never given usable keys."""
        if self._file is not None and (keys := self._file.current()) is not self._keys:
            self._keys = keys
            told = (key.get_secret_value() for key in keys.values())
            self._known = [*dict.fromkeys([*told, *self._known])][:256]
        return self._keys.get(provider)

    def redact(self, text: str) -> str:
        """`text` without any key of the file, those that it held before included."""
        for key in self._known:
            text = text.replace(key, REDACTED)
        return text

    def __repr__(self) -> str:
        return f"Keys(of={sorted(self._keys)!r})"


def _read(raw: bytes) -> dict[str, SecretStr]:
    if len(raw) > MAX_FILE_BYTES:
        raise CredentialError(f"the provider keys file has more than {MAX_FILE_BYTES} bytes, which is the limit")
    try:
        document = codec.decode(raw)
    except codec.Undecodable as error:
        raise CredentialError(f"the provider keys file is {error}") from None
    if not isinstance(document, dict):
        raise CredentialError('the provider keys file is no JSON object of the form {"groq": "..."}')
    return {name: SecretStr(_checked(name, key)) for name, key in document.items()}


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
