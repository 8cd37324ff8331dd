"""An output that an answer names and that was not had: typed, and counted as work that may be charged."""

import inspect

import pytest

from runtime.http import fetch
from runtime.http.fetch import FetchError, FetchRefused, FetchStatus, FetchTooLarge, FetchUnreachable
from schemas.failure import FailureKind
from workers.attempt import is_ambiguous
from workers.fetching import of_fetch
from workers.patience import PASSING

K = FailureKind
KINDS: dict[type[FetchError], FailureKind] = {
    FetchError: K.CONNECTION_LOST,
    FetchRefused: K.EGRESS_REFUSED,
    FetchUnreachable: K.CONNECTION_LOST,
    FetchTooLarge: K.RESPONSE_TOO_LARGE,
}


def test_every_way_in_which_a_fetch_fails_has_its_kind() -> None:
    known = {one for _, one in inspect.getmembers(fetch, inspect.isclass) if issubclass(one, FetchError)}
    assert known == {*KINDS, FetchStatus}
    for cls, kind in KINDS.items():
        found = of_fetch(cls("files.test: no"))
        assert (found.kind, is_ambiguous(found)) == (kind, True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, K.INVALID_OUTPUT), (403, K.INVALID_OUTPUT), (429, K.PROVIDER_ERROR), (502, K.PROVIDER_ERROR)],
)
def test_only_what_may_pass_is_fetched_again(status: int, kind: FailureKind) -> None:
    found = of_fetch(FetchStatus(f"files.test: status {status}", status))

    assert (found.kind, found.upstream_status, is_ambiguous(found)) == (kind, status, True)
    assert (found.kind in PASSING) is (kind is K.PROVIDER_ERROR)
