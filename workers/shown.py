"""Credentials that a provider refuses are not shown to it again and again: jobs wait until one is taken.

A provider that answers `unauthorized` three times in a row to one credential refuses it. From then on nobody calls with
it there, but for one trial call every half minute. A credential that has changed (a token file that was rotated) is
another one, and is shown at once. It is told once, and once more when every provider that refused has taken one.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import structlog

from runtime.breaker import BreakerKey, Breakers, Permit
from runtime.ports import Clock
from schemas.failure import FailureKind
from workers.calling import CallFailed
from workers.errors import ProviderError
from workers.ready import NotReady

log = structlog.get_logger("novix.worker")

IN_A_ROW = 3
"""Refusals without a success between them. One alone may be a model's own affair."""
LOOK = timedelta(seconds=30)
"""Between two trial calls with a refused credential: it may be taken again without having changed."""
NAME_CHARS = 12
"""Of a credential's SHA-256, which stands for it here: 48 bits tell the few of a process apart and give none away."""
MOST = 256
"""Credentials that are remembered."""


class CredentialRefused(NotReady):
    """The provider refuses what it would be shown. No call was made; it is worth waiting."""


class Credits:
    """Which credential is shown to whom. One event loop owns it; time is `clock`'s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._standing = self._anew()
        self._names: dict[str | None, str] = {}
        self._last: dict[str, BreakerKey] = {}
        """What each provider was shown last."""
        self._alarmed: set[str] = set()
        """Credentials that were told of as refused, by name, since all was well."""
        self._refusing: set[str] = set()
        """Providers that have not taken anything since."""

    @contextmanager
    def shown(self, provider: str, authorization: str | None) -> Iterator[None]:
        """One call with that credential; how the block ends says whether it was taken. Raises `CredentialRefused`.

        A call that fails for any other reason, or is cut short, says nothing of it.
        """
        key = self._last[provider] = BreakerKey(provider, self._named(authorization))
        permit = self._standing.admit(key)
        if not isinstance(permit, Permit):
            what = "calls without a credential" if authorization is None else "the credential that it is shown"
            message = f"{provider} refuses {what}; jobs wait until that changes or is taken again"
            raise CredentialRefused(ProviderError(FailureKind.UNAUTHORIZED, message, nothing_sent=True))
        with permit:
            try:
                yield
            except CallFailed as failed:
                if failed.error.kind is FailureKind.UNAUTHORIZED:
                    permit.failed(failed.error.kind)
                    self._alarm(key)
                raise
            permit.succeeded()
        if provider in self._refusing and not self._is_refused(key):  # it may have been shown before it was refused
            self._refusing.discard(provider)
            if not self._refusing:
                self._alarmed.clear()
                log.warning("credential.accepted", provider=provider, credential=key.model)

    def refuses(self, provider: str) -> bool:
        """Whether the provider refuses what it was shown last."""
        key = self._last.get(provider)
        return key is not None and self._is_refused(key)

    def describe(self) -> Mapping[str, str]:
        """Providers that refuse what they were shown last, and since when (ISO 8601), as /healthz shows them."""
        views = self._standing.views()
        refusing = {name: views[key] for name, key in self._last.items() if self._is_refused(key)}
        return {name: view.since.isoformat() for name, view in refusing.items() if view.since is not None}

    def _is_refused(self, key: BreakerKey) -> bool:
        view = self._standing.views().get(key)
        return view is not None and view.state != "closed"

    def _alarm(self, key: BreakerKey) -> None:
        if not self._is_refused(key):
            return
        self._refusing.add(key.provider)
        if key.model not in self._alarmed:
            self._alarmed.add(key.model)
            log.error("credential.refused", provider=key.provider, credential=key.model, trial_every_s=LOOK.seconds)

    def _named(self, authorization: str | None) -> str:
        name = self._names.get(authorization)
        if name is None:
            if len(self._names) >= MOST:  # they were rotated that often: those of old are of no use any more
                self._names.clear()
                self._standing = self._anew()
            digest = hashlib.sha256(authorization.encode()).hexdigest() if authorization is not None else "none"
            name = self._names[authorization] = digest[:NAME_CHARS]
        return name

    def _anew(self) -> Breakers:
        return Breakers(fail_max=IN_A_ROW, reset_timeout=LOOK, clock=self._clock.monotonic, now=self._clock.now)
