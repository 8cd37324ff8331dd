"""An installation for the suites of the whole way, and a tenant for each test; a suite may have its own. Some prove
rows of the fault matrix."""

import uuid
from collections.abc import Iterator

import pytest
from proof import proof
from stranger import TOKEN, Stranger, installation

__all__ = ["novix", "proof", "tenant"]

IN_FLIGHT = 4


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """One installation for all: breakers off, short timeouts, four calls at once."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "token").write_text(TOKEN)
    with installation(
        broker.bootstrap,
        folder,
        NOVIX_HF_TOKEN="",
        NOVIX_HF_TOKEN_FILE=str(folder / "token"),
        NOVIX_BREAKER="false",
        NOVIX_READ_TIMEOUT_S="1",
        NOVIX_BACKOFF_FACTOR_S="0.05",
        NOVIX_MAX_IN_FLIGHT=str(IN_FLIGHT),
        NOVIX_LOG_LEVEL="debug",
    ) as stranger:
        yield stranger


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"team-{uuid.uuid4().hex[:8]}"
