"""Which door a call takes, and which credential it shows there."""

from urllib.parse import urlsplit

from runtime.credentials import Credentials
from runtime.settings import Settings
from schemas.assignment import Candidate
from schemas.providers import OWN_DIALECTS
from schemas.values import frozen
from workers.keys import Keys
from workers.providers import PROVIDERS, Dialect
from workers.providers.ways import direct, is_at_home, takes_own_key

HF_DOMAINS = ("huggingface.co", "huggingface.cloud")
"""Hosts of Hugging Face's, dedicated endpoints among them: they know what to do with its token."""


@frozen
class Access:
    """How one candidate is reached."""

    candidate: Candidate
    """With the base address that the call goes below."""
    dialect: Dialect
    authorization: str | None
    """The value of the header; None: without."""


class Doors:
    """Decides for each call. `token` and `keys` are looked at anew each time."""

    def __init__(self, settings: Settings, token: Credentials, keys: Keys) -> None:
        self._router = settings.hf_router_url
        self._ours = frozenset(_origin(url) for url in (settings.hf_router_url, settings.sandbox_url) if url)
        self._token = token
        self._keys = keys

    def of(self, candidate: Candidate, task: str) -> Access:
        """A key of one's own goes to its provider's own host, in place of the router, and nothing else does; everybody
        else sees the token, but for servers of the operator's own (`OWN_DIALECTS`) that are not Hugging Face's. Where
        the catalogue has set another base address than the router's, the call goes there.

        Raises `CredentialError`, and `ProviderError` (`request_refused`).
        """
        at_home = is_at_home(candidate)
        if at_home or (takes_own_key(candidate) and candidate.base_url == self._router):
            key = self._keys.of(candidate.dialect)
            if key is not None or at_home:
                way = direct(candidate, task)
                shown = None if key is None else way.authorization(key.get_secret_value())
                return Access(way.candidate, way.dialect, shown)
        dialect = PROVIDERS[candidate.dialect]
        token = self._token.current() if self._may_see_the_token(candidate) else None
        return Access(candidate, dialect, f"Bearer {token.get_secret_value()}" if token is not None else None)

    def redact(self, text: str) -> str:
        """`text` without token and keys."""
        return self._keys.redact(self._token.redact(text))

    def _may_see_the_token(self, candidate: Candidate) -> bool:
        if candidate.dialect not in OWN_DIALECTS:
            return True
        scheme, host, _ = origin = _origin(candidate.base_url)
        if origin in self._ours:
            return True
        return scheme == "https" and any(host == domain or host.endswith(f".{domain}") for domain in HF_DOMAINS)


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port
    except ValueError:  # no address: the transport refuses it
        return "", "", None
