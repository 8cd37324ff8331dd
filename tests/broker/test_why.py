"""`novix why` on a real broker: jobs that router and worker really brought to their ends."""

import os
from collections.abc import Iterator

import pytest
from stranger import Stranger, installation
from why_ends import ENDS, FOLDER, catalogue, driven, found_of, stable, written

from console.telling.story import tell

WRITES = bool(os.environ.get("NOVIX_WRITE_STORIES"))
QUICK = ("succeeded", "fell_back", "price_unknown", "gated_model")


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """Three attempts a job, every wait passes in a retry topic, a breaker that stays open."""
    folder = tmp_path_factory.mktemp("why")
    with installation(
        broker.bootstrap, folder, NOVIX_CATALOGUE=str(catalogue(folder)), NOVIX_MAX_RETRIES="2",
        NOVIX_BACKOFF_FACTOR_S="0.1", NOVIX_RETRY_IN_MEMORY_S="0", NOVIX_RETRY_BUDGET="1000",
    ) as stranger:  # fmt: skip
        yield stranger


@pytest.mark.parametrize("end", QUICK)
def test_a_real_jobs_story_is_its_golden_one(novix: Stranger, end: str):
    tenant, job_id = driven(novix, end)
    lines = novix.cli("why", job_id, "--tenant", tenant).stdout.splitlines()

    assert stable(lines) == stable((FOLDER / f"{end}.txt").read_text().splitlines())


@pytest.mark.long
@pytest.mark.parametrize("end", ENDS)
def test_every_end_can_be_brought_about_and_its_story_tells_what_the_golden_one_tells(novix: Stranger, end: str):
    """With NOVIX_WRITE_STORIES=1 the evidence and the golden texts are written anew."""
    tenant, job_id = driven(novix, f"{end}")
    found = found_of(novix, tenant, job_id)
    lines = tell(found)
    if WRITES:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{end}.json").write_text(written(found))
        (FOLDER / f"{end}.txt").write_text("\n".join(lines) + "\n")
    golden = (FOLDER / f"{end}.txt").read_text().splitlines()

    assert [line.split()[0] for line in lines[:4]] == [line.split()[0] for line in golden[:4]]
    assert lines[0].split(",")[0] == golden[0].split(",")[0]
